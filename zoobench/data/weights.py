"""Weights from parquet into one float32 matrix: row groups are decoded side by side, straight to their place.

A decoded copy may be kept in the user's cache, to be memory-mapped from then on: shared by all processes, and read
from disk only where it is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..caches import cache_folder
from ..cores import usable_cores
from ..errors import ZoobenchError, note_once
from ..files import beside, locked, remove
from . import tables
from .digests import digest_of

# Decoded in one go: what stays in the processor's cache until it is copied to its place.
_BATCH_BYTES = 2_000_000


def read(files: Sequence[Path], width: int) -> np.ndarray:
    """The weights of parquet files of rows, in order: (rows, ``width``) float32, C order.

    Beside the matrix, little more is in memory at a time than the pages of one row group per processor core.

    Raises:
        ZoobenchError: a file cannot be read or holds other weights, or there is no memory for so many.
    """
    shape = _shape(files, width)
    try:
        matrix = np.empty(shape, np.float32)
    except (MemoryError, ValueError) as error:
        raise ZoobenchError(
            f"no memory for the {shape[0]:,} x {width:,} weights of {', '.join(map(str, files[:1]))}; "
            "load_zoo(memory_map=True) needs little"
        ) from error
    _fill(matrix, files)
    return matrix


def read_mapped(files: Sequence[Path], width: int) -> np.ndarray:
    """The same matrix, read-only and memory-mapped from a decoded copy, which is written where there is none.

    The copy is named by the sha256 of the files' own bytes and by its own: one that was changed or cut is made again.
    Where it cannot be kept, the matrix is in memory.

    Args:
        files: parquet files of rows.
        width: weights per row.

    Raises:
        ZoobenchError: a file cannot be read or holds other weights.
    """
    digests = []
    for path in files:
        with tables.reading(path):
            digests.append(digest_of(path))
    key = hashlib.sha256("\n".join([*digests, str(width)]).encode()).hexdigest()[:32]
    copies, shape = None, _shape(files, width)
    try:
        copies = cache_folder("weights")
        if (mapped := _mapped(copies, key, shape)) is not None:
            return mapped
        with locked(copies / key):
            if (mapped := _mapped(copies, key, shape)) is not None:
                return mapped
            return _map(_keep(copies / key, files, shape), shape)
    except OSError as error:
        where = f" in {copies}" if copies else ""
        note_once(f"weights are read into memory, no decoded copy is kept{where}", error.strerror or error)
    matrix = read(files, width)
    matrix.flags.writeable = False
    return matrix


def _mapped(copies: Path, key: str, shape: tuple[int, int]) -> np.ndarray | None:
    """A copy that is whole, if there is one."""
    for path in copies.glob(f"{key}-*.npy"):
        with contextlib.suppress(OSError, ValueError, EOFError):
            if path.stem == f"{key}-{digest_of(path)}":
                return _map(path, shape)
    return None


def _map(path: Path, shape: tuple[int, int]) -> np.ndarray:
    mapped: np.ndarray = np.load(path, mmap_mode="r")
    if (mapped.shape, mapped.dtype) != (shape, np.float32):
        raise ValueError(f"{path} holds {mapped.dtype} of the shape {mapped.shape}")
    return mapped


def _keep(path: Path, files: Sequence[Path], shape: tuple[int, int]) -> Path:
    with beside(path) as folder:
        fresh = folder / "weights.npy"
        copy = np.lib.format.open_memmap(fresh, "w+", np.float32, shape)
        _reserve(fresh)
        _fill(copy, files)
        copy.flush()
        kept = path.with_name(f"{path.name}-{digest_of(fresh)}.npy")
        if kept.is_dir():
            remove(kept)
        return fresh.replace(kept)


def _reserve(path: Path) -> None:
    """Take the disk space of a sparse file now: on a full disk that is an error, a write through a map is a crash."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _shape(files: Sequence[Path], width: int) -> tuple[int, int]:
    return sum(tables.count_rows(path) for path in files), width


def _fill(matrix: np.ndarray, files: Sequence[Path]) -> None:
    jobs, start = [], 0
    together = max(1, _BATCH_BYTES // max(1, matrix[:0].strides[0]))
    for path in files:
        with tables.reading(path):
            metadata = pq.read_metadata(path)
            _check_weights(path, metadata, matrix.shape[1])
        for group in range(metadata.num_row_groups):
            stop = start + metadata.row_group(group).num_rows
            jobs.append((path, metadata, group, start, stop))
            start = stop

    def decode(job: tuple[Path, pq.FileMetaData, int, int, int]) -> None:
        path, metadata, group, start, stop = job
        with tables.reading(path), pq.ParquetFile(path, metadata=metadata, memory_map=True) as parquet:
            batches = parquet.iter_batches(together, row_groups=[group], columns=["weights"], use_threads=False)
            for batch in batches:
                end = start + len(batch)
                values = batch["weights"].flatten().to_numpy(zero_copy_only=True)
                if end > stop or values.size != len(batch) * matrix.shape[1]:
                    break
                matrix[start:end].reshape(-1)[:] = values
                start = end
        if start != stop:
            raise ZoobenchError(f"{path} does not hold {matrix.shape[1]:,} weights in each of its rows")

    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(decode, jobs):
            pass


def _check_weights(path: Path, metadata: pq.FileMetaData, width: int) -> None:
    rows = metadata.schema.to_arrow_schema()
    tables.check_columns(path, rows, ["weights"])
    kind = rows.field("weights").type
    sizes = {width, getattr(kind, "list_size", width)}
    if getattr(kind, "value_type", None) != pa.float32() or len(sizes) > 1:
        raise ZoobenchError(f"{path}: weights are {kind}, not {width:,} float32 in each row")
