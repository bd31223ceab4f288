"""Predictions: a file or a DataFrame, read and checked as far as that needs no labels.

Columns: ``zoo``, ``example_id``, optionally ``trained_on`` (default: ``zoo``), then one column per predicted task,
named as the task. Predictions of perturbed networks also have the column ``perturbation``. Row order, column order and
an index mean nothing. Only the columns that are needed are read, one at a time, and strings are kept as codes, so that
a long file, or one made to be expanded, stays small in memory.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from .. import zoos
from ..errors import ZoobenchError, closest, did_you_mean
from ..files import sha256_of, write_atomically
from ..zoos import Zoo
from . import tasks
from .metrics import CLASSIFICATION

Source = Path | str | pd.DataFrame

PERTURBATION = "perturbation"
_ID_COLUMNS = ("zoo", "example_id", "trained_on")
_REPEATED = ["zoo", "trained_on", PERTURBATION]
_PANDAS_INDEX = "__index_level_"
_SHOWN = 5
_LONGEST = 80
# All test checkpoints of all zoos, predicted by predictors of all zoos, are some ten millions.
_MOST_ROWS = 50_000_000
# What pyarrow raises for files that are not what they claim to be.
_UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)


class UnknownColumnWarning(UserWarning):
    """A column of predictions that is neither an id nor a task."""


@dataclass(frozen=True)
class Coded:
    """A column of strings: the distinct ones, and which of them stands in each row (rows,) int32."""

    values: pa.Array
    codes: np.ndarray

    def first(self, rows: np.ndarray) -> str:
        """``a, b, c, d, e, …``: the first few strings of some rows."""
        shown = self.values.take(pa.array(self.codes[rows[:_SHOWN]])).to_pylist()
        return ", ".join(map(_short, shown)) + (", …" if len(rows) > _SHOWN else "")


def _short(text: str) -> str:
    """For a message of one line."""
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return shown if shown.isprintable() else repr(shown)


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


@dataclass(frozen=True)
class _Table:
    """Columns of a file, read when asked for; ``names`` are decoded already, which can fail."""

    source: str
    sha256: str
    schema: pa.Schema
    names: list[str]
    rows: int
    read: Callable[[str], pa.ChunkedArray]


def read_predictions(source: Source, perturbed: bool = False, name: str = "the DataFrame") -> Predictions:
    """Read and check predictions, as far as that needs no labels.

    Args:
        source: parquet or ``.csv`` file, or a DataFrame.
        perturbed: of perturbed networks: they must have the column ``perturbation``, and others must not.
        name: what to call a DataFrame in messages.

    Raises:
        ZoobenchError: unreadable, a column missing or not numeric, NaN or infinite values, an unknown zoo, no task.
    """
    table = _of_frame(source, name) if isinstance(source, pd.DataFrame) else _of_file(Path(source))
    task_names = _check_columns(table, perturbed)
    coded = {column: _strings(table, column) for column in _ID_COLUMNS if column in table.names}
    coded.setdefault("trained_on", coded["zoo"])
    if perturbed:
        coded[PERTURBATION] = _strings(table, PERTURBATION)
    groups = tuple(_groups(table.source, coded))
    if not task_names:
        known = [task.name for task in tasks.tasks_of(groups[0].zoo.spec)]
        raise ZoobenchError(f"{table.source} predicts no task; name a column after one of: {', '.join(known)}")
    columns: dict[str, np.ndarray | Coded] = {}
    for task in task_names:
        of_classes = tasks.BY_NAME[task].kind == CLASSIFICATION
        columns[task] = _strings(table, task) if of_classes else _numbers(table, task, coded["example_id"])
    return Predictions(table.source, table.sha256, coded["example_id"], columns, groups)


def _of_frame(frame: pd.DataFrame, name: str) -> _Table:
    named = frame.reset_index() if any(level in _ID_COLUMNS for level in frame.index.names) else frame
    try:
        table = pa.Table.from_pandas(named, preserve_index=False).replace_schema_metadata(None)
    except _UNREADABLE as error:
        raise ZoobenchError(f"{name} holds a column of mixed types ({_first_line(error)}); give it one type") from error
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    digest = hashlib.sha256(stream.getvalue()).hexdigest()
    return _Table(name, digest, table.schema, table.schema.names, table.num_rows, table.column)


def _of_file(path: Path) -> _Table:
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise ZoobenchError(f"cannot read predictions {path}: {error.strerror or error}") from error
    return (_of_csv if path.suffix.lower() == ".csv" else _of_parquet)(path, digest)


def _of_csv(path: Path, digest: str) -> _Table:
    texts = (*_ID_COLUMNS, PERTURBATION, *(task.name for task in tasks.ALL if task.kind == CLASSIFICATION))
    options = pacsv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string()))
    try:
        table = pacsv.read_csv(path, convert_options=options)
        return _Table(str(path), digest, table.schema, table.schema.names, table.num_rows, table.column)
    except _UNREADABLE as error:
        raise ZoobenchError(f"{path} is not a readable CSV file: {_first_line(error)}") from error


def _of_parquet(path: Path, digest: str) -> _Table:
    try:
        with pq.ParquetFile(path) as parquet:
            schema, names, rows = parquet.schema_arrow, parquet.schema_arrow.names, parquet.metadata.num_rows
    except _UNREADABLE as error:
        raise ZoobenchError(
            f"{path} is not a parquet file ({_first_line(error)}); write it with DataFrame.to_parquet, "
            "or give it a name ending in .csv if it is CSV"
        ) from error
    if rows > _MOST_ROWS:
        raise ZoobenchError(f"{path} claims to have {rows:,} rows; no set of test splits has more than {_MOST_ROWS:,}")

    def read(name: str) -> pa.ChunkedArray:
        # Strings come as codes, so that a few long ones that are repeated often stay small.
        try:
            with pq.ParquetFile(path, read_dictionary=[name] if _is_text(schema.field(name).type) else []) as parquet:
                column = parquet.read(columns=[name])[name]
            column.validate(full=True)
            return column
        except _UNREADABLE as error:
            raise ZoobenchError(f"{path}: column {name!r} cannot be read: {_first_line(error)}") from error

    return _Table(str(path), digest, schema, names, rows, read)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _check_columns(table: _Table, perturbed: bool) -> tuple[str, ...]:
    """The tasks that are predicted. Columns that are not understood are warned about."""
    names = table.names
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ZoobenchError(f"{table.source} has more than one column {repeated[0]!r}; keep one")
    needed = ["zoo", "example_id", *([PERTURBATION] if perturbed else [])]
    for name in needed:
        if name not in names:
            raise ZoobenchError(
                f"{table.source} has no column {name!r}{did_you_mean(name, names)}; "
                f"such a file has {', '.join(needed)} and one column per task"
            )
    if PERTURBATION in names and not perturbed:
        raise ZoobenchError(f"{table.source} has predictions of perturbed networks; it is for --against")
    if not table.rows:
        raise ZoobenchError(f"{table.source} has no rows; predict every example of the test split")
    for name in names:
        if name in tasks.BY_NAME or name in _ID_COLUMNS or name in needed or name.startswith(_PANDAS_INDEX):
            continue
        meant = closest(name, tasks.BY_NAME)
        hint = f"; did you mean {meant!r}?" if meant else ""
        message = f"{table.source}: column {name!r} is not a task and is ignored{hint}"
        warnings.warn(message, UnknownColumnWarning, stacklevel=3)
    return tuple(name for name in names if name in tasks.BY_NAME)


def _strings(table: _Table, name: str) -> Coded:
    if not _is_text(table.schema.field(name).type):
        raise ZoobenchError(
            f"{table.source}: column {name!r} holds {table.schema.field(name).type}, it must hold strings"
        )
    column = table.read(name)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    values = array.dictionary.cast(pa.large_string())
    empty = np.flatnonzero(values.is_null())
    nulls = array.null_count or int(np.isin(array.indices, empty).sum())
    if nulls:
        raise ZoobenchError(f"{table.source}: column {name!r} is empty in {nulls:,} rows")
    return Coded(values, array.indices.cast(pa.int32()).to_numpy())


def _numbers(table: _Table, name: str, ids: Coded) -> np.ndarray:
    kind = table.schema.field(name).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise ZoobenchError(f"{table.source}: column {name!r} holds {kind}, it must hold numbers")
    values: np.ndarray = table.read(name).to_numpy()
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ZoobenchError(
            f"{table.source}: column {name!r} is NaN or infinite in {len(bad):,} rows, at example_id "
            f"{ids.first(bad)}; predict a finite number for every example"
        )
    return values


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
    meant = {code: meaning(_short(column.values[code].as_py())) for code in used.tolist()}
    distinct = list(dict.fromkeys(meant.values()))
    number = np.zeros(len(column.values), np.int64)
    number[used] = [distinct.index(meant[code]) for code in used.tolist()]
    return distinct, number[column.codes]


def sources(predictions: Source | Sequence[Source]) -> list[Source]:
    """One source or several, as a list."""
    return [predictions] if isinstance(predictions, Path | str | pd.DataFrame) else list(predictions)


def write_predictions(frame: pd.DataFrame, out: Path) -> None:
    """Write a predictions frame as parquet, whole or not at all."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    pq.write_table(
        table,
        sink,
        compression="ZSTD",
        compression_level=9,
        use_dictionary=_REPEATED,
        use_byte_stream_split=numbers,
    )
    try:
        write_atomically(out, sink.getvalue().to_pybytes())
    except OSError as error:
        raise ZoobenchError(f"cannot write {out}: {error.strerror or error}") from error
