"""What a predictor sees of a split: weights, targets where it learns, hyperparameters where it uses them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.hub import ZooSplit
from ..scoring import tasks
from ..scoring.metrics import CLASSIFICATION
from ..scoring.tasks import Task
from ..zoos.spec import ZooSpec
from .predictor import Examples

# Drawn or chosen by factors; what may be 0 counts as this.
_BY_FACTORS = ("learning_rate", "weight_decay", "init_std")
_SMALLEST = 1e-10


def learnable(
    split: ZooSplit, names: Sequence[str] | None, from_hyperparameters: bool, varying: bool = False
) -> list[Task]:
    """The tasks of a train split that a predictor can learn.

    A predictor that sees hyperparameters and epochs is not asked for them. An imported zoo may lack a column that its
    spec varies: that task is left out.

    Args:
        split: the train split.
        names: of tasks that are wanted; ``None`` for all.
        from_hyperparameters: whether the predictor sees hyperparameters.
        varying: leave out hyperparameters that are the same for all of these rows, as the activation of a stratum is.
    """
    known = tasks.known_tasks(split.zoo.spec, split.labels)
    if from_hyperparameters:
        known = [task for task in known if task.role != "hyperparameter" and task.column != "epoch"]
    if varying:
        chosen_by = {task.name for task in known if task.role == "hyperparameter" or task.column == "epoch"}
        known = [task for task in known if task.name not in chosen_by or split.labels[task.column].nunique() > 1]
    return known if names is None else [task for task in known if task.name in names]


def examples(split: ZooSplit, learned: Sequence[Task] = (), with_hyperparameters: bool = False) -> Examples:
    """A split as a predictor sees it; without ``learned``, as of the test split, no target is in it."""
    spec, labels = split.zoo.spec, split.labels
    return Examples(
        weights=split.weights,
        layout=split.layout,
        runs=labels["run_id"].to_numpy(),
        targets=pd.DataFrame({task.name: task.target(labels) for task in learned}, index=labels.index),
        bounds={task.name: task.bounds for task in learned if task.bounds},
        classes={task.name: tasks.classes_of(task, spec, labels) for task in learned if task.kind == CLASSIFICATION},
        folds=labels["fold"].to_numpy(np.int64) if labels["fold"].notna().all() else None,
        hyperparameters=hyperparameters(spec, labels) if with_hyperparameters else pd.DataFrame(),
    )


def hyperparameters(spec: ZooSpec, labels: pd.DataFrame) -> pd.DataFrame:
    """How each network was trained, as numbers (rows, ...): what the zoo varies, and the epoch.

    Learning rate, L2 coefficient and initialiser scale are in log10; names are one column of 0 and 1 per class.
    Columns that an imported zoo lacks are left out.
    """
    columns: dict[str, np.ndarray] = {}
    for name in spec.varies:
        if labels[name].isna().all():
            continue
        task = tasks.BY_NAME.get(name)
        if task is not None and task.kind == CLASSIFICATION:
            for value in tasks.classes_of(task, spec, labels):
                columns[f"{name}={value}"] = (labels[name] == value).to_numpy(np.float64)
        else:
            values = labels[name].to_numpy(np.float64)
            columns[name] = np.log10(np.maximum(values, _SMALLEST)) if name in _BY_FACTORS else values
    columns["epoch"] = labels["epoch"].to_numpy(np.float64)
    return pd.DataFrame(columns, index=labels.index)
