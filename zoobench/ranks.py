"""Rank correlations, each for many resamples of the runs at once (see ``metrics``)."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .resampling import Sample

_BLOCK_ELEMENTS = 640_000
_RANKS_AT_A_TIME = 20_000_000
_ROWS = 256


def kendall_tau_b(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Kendall's tau-b (Kendall 1945); undefined if targets or predictions are all tied.

    tau_b = (P - Q) / sqrt((n0 - n1)(n0 - n2)) with P, Q the concordant and discordant pairs, n0 all pairs, n1 and n2
    those tied in target and prediction. A resample gives row i the weight w_i = count of its run, and every pair (i,
    j) the weight w_i w_j, pairs of copies of one row included (they tie).
    """
    target = np.unique(sample.target, return_inverse=True)[1]
    prediction = np.unique(sample.prediction, return_inverse=True)[1]
    both = target * (int(prediction.max()) + 1) + prediction
    total = (counts @ sample.sum_by_run(np.ones(len(target)))) ** 2
    tied_target, tied_prediction, tied_both = (
        _tied(values, sample.run, counts) for values in (target, prediction, both)
    )
    # In the order of targets, and of predictions where those tie, a pair is discordant if its predictions fall.
    order = np.lexsort((prediction, target))
    place = np.empty(len(order), np.int64)
    place[np.argsort(prediction[order], kind="stable")] = np.arange(len(order))
    discordant = 2 * _inversions(place, sample.run[order], counts)
    comparable = total - tied_target - tied_prediction + tied_both
    scale = np.sqrt((total - tied_target) * (total - tied_prediction))
    return np.where(scale > 0, (comparable - 2 * discordant) / np.where(scale > 0, scale, 1), np.nan)


def _tied(values: np.ndarray, run: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weight of ordered pairs (i, j), i = j included, with equal value: (resamples,)."""
    group, size = np.unique(values, return_inverse=True, return_counts=True)[1:]
    alone = size[group] == 1
    pairs: np.ndarray = counts**2 @ np.bincount(run[alone], minlength=counts.shape[1]).astype(np.float64)
    if alone.all():
        return pairs
    rows = np.flatnonzero(~alone)
    rows = rows[np.argsort(group[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(group[rows], prepend=-1))

    def among(part: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(part.T.astype(np.float32)[run[rows]], starts, axis=0)
        return np.einsum("gb,gb->b", sums, sums, dtype=np.float64)

    return pairs + _in_blocks(among, counts, len(rows))


def _inversions(place: np.ndarray, run: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weight of the pairs of rows i < j with ``place[i] > place[j]``: (resamples,). ``place`` is a permutation.

    Rows and places are cut into blocks of about sqrt(n). Pairs in one block of rows, and pairs of different blocks of
    rows in one block of places, are products of 0/1 matrices with the weights; all others follow from the weight that
    each block of places has among the rows so far. Everything stays small enough for the processor's cache.
    """
    count = len(place)
    # Sums of weights are exact in single precision up to 2^24.
    weights = np.ascontiguousarray(counts.T, dtype=np.float32 if count < 500_000 else np.float64)
    size = max(2, math.isqrt(count))
    block = place // size
    later = np.triu(np.ones((size, size), bool), 1)
    so_far = np.zeros((block.max() + 2, len(counts)), weights.dtype)
    total = np.zeros(len(counts))
    for start in range(0, count, size):
        places, blocks = place[start : start + size], block[start : start + size]
        weight = weights[run[start : start + size]]
        falls = (places[:, None] > places) & later[: len(places), : len(places)]
        higher = np.cumsum(so_far[::-1], axis=0)[::-1][blocks + 1]
        higher += falls.T.astype(weights.dtype) @ weight
        total += np.multiply(higher, weight, out=higher).sum(axis=0, dtype=np.float64)
        order = np.argsort(blocks, kind="stable")
        starts = np.flatnonzero(np.diff(blocks[order], prepend=-1))
        so_far[blocks[order][starts]] += np.add.reduceat(weight[order], starts, axis=0)
    by_place = np.argsort(place)
    for start in range(0, count, size):
        rows = by_place[start : start + size]
        weight = weights[run[rows]]
        falls = (rows[:, None] // size > rows // size) & later[: len(rows), : len(rows)]
        product = falls.astype(weights.dtype) @ weight
        total += np.multiply(product, weight, out=product).sum(axis=0, dtype=np.float64)
    return total


def _in_blocks(
    compute: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, rows: int, elements: int = _BLOCK_ELEMENTS
) -> np.ndarray:
    """``compute`` on parts of the resamples, side by side; rows x resamples of a part are ``elements`` at most."""
    workers = os.cpu_count() or 1
    block = max(1, min(elements // rows, -(-len(counts) // workers)))
    parts = [counts[start : start + block] for start in range(0, len(counts), block)]
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(compute, parts)))


def tau_ceiling(target: np.ndarray) -> float:
    """The highest tau-b that predictions without ties can reach on a target (n,) with ties.

    With every comparable pair concordant, tau_b = (n0 - n1) / sqrt((n0 - n1) n0) = sqrt(1 - n1 / n0), n1 of n0 pairs
    being tied in the target. NaN if all are.
    """
    sizes = np.unique(target, return_counts=True)[1].astype(np.float64)
    pairs = len(target) * (len(target) - 1.0)
    tied = float((sizes * (sizes - 1)).sum())
    return float(np.sqrt(1 - tied / pairs)) if pairs > tied else float("nan")


def spearman(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation: Pearson's of average ranks; undefined if targets or predictions are all tied.

    A resample ranks the rows that it has: a row of weight w stands there w times.
    """
    rows = len(sample.target)
    # Ranks are multiples of 1/2, exact in single precision up to 2^23; their products are not.
    precision = np.float32 if rows < 500_000 else np.float64

    def rho(part: np.ndarray) -> np.ndarray:
        weights = np.ascontiguousarray(part.T, dtype=precision)
        rank = np.empty((rows, len(part)), precision)
        squares_prediction, squares_target, shared = np.zeros((3, len(part)))
        for ranked in _ranked(sample.prediction, sample.run, weights):
            rank[ranked.rows] = ranked.rank[ranked.group]
            squares_prediction += ranked.squares()
        for ranked in _ranked(sample.target, sample.run, weights):
            product = (ranked.rank[ranked.group] * weights[sample.run[ranked.rows]]).astype(np.float64)
            shared += np.einsum("nb,nb->b", product, rank[ranked.rows])
            squares_target += ranked.squares()
        scale = np.sqrt(squares_target * squares_prediction)
        return np.where(scale > 0, shared / np.where(scale > 0, scale, 1), np.nan)

    return _in_blocks(rho, counts, rows, _RANKS_AT_A_TIME)


@dataclass(frozen=True)
class _Ranked:
    """Some rows in the order of their values, whole groups of equal ones: each row's group, and for each group and
    resample its weight and its average rank less the mean rank."""

    rows: np.ndarray
    group: np.ndarray
    size: np.ndarray
    rank: np.ndarray

    def squares(self) -> np.ndarray:
        return np.einsum("gb,gb,gb->b", self.size.astype(np.float64), self.rank, self.rank)


def _ranked(values: np.ndarray, run: np.ndarray, weights: np.ndarray) -> Iterator[_Ranked]:
    """Rank rows piece by piece, from the lowest value on, for all resamples together; weights are (runs, resamples)."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    ends = np.append(starts[1:], len(order))
    below = -(weights.T @ np.bincount(run, minlength=len(weights)).astype(weights.dtype) + 1) / 2
    # A piece is as many groups as begin within so many rows.
    first = np.unique(np.searchsorted(starts, np.arange(0, len(order), _ROWS)))
    first = first[first < len(starts)]
    for low, high in itertools.pairwise([*first.tolist(), len(starts)]):
        rows = order[starts[low] : ends[high - 1]]
        size = np.add.reduceat(weights[run[rows]], starts[low:high] - starts[low], axis=0)
        rank = np.cumsum(size, axis=0)
        rank += below
        below = rank[-1].copy()
        rank -= (size - 1) / 2
        yield _Ranked(rows, np.repeat(np.arange(high - low), ends[low:high] - starts[low:high]), size, rank)
