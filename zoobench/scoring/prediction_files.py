"""Predictions files as columns: parquet or CSV, compressed or not, on disk or from a pipe.

What a file is, its first bytes say. Only the columns that are needed are read, and strings are kept as codes, so that a
long file, or one made to be expanded, stays small in memory.
"""

from __future__ import annotations

import bz2
import codecs
import functools
import gzip
import hashlib
import io
import itertools
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ..errors import ZoobenchError
from .columns import CODES, UNREADABLE, Columns, coded, first_line, is_text

# All test checkpoints of all zoos, predicted by predictors of all zoos, are some ten millions.
_MOST_ROWS = 50_000_000
# What comes through a pipe is held in memory.
_MOST_PIPED = 2**30
# Ids and numbers compress to a tenth or a twentieth; what expands to more than this is made to.
_EXPANDED, _TIMES = 2**25, 100
# Of strings whose encoding spells out each: rows at a time, and bytes, of one and of all that differ.
_TOGETHER, _LONGEST_STRING, _MOST_TEXT = 256, 2**16, 2**31

_BUFFER, _HEAD = 2**20, 2**12
_PARQUET = b"PAR1"
_LFS = b"version https://git-lfs.github.com/spec/"
_UNREADABLE = (*UNREADABLE, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


def _unzip(stream: BinaryIO) -> BinaryIO:
    archive = zipfile.ZipFile(stream)
    names = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(names) != 1:
        raise ValueError(f"it holds {len(names)} files, not one")
    return cast(BinaryIO, archive.open(names[0]))


def _untar(stream: BinaryIO) -> BinaryIO:
    archive = tarfile.open(fileobj=stream, mode="r|*")  # noqa: SIM115 - what is returned reads from it
    found = next((archive.extractfile(entry) for entry in archive if entry.isreg()), None)
    if found is None:
        raise ValueError("it holds no file")
    return cast(BinaryIO, found)


_COMPRESSED: Mapping[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda stream: pa.CompressedInputStream(stream, "zstd"),
    b"\x04\x22\x4d\x18": lambda stream: pa.CompressedInputStream(stream, "lz4"),
    b"PK\x03\x04": _unzip,
}
# What no first bytes tell.
_NAMED: Mapping[str, Callable[[BinaryIO], Any]] = {
    ".tar": _untar,
    ".br": lambda stream: pa.CompressedInputStream(stream, "brotli"),
}


class _Expanded(io.RawIOBase):
    """What a compressed stream expands to, up to ``most`` bytes."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream, self._left = stream, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("it expands to far more than predictions do")
        buffer[: len(data)] = data
        return len(data)


def of_path(path: Path, texts: Collection[str], numbers: Collection[str]) -> Columns:
    """The columns of a file; of a pipe or a device, all of it is read, once.

    Args:
        path: parquet, or CSV in UTF-8, plain or compressed.
        texts: columns of a CSV file that are strings, whatever they look like.
        numbers: its columns that are numbers; others are not read.

    Raises:
        ZoobenchError: not such a file, or it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return of_stream(stream, str(path), texts, numbers)
            digest, size = hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
    except OSError as error:
        raise ZoobenchError(f"cannot read predictions {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ZoobenchError(f"cannot read predictions {str(path)!r}: {error}") from error
    return _columns(str(path), digest, size, lambda: path.open("rb"), texts, numbers)


def of_stream(stream: Any, name: str, texts: Collection[str], numbers: Collection[str]) -> Columns:
    """As ``of_path``, of an open file, which is read to its end."""
    try:
        content = stream.read(_MOST_PIPED + 1)
    except (OSError, ValueError) as error:
        raise ZoobenchError(f"cannot read predictions {name}: {getattr(error, 'strerror', None) or error}") from error
    data = content.encode() if isinstance(content, str) else bytes(content)
    if len(data) > _MOST_PIPED:
        raise ZoobenchError(
            f"{name} has more than {_MOST_PIPED:,} bytes; predictions as long are read from a file only"
        )
    digest = hashlib.sha256(data).hexdigest()
    return _columns(name, digest, len(data), lambda: io.BytesIO(data), texts, numbers)


def _columns(
    name: str,
    digest: str,
    size: int,
    opened: Callable[[], BinaryIO],
    texts: Collection[str],
    numbers: Collection[str],
) -> Columns:
    with opened() as stream:
        head = stream.read(_HEAD)
    if head.startswith(_LFS):
        raise ZoobenchError(f"{name} is a pointer of Git LFS, not the file that it points to; git lfs pull gets that")
    if head.startswith(_PARQUET) or Path(name).suffix.lower() in (".parquet", ".pq"):
        return _of_parquet(name, digest, opened)
    named = (_NAMED[suffix] for suffix in map(str.lower, Path(name).suffixes) if suffix in _NAMED)
    expand = next(itertools.chain(named, (_COMPRESSED[magic] for magic in _COMPRESSED if head.startswith(magic))), None)
    if expand is None:
        _check_text(name, head)
        return _of_csv(name, digest, opened, texts, numbers)

    def expanded() -> BinaryIO:
        return io.BufferedReader(_Expanded(expand(opened()), _EXPANDED + _TIMES * size), _BUFFER)

    try:
        with expanded() as stream:
            head = stream.read(_HEAD)
    except _UNREADABLE as error:
        raise _refused(name, f"{name} cannot be expanded", error) from error
    if head.startswith(_PARQUET):
        raise ZoobenchError(f"{name} is parquet that was compressed once more; give the parquet file itself")
    _check_text(name, head)
    return _of_csv(name, digest, expanded, texts, numbers)


def _check_text(name: str, head: bytes) -> None:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ZoobenchError(f"{name} is not a readable CSV file, nor parquet: it is not text in UTF-8")


def _refused(name: str, problem: str, error: BaseException) -> ZoobenchError:
    """What is wrong with the file, or with the machine, if that is what the error says."""
    if isinstance(error, OSError) and error.errno:
        return ZoobenchError(f"cannot read predictions {name}: {error.strerror}")
    if isinstance(error, MemoryError):
        return ZoobenchError(f"cannot read predictions {name}: not enough memory")
    return ZoobenchError(f"{problem}: {first_line(error)}")


def _check_length(name: str, rows: int) -> None:
    if rows > _MOST_ROWS:
        raise ZoobenchError(f"{name} claims to have {rows:,} rows; no set of test splits has more than {_MOST_ROWS:,}")


def _of_csv(
    name: str, digest: str, opened: Callable[[], BinaryIO], texts: Collection[str], numbers: Collection[str]
) -> Columns:
    problem = f"{name} is not a readable CSV file"
    try:
        with opened() as stream, pacsv.open_csv(stream) as reader:
            count = Counter(reader.schema.names)
    except _UNREADABLE as error:
        raise _refused(name, problem, error) from error
    types = {column: pa.float64() for column in numbers} | {column: pa.string() for column in texts}
    wanted = [column for column in count if column in types]
    codes = {
        column: pa.dictionary(pa.int32(), types[column]) if column in texts else types[column] for column in wanted
    }

    @functools.cache
    def table() -> pa.Table:
        options = pacsv.ConvertOptions(include_columns=wanted, column_types=codes)
        batches, rows = [], 0
        try:
            with opened() as stream, pacsv.open_csv(stream, convert_options=options) as reader:
                for batch in reader:
                    rows += len(batch)
                    _check_length(name, rows)
                    batches.append(batch)
                return pa.Table.from_batches(batches, reader.schema)
        except _UNREADABLE as error:
            raise _refused(name, problem, error) from error

    return Columns(
        name,
        digest,
        {column: codes.get(column, pa.null()) for column in count},
        frozenset(column for column, times in count.items() if times > 1),
        lambda: table().num_rows,
        lambda column: table()[column],
    )


def _of_parquet(name: str, digest: str, opened: Callable[[], BinaryIO]) -> Columns:
    try:
        with opened() as stream, pq.ParquetFile(stream) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
            count = Counter(schema.names)
    except _UNREADABLE as error:
        problem = f"{name} is not a parquet file ({first_line(error)}); write it with DataFrame.to_parquet"
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
            raise _refused(name, problem, error) from error
        raise ZoobenchError(f"{problem}, or give it a name ending in .csv if it is CSV") from error
    _check_length(name, rows)
    types = {column: schema.types[schema.names.index(column)] for column in count}

    def read(column: str) -> pa.ChunkedArray:
        try:
            return _read(opened, column, types[column])
        except _UNREADABLE as error:
            raise _refused(name, f"{name}: column {column!r} cannot be read", error) from error

    repeated = frozenset(column for column, times in count.items() if times > 1)
    return Columns(name, digest, types, repeated, lambda: rows, read)


def _read(opened: Callable[[], BinaryIO], column: str, kind: pa.DataType) -> pa.ChunkedArray:
    """A column; strings as codes, so that a few long ones that are repeated often stay small."""
    if is_text(kind):
        try:
            with opened() as stream, pq.ParquetFile(stream, read_dictionary=[column]) as parquet:
                read = parquet.read(columns=[column])[column]
                read.validate(full=True)
                return read
        except _UNREADABLE:
            # Of some encodings, pyarrow cannot make codes.
            return _spelt_out(opened, column)
    with opened() as stream, pq.ParquetFile(stream) as parquet:
        read = parquet.read(columns=[column])[column]
        read.validate(full=True)
        return read


def _spelt_out(opened: Callable[[], BinaryIO], column: str) -> pa.ChunkedArray:
    """A column of strings, a few rows at a time: encodings that share prefixes can expand without end."""
    chunks, left = [], _MOST_TEXT
    with opened() as stream, pq.ParquetFile(stream) as parquet:
        for batch in parquet.iter_batches(_TOGETHER, columns=[column]):
            chunks.append(coded(batch.column(0)))
            chunks[-1].validate(full=True)
            lengths = pc.binary_length(chunks[-1].dictionary)
            if (longest := pc.max(lengths).as_py() or 0) > _LONGEST_STRING:
                raise ValueError(f"it holds a string of {longest:,} bytes")
            left -= pc.sum(lengths).as_py() or 0
            if left < 0:
                raise ValueError(f"its strings have more than {_MOST_TEXT:,} bytes")
    return pa.chunked_array(chunks, CODES)
