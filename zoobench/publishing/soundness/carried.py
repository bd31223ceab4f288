"""What a config carries beside its rows: reference predictions, which are made again, and named protocols."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ...scoring import protocols, tasks
from ...scoring.metrics import CLASSIFICATION
from ...zoos.splits import SPLITS
from .report import UNREADABLE, Report, Subject, brief, listed, reason

# Trees of another version of scikit-learn may differ a little: by so much of the target's spread on average.
_TREES = 0.02
_SINGLE = 1e-6


def check_references(subject: Subject, labels: pd.DataFrame, whole: set[str], report: Report) -> None:
    """The references predict the test split, and say what predictors say that are fitted again.

    Args:
        subject: whose.
        labels: of all splits, with ``split``.
        whole: the paths of files that are what the manifest says.
        report: told what is wrong.
    """
    try:
        from ..references import REFERENCES
    except ImportError as error:
        report.not_checked[f"references of {subject.name}"] = f"{error.name} is not installed"
        return
    splits = [labels[labels["split"] == split].reset_index(drop=True) for split in SPLITS]
    if any(split.empty for split in (splits[0], splits[2])):
        return
    known = tasks.known_tasks(subject.zoo.spec, labels)
    for name, (predict, applies) in REFERENCES.items():
        path = subject.places.reference(name)
        if path not in whole:
            continue
        found = _frame(subject, path, report)
        if found is None:
            continue
        wanted = list(filter(applies, known))
        columns = ["zoo", "example_id", *(task.name for task in wanted)]
        if list(found) != columns:
            report.problem(f"{path}: columns {brief(list(found))}, not {', '.join(columns)}")
        elif not (
            found["example_id"].tolist() == splits[2]["example_id"].tolist() and (found["zoo"] == subject.zoo.id).all()
        ):
            report.problem(f"{path}: does not predict the rows of the test split of {subject.zoo.id}, in their order")
        elif (constant := name.startswith("constant")) or not report.problems:
            # Trees take their time, and say nothing where their inputs are wrong already.
            for task in wanted:
                if not _agree(task, found[task.name], predict(task, *splits), splits[2], exactly=constant):
                    report.problem(f"{path}: {task.name} is not what such a predictor says when it is fitted again")


def _frame(subject: Subject, path: str, report: Report) -> pd.DataFrame | None:
    try:
        table = pq.read_table(subject.folder.locate(path))
        table.validate(full=True)
        return table.to_pandas()
    except UNREADABLE as error:
        report.problem(f"{path}: cannot be read: {reason(error)}")
        return None


def _agree(task: tasks.Task, stored: pd.Series, again: np.ndarray, test: pd.DataFrame, exactly: bool) -> bool:
    if task.kind == CLASSIFICATION:
        return bool((stored.astype(object).to_numpy() == again).all())
    if not pd.api.types.is_numeric_dtype(stored):
        return False
    apart = np.abs(stored.to_numpy(np.float64) - again)
    if exactly:
        return bool((apart <= _SINGLE * np.maximum(1, np.abs(again))).all())
    return bool(apart.mean() <= _TREES * np.std(task.target(test)) + _SINGLE)


def check_protocols(subject: Subject, labels: pd.DataFrame, whole: set[str], report: Report) -> None:
    """Protocols are known ones, and put rows of this config into splits."""
    ids = set(labels["example_id"])
    prefix = f"{subject.places.protocols}/"
    for path in sorted(path for path in whole if path.startswith(prefix)):
        if Path(path).stem not in protocols.NAMES:
            report.problem(f"{path}: no protocol of this name; there are {', '.join(protocols.NAMES)}")
        found = _frame(subject, path, report)
        if found is None:
            continue
        if list(found) != ["example_id", "split"]:
            report.problem(f"{path}: columns {brief(list(found))}, not example_id and split")
            continue
        if unknown := set(found["example_id"]) - ids:
            report.problem(f"{path}: {len(unknown):,} ids are of no row: {listed(sorted(map(str, unknown)))}")
        if strange := set(found["split"]) - set(SPLITS):
            report.problem(f"{path}: no split {listed(sorted(map(brief, strange)))}")
        if not (found["split"] == "test").any():
            report.problem(f"{path}: its test split is empty")
