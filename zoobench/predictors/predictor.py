"""The interface of predictors, and how they are found.

A predictor is a class with its parameters in ``__init__``, ``fit(train, validation)`` and ``predict(test)``. Any
installed package offers one by an entry point in the group ``zoobench.baselines``; ``zoobench run NAME`` then finds
it.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ..errors import ZoobenchError, check_known, did_you_mean
from ..zoos.layout import Layout

ENTRY_POINTS = "zoobench.baselines"
_LONGEST = 60


@dataclass(frozen=True)
class Examples:
    """What a predictor sees of a split.

    Attributes:
        weights: (rows, N) float32.
        layout: which weights form which tensor.
        runs: run id of each row (rows,), for splitting by run.
        targets: one column per task, float64 or class names; without columns for the test split.
        bounds: (low, high) of the tasks whose targets have a range.
        classes: of the classification tasks, sorted.
        folds: cross-validation fold of each row (rows,), or ``None`` where there are none.
        hyperparameters: numeric (rows, ...), for a predictor that uses them; else without columns.
    """

    weights: np.ndarray
    layout: Layout
    runs: np.ndarray
    targets: pd.DataFrame
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    classes: Mapping[str, list[str]] = field(default_factory=dict)
    folds: np.ndarray | None = None
    hyperparameters: pd.DataFrame = field(default_factory=pd.DataFrame)

    def take(self, rows: np.ndarray) -> Examples:
        """Some rows: positions, or a mask."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            weights=self.weights[chosen],
            runs=self.runs[chosen],
            targets=self.targets.iloc[chosen],
            folds=None if self.folds is None else self.folds[chosen],
            hyperparameters=self.hyperparameters.iloc[chosen] if len(self.hyperparameters) else self.hyperparameters,
        )

    def only(self, tasks: Sequence[str]) -> Examples:
        """All rows, with the targets of some tasks."""
        return replace(self, targets=self.targets[list(tasks)])


class Predictor(Protocol):
    """Learns every task of a zoo from its weights.

    One that has an attribute ``uses_hyperparameters`` which is true sees how each network was trained, and is asked for
    outcomes of training only. One that has ``save(folder)``, and ``load(folder)`` for an unfitted one of the same
    parameters, can be kept (see ``fitted``).
    """

    def fit(self, train: Examples, validation: Examples) -> Predictor:
        """Learn the columns of ``train.targets``; ``validation`` is for selection and early stopping."""
        ...

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every learned task: one row per row of ``test``, one column per task."""
        ...


def names() -> list[str]:
    """Names of all installed predictors."""
    return sorted(point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS))


def create(name: str, parameters: Mapping[str, str], chosen: Mapping[str, Any] | None = None) -> Predictor:
    """Make a predictor by entry-point name.

    ``parameters`` are texts from the command line; each is converted to the type of the default it replaces.
    ``chosen`` are more of them, as values.

    Raises:
        ZoobenchError: unknown name or parameter, a value of the wrong type, or a library that is not installed.
    """
    factory = _factory(name)
    accepted = inspect.signature(factory).parameters
    arguments: dict[str, Any] = dict(chosen or {})
    for key, text in parameters.items():
        if key not in accepted:
            raise ZoobenchError(f"baseline {name!r} has no parameter {key!r}{did_you_mean(key, accepted)}")
        arguments[key] = _convert(name, key, text, accepted[key].default)
    made: Predictor = factory(**arguments)
    return made


def space(name: str, parameters: Mapping[str, str], layout: Layout) -> Mapping[str, Any]:
    """The ranges from which a predictor's parameters may be searched; empty if it declares none.

    A predictor declares them by a method ``space(layout)``: name of a parameter -> ``Choice``, ``Uniform`` or
    ``LogUniform`` of ``zoobench.distributions``.
    """
    declared = getattr(create(name, parameters), "space", None)
    return declared(layout) if declared else {}


def can_be_kept(made: object) -> bool:
    """Whether a predictor, or its class, has what keeping it takes (see ``fitted``)."""
    return hasattr(made, "save") and hasattr(made, "load")


def check_kept(name: str) -> None:
    """Refuse a baseline that cannot have been saved, before it is made: it may read other folders.

    Raises:
        ZoobenchError: unknown name, a library that is not installed, or a class without save and load.
    """
    factory = _factory(name)
    if isinstance(factory, type) and not can_be_kept(factory):
        raise ZoobenchError(f"baseline {name!r} cannot be saved, so this is no saved one")


def check_ranges(made: object, **ranges: tuple[float, float]) -> None:
    """Refuse parameters of a predictor that lie outside their ranges: name=(low, high), both included.

    Raises:
        ZoobenchError: one does, or is NaN.
    """
    for name, (low, high) in ranges.items():
        value = getattr(made, name)
        if not isinstance(value, int | float) or not low <= value <= high:
            given = str(value) if len(str(value)) <= _LONGEST else f"a number of {len(str(value)):,} digits"
            raise ZoobenchError(f"parameter {name!r} is {given}; it must lie between {low:g} and {high:g}")


def _factory(name: str) -> Callable[..., Any]:
    check_known("baseline", name, names())
    point = next(point for point in importlib.metadata.entry_points(group=ENTRY_POINTS) if point.name == name)
    try:
        loaded: Callable[..., Any] = point.load()
    except ImportError as error:
        raise ZoobenchError(f"baseline {name!r} needs {error.name}: pip install 'zoobench[baselines]'") from error
    return loaded


def _convert(name: str, key: str, text: str, default: Any) -> Any:
    kind = type(default)
    if kind not in (int, float, str):
        raise ZoobenchError(f"parameter {key!r} of baseline {name!r} cannot be set from the command line")
    try:
        return kind(text)
    except ValueError:
        given = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        raise ZoobenchError(f"parameter {key!r} of baseline {name!r} takes {kind.__name__}, not {given!r}") from None
