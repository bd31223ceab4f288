"""The weights of all rows, read once: which are finite, which come again, and a few kept to be looked at closer."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

_BATCH_BYTES = 2_000_000
_SKETCH = 256  # weights of a row that stand for all of them in distances


@dataclass(frozen=True)
class Networks:
    """What is kept of the weights.

    Attributes:
        fingerprints: of each row; ``None`` where all weights are equal.
        finite: (rows,) bool.
        sketches: by row, some of its weights, the same ones of every row: (256,) float64 or fewer.
        weights: by row, all of them: (N,) float32.
    """

    fingerprints: list[bytes | None]
    finite: np.ndarray
    sketches: dict[int, np.ndarray]
    weights: dict[int, np.ndarray]


def fingerprint(weights: np.ndarray) -> bytes | None:
    """A hash of one network's weights; ``None`` for weights that are all equal, as those of a collapsed network are."""
    return None if (weights == weights[0]).all() else hashlib.blake2b(weights.tobytes(), digest_size=16).digest()


def read(files: Sequence[Path], width: int, sketched: Collection[int], kept: Collection[int]) -> Networks:
    """Read the weights of files of rows, a few at a time.

    Args:
        files: parquet files of rows, in order.
        width: weights per row.
        sketched: numbers of rows of which a sketch is kept.
        kept: numbers of rows whose weights are kept.
    """
    chosen = np.sort(np.random.RandomState(0).permutation(width)[:_SKETCH])
    fingerprints: list[bytes | None] = []
    finite, sketches, weights = [], {}, {}
    for matrix in _batches(files, width):
        start = len(fingerprints)
        finite.append(np.isfinite(matrix).all(axis=1))
        fingerprints += map(fingerprint, matrix)
        for number in range(start, start + len(matrix)):
            if number in sketched:
                sketches[number] = matrix[number - start, chosen].astype(np.float64)
            if number in kept:
                weights[number] = matrix[number - start].copy()
    return Networks(fingerprints, np.concatenate(finite) if finite else np.empty(0, bool), sketches, weights)


def _batches(files: Sequence[Path], width: int) -> Iterator[np.ndarray]:
    for path in files:
        with pq.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(max(1, _BATCH_BYTES // (4 * width)), columns=["weights"]):
                yield batch["weights"].flatten().to_numpy().reshape(-1, width)
