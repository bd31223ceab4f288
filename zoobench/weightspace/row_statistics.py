"""Mean, variance and order statistics of the rows of a matrix.

Sixteen rows are sorted side by side where a processor has vectors of sixteen numbers. NumPy does it elsewhere: with
AVX-512 its sort is slow on some processors, with shorter vectors it is the faster one.
"""

from __future__ import annotations

import numpy as np

from ..native import library


def row_statistics(values: np.ndarray, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moments and order statistics of each row; what is not a number comes last in order, as in ``np.sort``.

    Args:
        values: (rows, n) float32, n > 0; the numbers of a row adjacent in memory.
        ranks: int64, from 0, the smallest, to n - 1.

    Returns:
        Mean and variance, (rows, 2) float64, and the numbers of those ranks, (rows, len(ranks)) float32.

    Raises:
        ValueError: other arrays, or ranks that no number has.
        MemoryError: none is left for sixteen rows.
    """
    rows, size = values.shape
    if values.dtype != np.float32 or values.strides[1] != values.itemsize or not size:
        raise ValueError(f"values are {values.dtype} {values.shape}; give float32 rows that are adjacent in memory")
    if values.strides[0] % values.itemsize:
        raise ValueError(f"rows are {values.strides[0]} bytes apart; give whole numbers of values")
    if ranks.dtype != np.int64 or (len(ranks) and (ranks.min() < 0 or ranks.max() >= size)):
        raise ValueError(f"ranks are {ranks.dtype} {ranks.tolist()}; give int64 from 0 to {size - 1}")
    compiled = library("row_statistics")
    if compiled is None:
        with np.errstate(invalid="ignore"):
            moments = [values.mean(axis=1, dtype=np.float64), values.var(axis=1, dtype=np.float64)]
        return np.stack(moments, axis=1), np.sort(values, axis=1)[:, ranks]
    ranks = np.ascontiguousarray(ranks)
    found, ordered = np.empty((rows, 2)), np.empty((rows, len(ranks)), np.float32)
    failed = compiled.row_statistics(
        values.ctypes.data,
        values.strides[0] // values.itemsize,
        rows,
        size,
        ranks.ctypes.data,
        len(ranks),
        found.ctypes.data,
        ordered.ctypes.data,
    )
    if failed:
        raise MemoryError(f"no memory is left for sixteen rows of {size:,} numbers")
    return found, ordered
