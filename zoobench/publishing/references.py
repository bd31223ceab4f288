"""Reference predictions that a zoo carries: what is reached without looking at the weights.

Written with the zoo, as predictions files like anyone's (``references/<config>/<name>.parquet``), so that scoring needs
no training and everyone is held against the same ones. ``constant`` knows the targets of the train split only;
``hyperparameters`` knows how each network was trained and for how many epochs, the lambda of Unterthiner 2020,
sec. 4.2. Those that end in ``-final`` have learned from last checkpoints alone, and are for the protocol of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from ..data.folder import DatasetFolder, Places
from ..data.schema import HYPERPARAMETER_COLUMNS
from ..scoring import tasks
from ..scoring.metrics import CLASSIFICATION
from ..scoring.predictions import write_predictions
from ..scoring.tasks import Task
from ..zoos import Zoo
from ..zoos.splits import SPLITS

_LEAVES = (2, 8, 32)
_HYPERPARAMETERS = [field.name for field in HYPERPARAMETER_COLUMNS if field.name != "seed"]

_Split = pd.DataFrame
_Predict = Callable[[Task, _Split, _Split, _Split], np.ndarray]


def constant(task: Task, train: _Split, validation: _Split, test: _Split) -> np.ndarray:
    """The mean of the train targets, or their most frequent class."""
    target = task.target(train)
    if task.kind == CLASSIFICATION:
        names, counts = np.unique(target, return_counts=True)
        return np.full(len(test), names[counts.argmax()], dtype=object)
    return np.full(len(test), target.mean())


def hyperparameters(task: Task, train: _Split, validation: _Split, test: _Split) -> np.ndarray:
    """Gradient-boosted trees on the hyperparameters and the epoch; the size of a tree is chosen on validation."""
    columns = [name for name in (*_HYPERPARAMETERS, "epoch") if train[name].nunique() > 1]
    inputs = pd.concat([split[columns] for split in (train, validation, test)], keys=SPLITS)
    for name in columns:
        if pd.api.types.is_string_dtype(inputs[name]):
            inputs[name] = inputs[name].astype("category")
    targets = task.target(train), task.target(validation)
    low, high = task.bounds or (-np.inf, np.inf)
    best, best_error = np.full(len(test), targets[0].mean()), np.inf
    # One thread: sums in another order would make other trees.
    with threadpool_limits(1):
        for leaves in _LEAVES if columns else ():
            trees = HistGradientBoostingRegressor(
                max_iter=100, learning_rate=0.15, max_leaf_nodes=leaves, early_stopping=False, random_state=0
            ).fit(inputs.loc["train"], targets[0])
            error = np.mean((trees.predict(inputs.loc["validation"]) - targets[1]) ** 2) if len(validation) else 0
            if error < best_error:
                best, best_error = trees.predict(inputs.loc["test"]).clip(low, high), error
    return best


def _at_the_end(predict: _Predict) -> _Predict:
    """The same, learned from the last checkpoints of the train and validation splits."""

    def predicted(task: Task, train: _Split, validation: _Split, test: _Split) -> np.ndarray:
        fitted, chosen = (split[split["epoch"] == split["epoch"].max()] for split in (train, validation))
        return predict(task, fitted, chosen, test)

    return predicted


def _outcome(task: Task) -> bool:
    return task.role != "hyperparameter" and task.column != "epoch"


# Name -> how, and of which tasks: hyperparameters say nothing about each other, being drawn apart.
REFERENCES: Mapping[str, tuple[_Predict, Callable[[Task], bool]]] = {
    "constant": (constant, lambda task: True),
    "hyperparameters": (hyperparameters, _outcome),
    "constant-final": (_at_the_end(constant), lambda task: True),
    "hyperparameters-final": (_at_the_end(hyperparameters), _outcome),
}


def write_references(zoo: Zoo, folder: DatasetFolder) -> None:
    """Predict the test split of a prepared config and write the predictions beside its labels.

    Args:
        zoo: whose labels they are.
        folder: has the labels of every split.
    """
    places = Places(zoo.spec.config)
    splits = [pq.read_table(folder.locate(places.labels_of(split))).to_pandas() for split in SPLITS]
    if any(split.empty for split in (splits[0], splits[2])):
        return
    known = tasks.known_tasks(zoo.spec, pd.concat(splits))
    for name, (predict, applies) in REFERENCES.items():
        frame = pd.DataFrame({"zoo": zoo.id, "example_id": splits[2]["example_id"]})
        for task in filter(applies, known):
            frame[task.name] = predict(task, *splits)
        write_predictions(frame, folder.locate(places.reference(name)))
