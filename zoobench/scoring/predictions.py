"""Predictions: a file, a DataFrame or another table, read and checked as far as that needs no labels.

Columns: ``zoo``, ``example_id``, optionally ``trained_on`` (default: ``zoo``), then one column per predicted task,
named as the task. Predictions of perturbed networks also have the column ``perturbation``. Row order, column order and
an index mean nothing. Numbers must be finite and within single precision, so that every metric of them is finite.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .. import zoos
from ..errors import ZoobenchError, closest, did_you_mean
from ..files import write_atomically
from ..zoos import Zoo
from . import prediction_files, prediction_objects, tasks
from .columns import Coded, Columns, numbers, short, strings
from .metrics import CLASSIFICATION


class ArrowTable(Protocol):
    """A table of any library that follows Arrow's C interface: pyarrow, polars, duckdb, ..."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Source = os.PathLike[str] | str | pd.DataFrame | ArrowTable | Mapping[str, Any] | BinaryIO

PERTURBATION = "perturbation"
_ID_COLUMNS = ("zoo", "example_id", "trained_on")
_PANDAS_INDEX = "__index_level_"
_TEXTS = (*_ID_COLUMNS, PERTURBATION, *(task.name for task in tasks.ALL if task.kind == CLASSIFICATION))
_NUMBERS = tuple(task.name for task in tasks.ALL if task.kind != CLASSIFICATION)
# Of columns that are warned about or named in a message, and of characters of each.
_MOST_NAMED, _LONGEST = 20, 80


class UnknownColumnWarning(UserWarning):
    """A column of predictions that is neither an id nor a task."""


@dataclass(frozen=True)
class Group:
    """The rows (positions) of predictions that are about one zoo, by a predictor trained on one zoo.

    ``perturbation`` names what was done to the networks, if anything was.
    """

    zoo: Zoo
    trained_on: Zoo
    perturbation: str | None
    rows: np.ndarray


@dataclass(frozen=True)
class Predictions:
    """Checked predictions: one entry of ``columns`` per task, finite numbers (rows,) or class names.

    Attributes:
        source: what to call them in messages: the path of the file.
        sha256: of the file's bytes, or of a DataFrame's columns as an Arrow stream.
        ids: of each row.
        columns: by task name.
        groups: in the order of their first rows.
    """

    source: str
    sha256: str
    ids: Coded
    columns: dict[str, np.ndarray | Coded]
    groups: tuple[Group, ...]

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(self.columns)


def read_predictions(source: Source, perturbed: bool = False, name: str = "the DataFrame") -> Predictions:
    """Read and check predictions, as far as that needs no labels.

    Args:
        source: a parquet or CSV file, compressed or not, or an open one; a DataFrame, an Arrow table of any library
            (pyarrow, polars, ...), or sequences by column name.
        perturbed: of perturbed networks: they must have the column ``perturbation``, and others must not.
        name: what to call what is no file in messages.

    Raises:
        ZoobenchError: unreadable, a column missing or not numeric, NaN, infinite values or values beyond single
            precision, an unknown zoo, no task.
    """
    table = _columns(source, name)
    task_names = _check_columns(table, perturbed)
    coded = {column: strings(table, column) for column in _ID_COLUMNS if column in table.types}
    coded.setdefault("trained_on", coded["zoo"])
    if perturbed:
        coded[PERTURBATION] = strings(table, PERTURBATION)
    groups = tuple(_groups(table.source, coded))
    if not task_names:
        known = [task.name for task in tasks.tasks_of(groups[0].zoo.spec)]
        raise ZoobenchError(f"{table.source} predicts no task; name a column after one of: {', '.join(known)}")
    columns: dict[str, np.ndarray | Coded] = {}
    for task in task_names:
        of_classes = tasks.BY_NAME[task].kind == CLASSIFICATION
        columns[task] = strings(table, task) if of_classes else numbers(table, task, coded["example_id"])
    return Predictions(table.source, table.sha256, coded["example_id"], columns, groups)


def _columns(source: Any, name: str) -> Columns:
    if isinstance(source, os.PathLike | str):
        return prediction_files.of_path(Path(source), _TEXTS, _NUMBERS)
    if isinstance(source, pd.DataFrame | Mapping) or prediction_objects.is_arrow(source):
        return prediction_objects.of_object(source, name, (*_TEXTS, *_NUMBERS), (*_ID_COLUMNS, PERTURBATION))
    if hasattr(source, "read"):
        return prediction_files.of_stream(source, str(getattr(source, "name", name)), _TEXTS, _NUMBERS)
    raise ZoobenchError(f"predictions are a file, a DataFrame or an Arrow table, not {short(repr(source))}")


def _check_columns(table: Columns, perturbed: bool) -> tuple[str, ...]:
    """The tasks that are predicted. Columns that are not understood are warned about."""
    names = list(table.types)
    needed = ["zoo", "example_id", *([PERTURBATION] if perturbed else [])]
    repeated = [name for name in names if name in table.repeated and name in (*_TEXTS, *_NUMBERS)]
    if repeated:
        raise ZoobenchError(f"{table.source} has more than one column {repeated[0]!r}; keep one")
    for name in needed:
        if name not in names:
            there = [known[:_LONGEST] for known in names[:_MOST_NAMED]]
            raise ZoobenchError(
                f"{table.source} has no column {name!r}{did_you_mean(name, there)}; "
                f"such a file has {', '.join(needed)} and one column per task"
            )
    if PERTURBATION in names and not perturbed:
        raise ZoobenchError(f"{table.source} has predictions of perturbed networks; it is for --against")
    if not table.rows():
        raise ZoobenchError(f"{table.source} has no rows; predict every example of the test split")
    unknown = [name for name in names if not (name in _TEXTS or name in _NUMBERS or name.startswith(_PANDAS_INDEX))]
    for name in unknown[:_MOST_NAMED]:
        meant = closest(name, tasks.BY_NAME)
        hint = f"; did you mean {meant!r}?" if meant else ""
        message = f"{table.source}: column {name[:_LONGEST]!r} is not a task and is ignored{hint}"
        warnings.warn(message, UnknownColumnWarning, stacklevel=3)
    return tuple(name for name in names if name in tasks.BY_NAME)


def _groups(source: str, coded: dict[str, Coded]) -> Iterator[Group]:
    """Ids of zoos are unified ("tetris-zoo" means "tetris-zoo/seed") before rows are grouped by them."""
    zoo_of, zoo = _unified(coded["zoo"], lambda name: zoos.resolve(name).id)
    trained_of, trained_on = _unified(coded["trained_on"], lambda name: zoos.resolve(name).id)
    perturbations: list[str] = []
    perturbation = np.zeros(1, np.int64)
    if PERTURBATION in coded:
        perturbations, perturbation = _unified(coded[PERTURBATION], str)
    kinds = max(1, len(perturbations))
    key = (zoo * len(trained_of) + trained_on) * kinds + perturbation
    found, first = np.unique(key, return_index=True)
    for value in found[np.argsort(first)].tolist():
        pair, which = divmod(value, kinds)
        yield Group(
            zoos.resolve(zoo_of[pair // len(trained_of)]),
            zoos.resolve(trained_of[pair % len(trained_of)]),
            perturbations[which] if perturbations else None,
            np.flatnonzero(key == value) if len(found) > 1 else np.arange(len(key)),
        )


def _unified(column: Coded, meaning: Callable[[str], str]) -> tuple[list[str], np.ndarray]:
    """Distinct meanings, and which of them each row has (rows,) int64."""
    used = np.unique(column.codes)
    meant = {code: meaning(short(column.values[code].as_py())) for code in used.tolist()}
    distinct = list(dict.fromkeys(meant.values()))
    number = np.zeros(len(column.values), np.int64)
    number[used] = [distinct.index(meant[code]) for code in used.tolist()]
    return distinct, number[column.codes]


def sources(predictions: Source | Iterable[Source]) -> list[Source]:
    """One source or several, as a list.

    Raises:
        ZoobenchError: none.
    """
    whole: Any = predictions
    one = isinstance(whole, os.PathLike | str | bytes | pd.DataFrame | Mapping) or hasattr(whole, "read")
    if one or prediction_objects.is_arrow(whole) or not isinstance(whole, Iterable | None):
        return [whole]
    given = [] if whole is None else list(whole)
    if not given:
        raise ZoobenchError("no predictions to score; give a file, a DataFrame or a list of them")
    return given


def write_predictions(frame: pd.DataFrame, out: Path, protocol: str | None = None) -> None:
    """Write a predictions frame as parquet, whole or not at all; numbers in single precision, classes as codes.

    Of predictions that were made for a protocol the file's metadata name it: ``zoobench.protocol``.
    """
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    single = [field.with_type(pa.float32()) if field.name in numbers else field for field in table.schema]
    pq.write_table(
        table.cast(pa.schema(single, {"zoobench.protocol": protocol} if protocol else None)),
        sink,
        compression="ZSTD",
        compression_level=9,
        use_dictionary=[name for name in table.schema.names if name not in ("example_id", *numbers)],
        use_byte_stream_split=numbers,
    )
    try:
        write_atomically(out, sink.getvalue().to_pybytes())
    except OSError as error:
        raise ZoobenchError(f"cannot write {out}: {error.strerror or error}") from error
