"""Columns of predictions, wherever they come from: strings as codes, numbers as finite float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..errors import ZoobenchError, shown

# A larger prediction is no answer in any unit, and sums of its squares, and squares of those, would not be finite.
LARGEST = float(np.finfo(np.float32).max)
# What pyarrow raises for content that is not what it claims to be.
UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
CODES = pa.dictionary(pa.int32(), pa.large_string())
_SHOWN = 5
_LONGEST = 80


@dataclass(frozen=True)
class Columns:
    """What a source of predictions holds.

    Attributes:
        source: what to call it in messages.
        sha256: of a file's bytes, or of the columns as an Arrow stream.
        types: by name, those that occur twice once; what is not needed has a type, too.
        repeated: names that occur more than once.
        rows: their number, found when asked for.
        read: the values of a column.
    """

    source: str
    sha256: str
    types: Mapping[str, pa.DataType]
    repeated: frozenset[str]
    rows: Callable[[], int]
    read: Callable[[str], pa.ChunkedArray]


@dataclass(frozen=True)
class Coded:
    """A column of strings: the distinct ones, and which of them stands in each row (rows,) int32."""

    values: pa.Array
    codes: np.ndarray

    def first(self, rows: np.ndarray) -> str:
        """``a, b, c, d, e, …``: the first few strings of some rows."""
        texts = self.values.take(pa.array(self.codes[rows[:_SHOWN]])).to_pylist()
        return ", ".join(map(short, texts)) + (", …" if len(rows) > _SHOWN else "")


def short(text: str, longest: int = _LONGEST) -> str:
    """For a message of one line."""
    return shown(text if len(text) <= longest else f"{text[:longest]}…")


def first_line(error: BaseException) -> str:
    """What an error says, in one short line."""
    return short(next((line for line in str(error).splitlines() if line), type(error).__name__), 2 * _LONGEST)


_TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column may hold strings; bytes are taken for UTF-8."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return any(test(kind) for test in _TEXT_TYPES)


def _is_number(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_number(kind.value_type)
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)


def strings(columns: Columns, name: str) -> Coded:
    """A column of strings, none of them empty.

    Raises:
        ZoobenchError: another type, or empty rows.
    """
    if not is_text(columns.types[name]):
        raise ZoobenchError(f"{columns.source}: column {name!r} holds {columns.types[name]}, it must hold strings")
    try:
        chunks = [coded(chunk) for chunk in columns.read(name).chunks]
        array = pa.chunked_array(chunks, CODES).unify_dictionaries()
        whole = array.combine_chunks()
    except UNREADABLE as error:
        raise ZoobenchError(f"{columns.source}: column {name!r} cannot be read: {first_line(error)}") from error
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    values, nulls = whole.dictionary, whole.null_count
    empty = np.flatnonzero(values.is_null())
    if nulls := nulls or int(np.isin(whole.indices, empty).sum()):
        raise ZoobenchError(f"{columns.source}: column {name!r} is empty in {nulls:,} rows")
    return Coded(values, whole.indices.to_numpy())


def coded(chunk: pa.Array) -> pa.DictionaryArray:
    """Strings as int32 codes into large strings; those that are codes already are not spelt out."""
    if not pa.types.is_dictionary(chunk.type):
        return chunk.cast(pa.large_string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int32()), chunk.dictionary.cast(pa.large_string()))


def numbers(columns: Columns, name: str, ids: Coded) -> np.ndarray:
    """A column of finite numbers (rows,), none larger than ``LARGEST``; ``ids`` say where one is.

    Raises:
        ZoobenchError: another type, or numbers that are missing, infinite or too large.
    """
    kind = columns.types[name]
    if not _is_number(kind):
        raise ZoobenchError(f"{columns.source}: column {name!r} holds {kind}, it must hold numbers")
    column = columns.read(name)
    try:
        if pa.types.is_dictionary(kind):
            kind, column = kind.value_type, column.cast(kind.value_type)
        values: np.ndarray = (column.cast(pa.float64()) if pa.types.is_decimal(kind) else column).to_numpy()
    except UNREADABLE as error:
        raise ZoobenchError(f"{columns.source}: column {name!r} cannot be read: {first_line(error)}") from error
    too_large = np.abs(values) > LARGEST if values.dtype == np.float64 else np.zeros(len(values), bool)
    for bad, problem in (
        (~np.isfinite(values), "is NaN or infinite"),
        (too_large, f"is beyond ±{LARGEST:.2g}, the largest in single precision,"),
    ):
        rows = np.flatnonzero(bad)
        if len(rows):
            raise ZoobenchError(
                f"{columns.source}: column {name!r} {problem} in {len(rows):,} rows, at example_id "
                f"{ids.first(rows)}; predict a finite number for every example"
            )
    return values
