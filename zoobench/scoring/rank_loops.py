"""The loops of ``ranks`` over rows, compiled by Numba when they are first called.

All take weights of a batch of resamples (runs, resamples) int32: how often a resample has each run, and so each row of
it. The innermost loop runs over resamples, which lie side by side in memory, so that one instruction handles many.
Everything that a resample counts is counted exactly, up to 2^31 rows and 2^63 pairs.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from unittest import mock

import numpy as np

from ..errors import note_once

_exists = os.path.exists
# Numba takes settings from the current folder, and fails at a file that is none. It would look again when it compiles.
with mock.patch("os.path.exists", lambda path: path != ".numba_config.yaml" and _exists(path)):
    import numba
    from numba.core import config
config._config_fname = os.devnull

P = ParamSpec("P")
R = TypeVar("R")


def _compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compiled without the interpreter's lock, and kept on disk for later processes where that may be written to."""
    try:
        kept = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # Numba finds no folder for its cache.
        return numba.njit(nogil=True)(function)
    fresh = functools.cache(lambda: numba.njit(nogil=True)(function))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return kept(*args, **kwargs)
        except Exception as error:  # what unpickling a part of a file raises, or a full disk
            note_once("the cache of Numba cannot be used, so that each process compiles", repr(error))
            return fresh()(*args, **kwargs)

    return call


@_compiled
def pairs_within(run: np.ndarray, starts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weight of the ordered pairs (i, j), i = j included, of one group: (resamples,) int64.

    Args:
        run: (n,) of rows, group by group.
        starts: (groups + 1,) where each group begins, and n.
        weights: (runs, resamples).
    """
    resamples = weights.shape[1]
    total = np.zeros(resamples, np.int64)
    size = np.zeros(resamples, np.int64)
    for group in range(len(starts) - 1):
        size[:] = 0
        for row in range(starts[group], starts[group + 1]):
            for b in range(resamples):
                size[b] += weights[run[row], b]
        for b in range(resamples):
            total[b] += size[b] * size[b]
    return total


@_compiled
def falling_pairs(place: np.ndarray, run: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weight of the pairs of rows i < j with ``place[i] > place[j]``: (resamples,) int64.

    A Fenwick tree (1994) over places: a node holds the weight of the rows so far whose places it stands for, so that
    the weight below a place, and a further row, touch log2(n) nodes.

    Args:
        place: (n,), a permutation.
        run: (n,).
        weights: (runs, resamples).
    """
    resamples = weights.shape[1]
    one = np.uint64(1)
    nodes = np.uint64(len(place))
    tree = np.zeros((len(place) + 1, resamples), np.int32)
    so_far = np.zeros(resamples, np.int32)
    below = np.zeros(resamples, np.int32)
    total = np.zeros(resamples, np.int64)
    for row in range(len(place)):
        of = np.uint64(run[row])
        below[:] = 0
        node = np.uint64(place[row])
        while node > 0:
            for b in range(resamples):
                below[b] += tree[node, b]
            node &= node - one
        for b in range(resamples):
            total[b] += np.int64(so_far[b] - below[b]) * np.int64(weights[of, b])
            so_far[b] += weights[of, b]
        node = np.uint64(place[row]) + one
        while node <= nodes:
            for b in range(resamples):
                tree[node, b] += weights[of, b]
            node += node & (~node + one)
    return total


@_compiled
def rank_products(
    orders: tuple[np.ndarray, np.ndarray],
    starts: tuple[np.ndarray, np.ndarray],
    run: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Weighted sums over rows of x², y² and x y, twice the average ranks less twice their mean: (3, resamples).

    Args:
        orders: of x and y, (n,) each: the rows from the lowest value on.
        starts: of x and y, (groups + 1,) each: where in the order each group of equal values begins, and n.
        run: (n,).
        weights: (runs, resamples).
    """
    resamples = weights.shape[1]
    ranks = np.empty((len(run), resamples), np.int32)
    sums = np.zeros((3, resamples))
    below = np.zeros((2, resamples), np.int32)
    rank = np.zeros(resamples, np.int32)
    size = np.zeros(resamples, np.int32)
    for row in range(len(run)):
        for b in range(resamples):
            below[0, b] -= weights[run[row], b]
            below[1, b] -= weights[run[row], b]
    for side in range(2):
        order, begins = orders[side], starts[side]
        for group in range(len(begins) - 1):
            size[:] = 0
            for place in range(begins[group], begins[group + 1]):
                of = run[order[place]]
                for b in range(resamples):
                    size[b] += weights[of, b]
            for b in range(resamples):
                rank[b] = below[side, b] + size[b]
                below[side, b] += 2 * size[b]
                sums[side, b] += float(size[b]) * float(rank[b]) * float(rank[b])
            for place in range(begins[group], begins[group + 1]):
                row = order[place]
                if side == 0:
                    ranks[row, :] = rank
                else:
                    for b in range(resamples):
                        sums[2, b] += float(weights[run[row], b]) * float(rank[b]) * float(ranks[row, b])
    return sums
