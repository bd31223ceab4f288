"""Regression metrics, each computed for many bootstrap resamples of the runs at once.

A metric takes a ``Sample`` and ``counts`` (resamples, runs): how often each run occurs in each resample. The point
estimate is the same call with every count 1. Checkpoints of one run are not independent, so runs are what is resampled.
Array code throughout: R², MSE and MAE from sums per run, Kendall's tau-b in O(n log n) for all resamples together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_BLOCK_ELEMENTS = 2_000_000


@dataclass(frozen=True)
class Sample:
    """Targets and predictions, float64 (n,), and the run of each row as an index 0 ... runs - 1."""

    target: np.ndarray
    prediction: np.ndarray
    run: np.ndarray

    @cached_property
    def runs(self) -> int:
        return int(self.run.max()) + 1

    def sum_by_run(self, values: np.ndarray) -> np.ndarray:
        """Sum of ``values`` (n,) per run: (runs,)."""
        return np.bincount(self.run, weights=values, minlength=self.runs)


@dataclass(frozen=True)
class Metric:
    """A declared metric; ``version`` rises when its values change. NaN means undefined."""

    name: str
    label: str
    compute: Callable[[Sample, np.ndarray], np.ndarray]
    higher_is_better: bool
    version: int = 1


def r2(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Coefficient of determination over the whole set, 1 - SSE / SST; undefined for a constant target."""
    centred = sample.target - sample.target.mean()
    error = counts @ sample.sum_by_run((sample.target - sample.prediction) ** 2)
    rows = counts @ sample.sum_by_run(np.ones_like(centred))
    squares = counts @ sample.sum_by_run(centred**2)
    total = squares - (counts @ sample.sum_by_run(centred)) ** 2 / rows
    # What rounding leaves of a sum of squares that is zero: of the subtraction here, and of the centring above.
    rounding = 1e-12 * squares + rows * (1e-15 * np.abs(sample.target).max()) ** 2
    constant = total <= rounding
    return np.where(constant, np.nan, 1 - error / np.where(constant, 1, total))


def mse(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Mean squared error."""
    return _mean(sample, counts, (sample.target - sample.prediction) ** 2)


def mae(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Mean absolute error."""
    return _mean(sample, counts, np.abs(sample.target - sample.prediction))


def _mean(sample: Sample, counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    return (counts @ sample.sum_by_run(values)) / (counts @ sample.sum_by_run(np.ones_like(values)))


def kendall_tau_b(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Kendall's tau-b (Kendall 1945); undefined if targets or predictions are all tied.

    tau_b = (P - Q) / sqrt((n0 - n1)(n0 - n2)) with P, Q the concordant and discordant pairs, n0 all pairs, n1 and n2
    those tied in target and prediction. A resample gives row i the weight w_i = count of its run, and every pair (i,
    j) the weight w_i w_j, pairs of copies of one row included (they tie).
    """
    target = np.unique(sample.target, return_inverse=True)[1]
    prediction = np.unique(sample.prediction, return_inverse=True)[1]
    order = np.lexsort((prediction, target))
    target, prediction, run = target[order], prediction[order], sample.run[order]
    ties = [
        _Ties(target),
        _Ties(prediction),
        _Ties(target * (int(prediction.max()) + 1) + prediction),
    ]
    levels = _merge_levels(prediction)
    block = max(1, _BLOCK_ELEMENTS // len(run))

    def tau(part: np.ndarray) -> np.ndarray:
        # (n, resamples): a contiguous row of weights per data row, for gathers and cumulative sums along rows.
        weights = part.T[run].astype(np.float32)
        total = weights.sum(axis=0, dtype=np.float64) ** 2
        tied_target, tied_prediction, tied_both = (tie.pairs(weights) for tie in ties)
        discordant = 2 * sum(level.inversions(weights) for level in levels)
        comparable = total - tied_target - tied_prediction + tied_both
        scale = np.sqrt((total - tied_target) * (total - tied_prediction))
        return np.where(scale > 0, (comparable - 2 * discordant) / np.where(scale > 0, scale, 1), np.nan)

    parts = [counts[start : start + block] for start in range(0, len(counts), block)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(tau, parts)))


class _Ties:
    """Groups of rows with equal value."""

    def __init__(self, values: np.ndarray) -> None:
        self.order = np.argsort(values, kind="stable")
        self.starts = np.flatnonzero(np.diff(values[self.order], prepend=-1))

    def pairs(self, weights: np.ndarray) -> np.ndarray:
        """Weight of ordered pairs (i, j), i = j included, with equal value: (resamples,) for weights (n, resamples)."""
        groups = np.add.reduceat(weights[self.order], self.starts, axis=0)
        return np.einsum("gb,gb->b", groups, groups, dtype=np.float64)


class _Level:
    """One level of a merge sort: for each element of a right half, the larger elements of the left half beside it."""

    def __init__(self, left: np.ndarray, right: np.ndarray, first: np.ndarray, end: np.ndarray) -> None:
        self.left = left
        self.right = right
        self.first = first
        self.end = end

    def inversions(self, weights: np.ndarray) -> np.ndarray:
        cumulative = np.zeros((len(self.left) + 1, weights.shape[1]), dtype=np.float32)
        np.cumsum(weights[self.left], axis=0, out=cumulative[1:])
        larger = cumulative[self.end]
        larger -= cumulative[self.first]
        larger *= weights[self.right]
        return larger.sum(axis=0, dtype=np.float64)


def _merge_levels(values: np.ndarray) -> list[_Level]:
    """The merge-sort levels of a sequence of non-negative integers; which elements meet does not depend on weights."""
    count = len(values)
    position = np.arange(count)
    stride = int(values.max()) + 1
    levels = []
    width = 1
    while width < count:
        block = position // (2 * width)
        is_left = position % (2 * width) < width
        left = position[is_left]
        key = block[is_left] * stride + values[is_left]
        sort = np.argsort(key, kind="stable")
        left, key = left[sort], key[sort]
        right = position[~is_left]
        first = np.searchsorted(key, block[~is_left] * stride + values[~is_left], side="right")
        end = np.searchsorted(key, (block[~is_left] + 1) * stride, side="left")
        levels.append(_Level(left, right, first, end))
        width *= 2
    return levels


METRICS: tuple[Metric, ...] = (
    Metric("r2", "R²", r2, higher_is_better=True),
    Metric("mse", "MSE", mse, higher_is_better=False),
    Metric("mae", "MAE", mae, higher_is_better=False),
    Metric("kendall_tau", "τ-b", kendall_tau_b, higher_is_better=True),
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: percentile bootstrap over runs. Stamped into results."""

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0

    def counts(self, runs: int) -> np.ndarray:
        """(resamples, runs) float64: how often each run is drawn."""
        # RandomState's streams are frozen by NumPy's policy (NEP 19), so that intervals can be recomputed to the digit.
        rng = np.random.RandomState(self.seed)
        return rng.multinomial(runs, np.full(runs, 1 / runs), size=self.resamples).astype(np.float64)


def estimate(metric: Metric, sample: Sample, bootstrap: Bootstrap) -> tuple[float, float, float]:
    """Value and interval (low, high) of a metric; NaN where undefined."""
    value = metric.compute(sample, np.ones((1, sample.runs)))[0]
    resampled = metric.compute(sample, bootstrap.counts(sample.runs))
    resampled = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or not len(resampled):
        return float(value), float("nan"), float("nan")
    tail = (1 - bootstrap.level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(value), float(low), float(high)
