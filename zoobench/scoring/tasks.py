"""Task declarations: what is predicted, from which column, judged by which metric.

A task applies to a zoo where its target varies: outcomes everywhere (F1 of single classes where the zoo stores them),
hyperparameters where the zoo varies them. Regression tasks have numbers as targets, classification tasks names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..distributions import Choice
from ..errors import look_up
from ..zoos.spec import Grid, RandomSearch, SeedSweep, ZooSpec
from .metrics import CLASSIFICATION, REGRESSION

TRANSFORMS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"identity": lambda y: y, "log10": np.log10}


@dataclass(frozen=True)
class Task:
    """One target.

    ``kind`` says which metrics there are (``metrics``). ``version`` is stamped into results, and rises when what a
    score means changes. ``bounds`` is the range that a target can take, where it has one. ``role`` says what kind of
    column it reads: an outcome of training or a hyperparameter. Rankings count tasks with the same ``counted_as`` as
    one target, and leave out those that are not ``ranked``.
    """

    name: str
    column: str
    description: str
    unit: str
    paper: str
    role: str = "outcome"
    transform: str = "identity"
    bounds: tuple[float, float] | None = None
    kind: str = REGRESSION
    version: int = 1
    counted_as: str = ""
    ranked: bool = True

    @property
    def main_metric(self) -> str:
        """The metric that is shown first."""
        return "r2" if self.kind == REGRESSION else "accuracy"

    @property
    def ranking_metric(self) -> str:
        """The metric that rankings go by: bounded, so that no single task decides them."""
        return "skill" if self.kind == REGRESSION else "class_skill"

    def target(self, labels: pd.DataFrame) -> np.ndarray:
        """The target values (rows,): float64, or names as objects."""
        if self.kind == CLASSIFICATION:
            return labels[self.column].to_numpy(dtype=object)
        return TRANSFORMS[self.transform](labels[self.column].to_numpy(dtype=np.float64))

    def applies_to(self, spec: ZooSpec) -> bool:
        if self.role == "hyperparameter":
            # What may be 0 has no logarithm.
            return self.column in spec.varies and not (self.transform == "log10" and 0 in _declared(spec, self.column))
        if self.role == "class outcome":
            return self.column in spec.images.class_outcomes
        return True


_UNIT = (0.0, 1.0)
_SCHURHOLT = "Schürholt 2021, sec. 3"

ALL: tuple[Task, ...] = (
    Task("accuracy", "test_accuracy", "test accuracy", "fraction", "Unterthiner 2020, sec. 2", bounds=_UNIT),
    Task("generalization_gap", "generalization_gap", "train minus test accuracy", "fraction", _SCHURHOLT),
    Task("epoch", "epoch", "epochs trained", "epochs", _SCHURHOLT),
    *(
        Task(
            f"f1_class_{k}",
            f"f1_class_{k}",
            f"F1 of class {k}",
            "fraction",
            _SCHURHOLT,
            "class outcome",
            bounds=_UNIT,
            counted_as="f1",
        )
        for k in range(4)
    ),
    *(
        Task(name, column, text, unit, paper, "hyperparameter", transform, counted_as=column)
        for name, column, text, unit, paper, transform in (
            ("learning_rate", "learning_rate", "learning rate", "1", _SCHURHOLT, "identity"),
            ("log10_learning_rate", "learning_rate", "log10 learning rate", "decades", "-", "log10"),
            ("weight_decay", "weight_decay", "L2 coefficient", "1", _SCHURHOLT, "identity"),
            ("log10_weight_decay", "weight_decay", "log10 L2 coefficient", "decades", "-", "log10"),
        )
    ),
    Task("dropout", "dropout", "dropout rate", "fraction", _SCHURHOLT, "hyperparameter", bounds=_UNIT),
    Task("train_fraction", "train_fraction", "share of training images", "fraction", _SCHURHOLT, "hyperparameter"),
    # It is drawn for every run, and some initialisers do not use it: of their networks nobody can tell.
    Task("init_std", "init_std", "scale of the initialiser", "1", "-", "hyperparameter", ranked=False),
    *(
        Task(name, name, description, "class", _SCHURHOLT, "hyperparameter", kind=CLASSIFICATION)
        for name, description in (
            ("activation", "activation function"),
            ("init", "weight initialiser"),
            ("optimizer", "optimizer"),
        )
    ),
)
BY_NAME: Mapping[str, Task] = {task.name: task for task in ALL}


def tasks_of(spec: ZooSpec) -> tuple[Task, ...]:
    """The tasks that make sense on a zoo."""
    return tuple(task for task in ALL if task.applies_to(spec))


def known_tasks(spec: ZooSpec, labels: pd.DataFrame) -> list[Task]:
    """Those of ``tasks_of`` whose target every row has: an imported zoo may lack a column, or have zeros."""

    def known(task: Task) -> bool:
        column = labels[task.column]
        return bool(column.notna().all() and (task.transform != "log10" or (column > 0).all()))

    return [task for task in tasks_of(spec) if known(task)]


def classes_of(task: Task, spec: ZooSpec, labels: pd.DataFrame) -> list[str]:
    """The classes of a classification task on a zoo, sorted: those that the zoo declares, and those of its labels.

    An imported zoo may have classes that are not declared; a small split may lack some that are.
    """
    return sorted(_declared(spec, task.column) | set(labels[task.column].dropna().unique()))


def _declared(spec: ZooSpec, column: str) -> set[Any]:
    """The values that a hyperparameter is chosen from, at any scale."""
    found: set[Any] = set()
    for _, scale in spec.scales:
        match scale.recipe:
            case SeedSweep():
                pass
            case Grid(axes=axes):
                found |= {value for name, values in axes if name == column for value in values}
            case RandomSearch(ranges=ranges):
                for name, values in ranges:
                    if name == column and isinstance(values, Choice):
                        found |= set(values.values)
    return found


def get(name: str) -> Task:
    """Look a task up by name.

    Raises:
        ZoobenchError: unknown name.
    """
    return look_up("task", name, BY_NAME)
