"""Parquet files of a dataset folder as tables; and of a file that is none, what it is instead."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ZoobenchError

_MAGIC = b"PAR1"
_HEAD = 200
# How files begin that are found where a parquet file should be, and what they are.
_BEGINNINGS = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file that it points to; run `git lfs pull`"),
    (b"<!doctype html", "a web page (HTML), not the file"),
    (b"<html", "a web page (HTML), not the file"),
    (b"<?xml", "an XML page, not the file"),
    (b"<error", "an XML page, not the file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"pk\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """What cannot be read of a parquet file is one line that names it and says what it is.

    Raises:
        ZoobenchError: in the place of what the system or ``pyarrow`` raises.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno and (os.path.isfile(path) or not os.path.exists(path)):
            raise ZoobenchError(f"cannot read {path}: {os.strerror(error.errno)}") from error
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ZoobenchError(f"{path} is {what_it_is(path) or f'damaged: {reason}'}") from error


def count_rows(path: Path) -> int:
    """How many rows a file says that it has.

    Raises:
        ZoobenchError: it cannot be read.
    """
    with reading(path):
        return int(pq.read_metadata(path).num_rows)


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    needed: Sequence[str] = (),
    optional: Container[str] = (),
) -> pa.Table:
    """One parquet file.

    Args:
        path: of the file.
        columns: which to read, all of which must be there; ``None`` for whichever are.
        needed: columns that must be there.
        optional: columns that need not be there, even if they are to be read.

    Raises:
        ZoobenchError: it cannot be read, or lacks a column.
    """
    with reading(path), pq.ParquetFile(path) as file:
        wanted = [name for name in columns or () if name not in optional or name in file.schema_arrow.names]
        check_columns(path, file.schema_arrow, [*wanted, *needed])
        return file.read(columns=None if columns is None else wanted)


def check_columns(path: Path, schema: pa.Schema, needed: Sequence[str]) -> None:
    """Refuse a table without a column that is needed.

    Raises:
        ZoobenchError: naming the first one.
    """
    for name in needed:
        if name not in schema.names:
            raise ZoobenchError(f"{path} has no column {name!r}; it has: {', '.join(schema.names)}")


def what_it_is(path: Path) -> str:
    """What a file is that should be parquet and is not, to be read after "is"; nothing where it seems to be one."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return "a folder"
        if not stat.S_ISREG(status.st_mode):
            return "no regular file"
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(max(0, status.st_size - len(_MAGIC)))
            tail = file.read()
    except OSError as error:
        return f"out of reach: {error.strerror or error}"
    if not head:
        return "empty"
    if head.startswith(_MAGIC):
        return "" if tail == _MAGIC and status.st_size > 2 * len(_MAGIC) else "truncated or overwritten at its end"
    text = head.lstrip().lower()
    for beginning, kind in _BEGINNINGS:
        if text.startswith(beginning):
            return kind
    if not any(head):
        return "nothing but zeros at its beginning, as an unfinished download is"
    return f"no parquet file; it begins with {head[:24]!r}"
