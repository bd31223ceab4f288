"""What ``torch.save`` writes, read without torch: zip archives, the older serialisation, and plain pickles.

The pickle of a file is read by ``pickles``, its tensors are views of the file on disk. No code of the file runs.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from zoobench.errors import ZoobenchError

from . import frames as frames  # reads the pandas objects that pickles meet
from . import pickles

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file of before torch 1.6
_BFLOAT16 = "bfloat16"
_DTYPES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
    "UntypedStorage": "u1",
    "torch.float32": "f4",
    "torch.float64": "f8",
    "torch.float16": "f2",
    "torch.bfloat16": _BFLOAT16,
    "torch.int64": "i8",
    "torch.int32": "i4",
    "torch.int16": "i2",
    "torch.int8": "i1",
    "torch.uint8": "u1",
    "torch.bool": "b1",
}


class Storage:
    """The values behind tensors: bytes of the file, found when they are asked for."""

    def __init__(self, kind: str, values: int, find: Callable[[], np.ndarray], order: str = "<") -> None:
        self._kind, self._values, self._find, self._order = kind, values, find, order

    def is_bfloat16(self, dtype: pickles.Name | None) -> bool:
        return (_DTYPES[dtype.name] if dtype else self._kind) == _BFLOAT16

    def flat(self, dtype: str | None) -> np.ndarray:
        """All values (n,); bfloat16 as the uint16 of its bits."""
        kind = _DTYPES[dtype] if dtype else self._kind
        numbers = np.dtype(f"{self._order}{'u2' if kind == _BFLOAT16 else kind}")
        size = self._values if dtype else self._values * numbers.itemsize
        content = self._find()
        if size > content.size:
            raise ValueError(f"a storage of {size:,} bytes has {content.size:,}")
        return content[:size].view(numbers)


def load(path: Path) -> Any:
    """Load a file written by ``torch.save`` or ``pickle.dump``: plain containers and ``pickles.StandIn`` objects.

    Values are given by ``pickles.plain``; tensors stay on disk until then.

    Raises:
        ZoobenchError: the file is broken, or it names something that is not on the list.
    """
    with reading(path), path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        return _load_zip(path) if zipped else _load_stream(path, file)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """One line for content that is not what its form promises: around whatever interprets a file's parts.

    Raises:
        ZoobenchError: for an error that broken content causes inside the ``with`` block.
    """
    try:
        yield
    except (*pickles.BROKEN, zipfile.BadZipFile, struct.error) as error:
        text = str(error).strip()
        reason = text.splitlines()[0] if text else type(error).__name__
        raise ZoobenchError(f"{path} is broken or was not written by torch.save ({reason})") from error


def _kind(storage_type: Any) -> str:
    name = storage_type.name.rpartition(".")[2] if isinstance(storage_type, pickles.Name) else ""
    if name not in _DTYPES:
        raise pickle.UnpicklingError(f"values of type {name or storage_type!r}")
    return _DTYPES[name]


def _map(path: Path) -> np.ndarray:
    return np.memmap(path, np.uint8, "r")


def _load_zip(path: Path) -> Any:
    """A zip archive of ``data.pkl`` and one record per storage, none of them compressed."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickled = [name for name in members if name.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise ValueError(f"it has {len(pickled)} data.pkl")
        root = pickled[0].removesuffix("data.pkl")
        if compressed := [name for name, info in members.items() if info.compress_type != zipfile.ZIP_STORED]:
            raise ValueError(f"{compressed[0]} is compressed, which torch.save never does")
        order = ">" if f"{root}byteorder" in members and archive.read(f"{root}byteorder") == b"big" else "<"
        content = _map(path)

        def storage(pid: tuple[Any, ...]) -> Storage:
            _, kind, key, _, values = pid
            record = members[f"{root}data/{key}"]
            return Storage(_kind(kind), int(values), lambda: _record(content, record), order)

        with archive.open(pickled[0]) as file:
            return pickles.Reader(cast(BinaryIO, file), path, storage).load()


def _record(content: np.ndarray, info: zipfile.ZipInfo) -> np.ndarray:
    """The bytes of a record that is not compressed; its local header says where they begin."""
    header = content[info.header_offset : info.header_offset + 30].tobytes()
    name, extra = struct.unpack("<HH", header[26:30])
    start = info.header_offset + 30 + name + extra
    return content[start : start + info.file_size]


def _load_stream(path: Path, file: BinaryIO) -> Any:
    """A plain pickle; or magic number, protocol, system, the object, the keys of its storages, and their values."""
    first = pickles.Reader(file, path).load()
    if first != _MAGIC:
        return first
    for _ in ("protocol", "system"):
        pickles.Reader(file, path).load()
    found: dict[str, np.ndarray] = {}
    kinds: dict[str, str] = {}

    def storage(pid: tuple[Any, ...]) -> Any:
        if pid[0] == "module":  # a class of modules, which this form stores with its source code: only its name is kept
            return pid[1]
        _, kind, key, _, values, view = pid
        kinds[key] = _kind(kind)
        if view is None:
            return Storage(kinds[key], int(values), lambda: found[key])
        _, offset, size = view
        item = _itemsize(kinds[key])
        return Storage(kinds[key], int(size), lambda: found[key][int(offset) * item :])

    loaded = pickles.Reader(file, path, storage).load()
    keys = pickles.Reader(file, path).load()
    content, position = _map(path), file.tell()
    for key in keys:
        values = struct.unpack("<q", content[position : position + 8].tobytes())[0]
        size = values * _itemsize(kinds[key])
        position += 8
        if values < 0 or position + size > content.size:
            raise ValueError(f"it ends inside a storage of {size:,} bytes")
        found[key] = content[position : position + size]
        position += size
    return loaded


def _itemsize(kind: str) -> int:
    return 2 if kind == _BFLOAT16 else np.dtype(kind).itemsize
