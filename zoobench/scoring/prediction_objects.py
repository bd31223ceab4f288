"""Predictions in memory as columns: DataFrames, Arrow tables of any library, columns by name.

Only the columns that are needed are taken. An index means nothing, unless a level of it is named as an id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ZoobenchError
from .columns import Columns, first_line


def is_arrow(source: object) -> bool:
    """Whether a library's object offers its columns to Arrow: pyarrow, polars, duckdb and others do."""
    return hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__")


def of_object(source: Any, name: str, wanted: Collection[str], ids: Collection[str]) -> Columns:
    """The columns of a DataFrame, of what Arrow takes for a table, or of sequences by name.

    Args:
        source: what holds them.
        name: what to call it in messages.
        wanted: the columns that are needed, if they are there.
        ids: those of them that may be levels of an index.

    Raises:
        ZoobenchError: no such thing, or a column that has no type.
    """
    if isinstance(source, Mapping):
        try:
            source = pd.DataFrame(dict(source))
        except Exception as error:
            raise ZoobenchError(f"{name} is no table ({first_line(error)}); give columns of equal length") from error
    if isinstance(source, pd.DataFrame):
        return _of_frame(source, name, wanted, ids)
    try:
        table = pa.table(source)
    except Exception as error:
        raise ZoobenchError(f"{name} is no table of columns ({first_line(error)}); give a DataFrame") from error
    return _of_arrays(list(zip(table.schema.names, table.columns, strict=True)), name, wanted)


def _of_frame(frame: pd.DataFrame, name: str, wanted: Collection[str], ids: Collection[str]) -> Columns:
    if frame.columns.nlevels > 1:
        raise ZoobenchError(f"{name} has columns of {frame.columns.nlevels} levels; name each by one string")
    names = [str(column) for column in frame.columns]
    levels = {level: place for place, level in enumerate(frame.index.names) if level in ids and level not in names}
    given: list[tuple[str, Any]] = [
        (str(level), frame.index.get_level_values(place)) for level, place in levels.items()
    ]
    given += [(column, frame.iloc[:, place]) for place, column in enumerate(names)]
    return _of_arrays(
        [(c, _array(values, c, name) if c in wanted else pa.nulls(0)) for c, values in given], name, wanted
    )


def _array(values: Any, column: str, name: str) -> pa.Array | pa.ChunkedArray:
    if isinstance(values.dtype, pd.SparseDtype):
        values = values.sparse.to_dense()
    if values.dtype == np.longdouble:
        with np.errstate(over="ignore"):
            values = values.astype(np.float64)
    try:
        if values.dtype == object and all(isinstance(v, Real | Decimal) and not isinstance(v, bool) for v in values):
            values = values.astype(np.float64)
        return pa.array(values, from_pandas=True)
    except Exception as error:
        if values.dtype != object:
            raise ZoobenchError(f"{name}: column {column!r} holds {values.dtype}, which has no place there") from error
        said = first_line(error)
        raise ZoobenchError(f"{name} holds a column of mixed types ({column!r}: {said}); give it one type") from error


def _of_arrays(given: list[tuple[str, Any]], name: str, wanted: Collection[str]) -> Columns:
    names = [column for column, _ in given]
    arrays = {column: _plain(values) for column, values in reversed(given) if column in wanted}
    table = pa.table({column: arrays[column] for column in dict.fromkeys(names) if column in arrays})
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    digest = hashlib.sha256(stream.getvalue()).hexdigest()
    types = {column: table.schema.field(column).type if column in arrays else pa.null() for column in names}
    repeated = frozenset(column for column in types if names.count(column) > 1)
    return Columns(name, digest, types, repeated, lambda: table.num_rows, table.column)


def _plain(values: Any) -> Any:
    return pc.run_end_decode(values) if pa.types.is_run_end_encoded(values.type) else values
