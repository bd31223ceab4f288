"""Order statistics of many rows: sixteen rows are sorted side by side where a processor has vectors of sixteen numbers.

NumPy's sort does it elsewhere. It has instructions of AVX-512 that are slow on some processors, on which this is three
times as fast; with shorter vectors NumPy's is the faster one.
"""

from __future__ import annotations

import ctypes

import numpy as np

from .native import library


def order_statistics(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """The numbers of chosen ranks in each row; what is not a number comes last, as in ``np.sort``.

    Args:
        values: (rows, n) float32, n > 0; the numbers of a row adjacent in memory.
        ranks: int64, from 0, the smallest, to n - 1.

    Returns:
        (rows, len(ranks)) float32.

    Raises:
        ValueError: other arrays, or ranks that no number has.
        MemoryError: none is left for sixteen rows.
    """
    size = values.shape[-1]
    if values.ndim != 2 or values.dtype != np.float32 or values.strides[1] != values.itemsize or not size:
        raise ValueError(f"values are {values.dtype} {values.shape}; give float32 rows that are adjacent in memory")
    if values.strides[0] % values.itemsize:
        raise ValueError(f"rows are {values.strides[0]} bytes apart; give whole numbers of values")
    if ranks.dtype != np.int64 or (len(ranks) and (ranks.min() < 0 or ranks.max() >= size)):
        raise ValueError(f"ranks are {ranks.dtype} {ranks.tolist()}; give int64 from 0 to {size - 1}")
    compiled = library("order")
    if compiled is None:
        return np.sort(values, axis=1)[:, ranks]
    ranks = np.ascontiguousarray(ranks)
    found = np.empty((len(values), len(ranks)), np.float32)
    failed = compiled.order(
        ctypes.c_void_p(values.ctypes.data),
        ctypes.c_int64(values.strides[0] // values.itemsize),
        ctypes.c_int64(len(values)),
        ctypes.c_int(size),
        ctypes.c_void_p(ranks.ctypes.data),
        ctypes.c_int(len(ranks)),
        ctypes.c_void_p(found.ctypes.data),
    )
    if failed:
        raise MemoryError(f"no memory is left for sixteen rows of {size:,} numbers")
    return found
