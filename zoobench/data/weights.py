"""Weights from parquet into one float32 matrix: row groups are decoded side by side, straight to their place.

A decoded copy may be kept in the user's cache, to be memory-mapped from then on: shared by all processes, and read
from disk only where it is touched.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs
import pyarrow.parquet as pq

from ..cores import usable_cores
from ..errors import ZoobenchError
from ..files import whole

# Decoded in one go: what stays in the processor's cache until it is copied to its place.
_BATCH_BYTES = 2_000_000


def read(files: Sequence[Path], width: int) -> np.ndarray:
    """The weights of parquet files of rows, in order: (rows, ``width``) float32, C order.

    Beside the matrix, little more is in memory at a time than the pages of one row group per processor core.
    """
    matrix = np.empty((_rows(files), width), np.float32)
    _fill(matrix, files)
    return matrix


def read_mapped(files: Sequence[Path], width: int, sha256s: Sequence[str]) -> np.ndarray:
    """The same matrix, read-only and memory-mapped from a decoded copy, which is written when there is none.

    Args:
        files: parquet files of rows.
        width: weights per row.
        sha256s: of the files; the copy is kept under them.

    Raises:
        ZoobenchError: the copy cannot be written.
    """
    name = hashlib.sha256("\n".join(sha256s).encode()).hexdigest()
    path = platformdirs.user_cache_path("zoobench") / "weights" / f"{name}.npy"
    if not path.exists():
        try:
            with whole(path) as fresh:
                copy = np.lib.format.open_memmap(fresh, "w+", np.float32, (_rows(files), width))
                _reserve(fresh)
                _fill(copy, files)
                copy.flush()
        except OSError as error:
            raise ZoobenchError(f"cannot keep a decoded copy in {path.parent}: {error.strerror or error}") from error
    mapped: np.ndarray = np.load(path, mmap_mode="r")
    return mapped


def _reserve(path: Path) -> None:
    """Take the disk space of a sparse file now: on a full disk that is an error, a write through a map is a crash."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _rows(files: Sequence[Path]) -> int:
    return sum(pq.read_metadata(path).num_rows for path in files)


def _fill(matrix: np.ndarray, files: Sequence[Path]) -> None:
    jobs, start = [], 0
    together = max(1, _BATCH_BYTES // matrix[:0].strides[0])
    for path in files:
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            stop = start + metadata.row_group(group).num_rows
            jobs.append((path, metadata, group, start, stop))
            start = stop

    def decode(job: tuple[Path, pq.FileMetaData, int, int, int]) -> None:
        path, metadata, group, start, stop = job
        with pq.ParquetFile(path, metadata=metadata, memory_map=True) as parquet:
            batches = parquet.iter_batches(together, row_groups=[group], columns=["weights"], use_threads=False)
            for batch in batches:
                end = start + len(batch)
                matrix[start:end].reshape(-1)[:] = batch["weights"].flatten().to_numpy(zero_copy_only=True)
                start = end
        assert start == stop

    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(decode, jobs):
            pass
