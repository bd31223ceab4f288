"""Predictions joined to the labels by ``example_id``, never by row order: exactly one for each row that is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..data import hub
from ..data.hub import Store
from ..errors import ZoobenchError
from ..zoos import SCALES, Zoo
from . import tasks
from .columns import Coded
from .metrics import CLASSIFICATION
from .predictions import Group, Predictions
from .protocols import Rows, rows_of
from .sample import Sample


@dataclass(frozen=True)
class Joined:
    """Predictions of one zoo beside their targets.

    Attributes:
        chosen: the rows that are scored.
        samples: by task name, row by row as ``labels``.
        classes: of the classification tasks, in the order of the class numbers in their samples.
    """

    chosen: Rows
    samples: dict[str, Sample]
    classes: dict[str, list[str]]

    @property
    def labels(self) -> pd.DataFrame:
        return self.chosen.labels

    @property
    def runs(self) -> int:
        return self.labels["run_id"].nunique()


def join(predictions: Predictions, group: Group, protocol: str, store: Store) -> Joined:
    """Join one group of predictions to the labels that a protocol scores.

    Raises:
        ZoobenchError: a protocol that leaves nothing, a task that makes no sense on the zoo, or ids, or class names,
            that are not those of the labels.
    """
    chosen = rows_of(protocol, group.zoo, store)
    labels = chosen.labels
    _check_tasks(predictions, group.zoo, labels)
    position = positions(predictions, group, chosen, store)
    missing = np.flatnonzero(np.bincount(position[position >= 0], minlength=len(labels)) == 0)
    if len(missing):
        ids = labels["example_id"].iloc[missing[:6]].tolist()
        shown = ", ".join(ids[:5]) + (", …" if len(missing) > 5 else "")
        raise _refused(
            predictions, group.zoo, chosen, len(missing), "missing", shown + _origin(predictions, group, store)
        )
    row = np.empty(len(labels), np.int64)
    row[position[position >= 0]] = group.rows[position >= 0]
    run = pd.factorize(labels["run_id"])[0]
    samples, classes = {}, {}
    for name in predictions.task_names:
        task = tasks.get(name)
        target = task.target(labels)
        if task.kind == CLASSIFICATION:
            classes[name] = tasks.classes_of(task, group.zoo.spec, labels)
            target = pd.Index(classes[name]).get_indexer(pd.Index(target))
        samples[name] = Sample(target, values_of(predictions, group.zoo, name, row, classes.get(name)), run)
    return Joined(chosen, samples, classes)


def _check_tasks(predictions: Predictions, zoo: Zoo, labels: pd.DataFrame) -> None:
    """Refuse tasks that are constant or unknown on a zoo."""
    sensible = [task.name for task in tasks.known_tasks(zoo.spec, labels)]
    for name in predictions.task_names:
        if name not in sensible:
            raise ZoobenchError(
                f"{predictions.source}: task {name!r} is constant or unknown on {zoo.id}; it has: {', '.join(sensible)}"
            )


def positions(predictions: Predictions, group: Group, chosen: Rows, store: Store) -> np.ndarray:
    """Where each row of a group stands among the rows that a protocol scores, -1 for the split's other rows.

    Raises:
        ZoobenchError: ids that are repeated, or not in the split.
    """
    wanted = pa.array(chosen.labels["example_id"], pa.large_string())
    code = predictions.ids.codes[group.rows]
    of_code = pc.index_in(predictions.ids.values, value_set=wanted).fill_null(-1).to_numpy()
    position: np.ndarray = of_code[code]
    unknown = group.rows[position < 0]
    if len(unknown) and len(chosen.others):
        others = pa.array(chosen.others, pa.large_string())
        other = pc.is_in(predictions.ids.values, value_set=others).to_numpy(zero_copy_only=False)
        unknown = unknown[~other[predictions.ids.codes[unknown]]]
    if len(unknown):
        shown = predictions.ids.first(unknown) + _origin(predictions, group, store)
        raise _refused(predictions, group.zoo, chosen, len(unknown), f"not in {chosen.among}", shown)
    times = np.bincount(position[position >= 0], minlength=len(wanted))
    repeated = np.flatnonzero(times > 1)
    if len(repeated):
        first = group.rows[np.flatnonzero(np.isin(position, repeated[:6]))]
        once = first[np.unique(predictions.ids.codes[first], return_index=True)[1]]
        raise _refused(predictions, group.zoo, chosen, len(repeated), "repeated", predictions.ids.first(np.sort(once)))
    return position


def values_of(
    predictions: Predictions, zoo: Zoo, name: str, rows: np.ndarray, classes: Sequence[str] | None
) -> np.ndarray:
    """Predictions of one task in some rows: float64, or class numbers.

    Raises:
        ZoobenchError: a name that is none of ``classes``.
    """
    column = predictions.columns[name]
    if not isinstance(column, Coded):
        return column[rows].astype(np.float64)
    number = pd.Index(classes or []).get_indexer(column.values.to_pylist())
    values: np.ndarray = number[column.codes[rows]]
    unknown = rows[values < 0]
    if len(unknown):
        raise ZoobenchError(
            f"{predictions.source}: {name!r} of {predictions.ids.first(unknown[:1])} is "
            f"{column.first(unknown[:1])!r}, which is no class of {zoo.id} ({len(unknown):,} rows); "
            f"its classes are: {', '.join(classes or [])}"
        )
    return values


def _refused(predictions: Predictions, zoo: Zoo, chosen: Rows, count: int, problem: str, shown: str) -> ZoobenchError:
    subject = "example id of {} is" if count == 1 else "example ids of {} are"
    return ZoobenchError(
        f"{predictions.source}: {count:,} {subject.format(zoo.id)} {problem}: {shown}; {chosen.way_out}"
    )


def _origin(predictions: Predictions, group: Group, store: Store) -> str:
    """Where ids may come from that are not those of the test split: another split, or the zoo at another scale."""
    zoo, codes = group.zoo, np.unique(predictions.ids.codes[group.rows])
    ids = pd.Index(predictions.ids.values.take(pa.array(codes)).to_pylist())
    built = hub.built_zoos()
    places = [(zoo, split, f"the {split} split") for split in ("train", "validation")]
    places += [
        (other, "test", other.id) for scale in SCALES if (other := Zoo(zoo.spec, scale)).id in built and other != zoo
    ]
    for place, split, name in places:
        try:
            known = hub.load_labels(place, split, store).frame["example_id"]
        except ZoobenchError:
            continue
        among = ids.isin(known)
        if among.all() if split == "test" else among.any():
            return f" ({among.sum():,} are ids of {name})"
    return ""
