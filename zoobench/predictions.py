"""The predictions file: read, checked, and joined to the labels by ``example_id``, never by row order.

Columns: ``zoo``, ``example_id``, optionally ``trained_on`` (default: ``zoo``), then one column per predicted task,
named as the task. Every (zoo, trained_on) pair must cover the zoo's test split exactly, once per row.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from . import tasks, zoos
from .errors import ZoobenchError, closest, did_you_mean
from .metrics import CLASSIFICATION
from .zoos import Zoo

_ID_COLUMNS = ("zoo", "example_id", "trained_on")
_PANDAS_INDEX = "__index_level_"
_SHOWN = 5


@dataclass(frozen=True)
class Predictions:
    """A checked predictions file: ids, and predictions in the columns ``task_names``, float64 or class names."""

    frame: pd.DataFrame
    task_names: tuple[str, ...]
    sha256: str
    source: str

    def groups(self) -> Iterator[tuple[Zoo, Zoo, pd.DataFrame]]:
        """Yield (zoo, trained_on, rows) for each pair in the file, in the order of first appearance."""
        for (zoo, trained_on), rows in self.frame.groupby(["zoo", "trained_on"], sort=False, observed=True):
            yield zoos.resolve(str(zoo)), zoos.resolve(str(trained_on)), rows


class UnknownColumnWarning(UserWarning):
    """A column of a predictions file that is neither an id nor a task."""


def read_predictions(path: Path) -> Predictions:
    """Read and check a parquet or ``.csv`` predictions file, as far as that needs no labels.

    Raises:
        ZoobenchError: unreadable, a column missing or not numeric, NaN or infinite values, an unknown zoo, no task.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ZoobenchError(f"cannot read predictions {path}: {error.strerror or error}") from error
    table = _parse(path, content)
    repeated = [name for name in dict.fromkeys(table.column_names) if table.column_names.count(name) > 1]
    if repeated:
        raise ZoobenchError(f"{path} has more than one column {repeated[0]!r}; keep one")
    for name in ("zoo", "example_id"):
        if name not in table.column_names:
            raise ZoobenchError(
                f"{path} has no column {name!r}{did_you_mean(name, table.column_names)}; "
                "a predictions file has zoo, example_id and one column per task"
            )
    if not table.num_rows:
        raise ZoobenchError(f"{path} has no rows; predict every example of the test split")
    task_names = tuple(name for name in table.column_names if name in tasks.BY_NAME)
    for name in table.column_names:
        if name in task_names or name in _ID_COLUMNS or name.startswith(_PANDAS_INDEX):
            continue
        meant = closest(name, tasks.BY_NAME)
        hint = f"; did you mean {meant!r}?" if meant else ""
        warnings.warn(f"{path}: column {name!r} is not a task and is ignored{hint}", UnknownColumnWarning, stacklevel=2)
    columns: dict[str, object] = {name: _ids(path, table, name) for name in ("zoo", "example_id")}
    columns["trained_on"] = _ids(path, table, "trained_on") if "trained_on" in table.column_names else columns["zoo"]
    for name in task_names:
        of_classes = tasks.BY_NAME[name].kind == CLASSIFICATION
        columns[name] = _ids(path, table, name) if of_classes else _numbers(path, table, name)
    frame = pd.DataFrame(columns)
    for column in ("zoo", "trained_on"):
        # Ids are unified ("tetris-zoo" means "tetris-zoo/seed") before rows are grouped by them.
        frame[column] = frame[column].map({name: zoos.resolve(name).id for name in frame[column].unique()})
    if not task_names:
        known = [task.name for task in tasks.tasks_of(zoos.resolve(frame["zoo"].iloc[0]).spec)]
        raise ZoobenchError(f"{path} predicts no task; name a column after one of: {', '.join(known)}")
    return Predictions(frame, task_names, hashlib.sha256(content).hexdigest(), str(path))


def _parse(path: Path, content: bytes) -> pa.Table:
    if path.suffix.lower() == ".csv":
        try:
            return pacsv.read_csv(io.BytesIO(content))
        except pa.ArrowException as error:
            raise ZoobenchError(f"{path} is not a readable CSV file: {_first_line(error)}") from error
    try:
        return pq.ParquetFile(io.BytesIO(content)).read()
    except (pa.ArrowException, OSError) as error:
        raise ZoobenchError(
            f"{path} is not a parquet file ({_first_line(error)}); write it with DataFrame.to_parquet, "
            "or give it a name ending in .csv if it is CSV"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _ids(path: Path, table: pa.Table, name: str) -> pd.Series:
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ZoobenchError(f"{path}: column {name!r} holds {column.type}, it must hold strings")
    if column.null_count:
        raise ZoobenchError(f"{path}: column {name!r} is empty in {column.null_count} rows")
    return column.to_pandas()


def _numbers(path: Path, table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        first = next((value for value in column.to_pylist() if value is not None), None)
        raise ZoobenchError(
            f"{path}: column {name!r} holds {column.type} (first value {first!r}), it must hold numbers"
        )
    values = column.cast(pa.float64()).to_numpy()
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ZoobenchError(
            f"{path}: column {name!r} is NaN or infinite in {len(bad)} rows, first at example_id "
            f"{table['example_id'][int(bad[0])].as_py()!r}; predict a finite number for every example"
        )
    return values


def join(zoo: Zoo, rows: pd.DataFrame, labels: pd.DataFrame, task_names: Sequence[str], source: str) -> pd.DataFrame:
    """Bring predictions into the order of the labels.

    Returns:
        the task columns, one row per label row.

    Raises:
        ZoobenchError: a task that makes no sense on the zoo; ids repeated, missing, or not in the test split; an
            unknown class.
    """
    told = [task for task in tasks.tasks_of(zoo.spec) if labels[task.column].notna().all()]
    sensible = [task.name for task in told]
    for name in task_names:
        if name not in sensible:
            raise ZoobenchError(
                f"{source}: task {name!r} is constant or unknown on {zoo.id}; it has: {', '.join(sensible)}"
            )
    ids = rows["example_id"]
    repeated = ids[ids.duplicated()].unique()
    _refuse(source, zoo, repeated, "repeated")
    _refuse(source, zoo, ids[~ids.isin(labels["example_id"])].to_numpy(), "not in the test split")
    _refuse(source, zoo, labels.loc[~labels["example_id"].isin(ids), "example_id"].to_numpy(), "missing")
    for task in told:
        if task.kind == CLASSIFICATION and task.name in task_names:
            _known_classes(source, zoo, task, rows, labels)
    return rows.set_index("example_id").loc[labels["example_id"], list(task_names)]


def _known_classes(source: str, zoo: Zoo, task: tasks.Task, rows: pd.DataFrame, labels: pd.DataFrame) -> None:
    classes = tasks.classes_of(task, zoo.spec, labels)
    unknown = rows.loc[~rows[task.name].isin(classes), [task.name, "example_id"]]
    if len(unknown):
        name, example = unknown.iloc[0]
        raise ZoobenchError(
            f"{source}: {task.name!r} of {example} is {name!r}, which is no class of {zoo.id} ({len(unknown):,} rows); "
            f"its classes are: {', '.join(classes)}"
        )


def _refuse(source: str, zoo: Zoo, ids: np.ndarray, problem: str) -> None:
    if len(ids):
        shown = ", ".join(map(str, ids[:_SHOWN])) + (", …" if len(ids) > _SHOWN else "")
        raise ZoobenchError(
            f"{source}: {len(ids):,} example ids of {zoo.id} are {problem}: {shown}; "
            "predict every example of the test split once"
        )
