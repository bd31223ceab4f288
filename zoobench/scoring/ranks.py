"""Rank correlations, each for many resamples of the runs at once (see ``metrics``)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from ..cores import usable_cores
from .sample import Sample

# Resamples that are handled together: so many, or so few that what a thread holds per row stays within so many bytes.
_TOGETHER = 32
_AT_LEAST = 16
_BYTES = 2**29


def kendall_tau_b(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Kendall's tau-b (Kendall 1945); undefined if targets or predictions are all tied.

    tau_b = (P - Q) / sqrt((n0 - n1)(n0 - n2)) with P, Q the concordant and discordant pairs, n0 all pairs, n1 and n2
    those tied in target and prediction. A resample gives row i the weight w_i = count of its run, and every pair (i,
    j) the weight w_i w_j, pairs of copies of one row included (they tie).
    """
    from .rank_loops import falling_pairs, pairs_within

    # In the order of targets, and of predictions where those tie, a pair is discordant if its predictions fall.
    order = np.lexsort((sample.prediction, sample.target))
    by_prediction = np.argsort(sample.prediction[order], kind="stable")
    place = np.empty(len(order), np.int64)
    place[by_prediction] = np.arange(len(order))
    target, prediction, run = sample.target[order], sample.prediction[order], sample.run[order]
    new_target, new_prediction = _changes(target), _changes(prediction[by_prediction])
    groups = (
        (run, _starts(new_target)),
        (run[by_prediction], _starts(new_prediction)),
        (run, _starts(new_target | _changes(prediction))),
    )

    def counted(weights: np.ndarray) -> np.ndarray:
        tied = [pairs_within(rows, starts, weights) for rows, starts in groups]
        return np.stack([*tied, falling_pairs(place, run, weights)]).astype(np.float64)

    tied_target, tied_prediction, tied_both, discordant = _for_resamples(counted, counts, len(order))
    total = (counts @ sample.sum_by_run(np.ones(len(order)))) ** 2
    comparable = total - tied_target - tied_prediction + tied_both
    scale = np.sqrt((total - tied_target) * (total - tied_prediction))
    # Of ordered pairs, each discordant one counts twice.
    return np.where(scale > 0, (comparable - 4 * discordant) / np.where(scale > 0, scale, 1), np.nan)


def spearman(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation: Pearson's of average ranks; undefined if targets or predictions are all tied.

    A resample ranks the rows that it has: a row of weight w stands there w times.
    """
    from .rank_loops import rank_products

    orders = (np.argsort(sample.target, kind="stable"), np.argsort(sample.prediction, kind="stable"))
    run = sample.run.astype(np.int64)
    starts = (_starts(_changes(sample.target[orders[0]])), _starts(_changes(sample.prediction[orders[1]])))

    def summed(weights: np.ndarray) -> np.ndarray:
        return rank_products(orders, starts, run, weights)

    target, prediction, shared = _for_resamples(summed, counts, len(run))
    scale = np.sqrt(target * prediction)
    return np.where(scale > 0, shared / np.where(scale > 0, scale, 1), np.nan)


def tau_rounded(sample: Sample, digits: int = 3) -> float:
    """Kendall's tau-b of predictions that are rounded to so many digits after the point; NaN where it is undefined."""
    return _tau(replace(sample, prediction=np.round(sample.prediction, digits)))


def tau_among(sample: Sample, rows: np.ndarray) -> float:
    """Kendall's tau-b among some rows (n,) bool; NaN where it is undefined."""
    if rows.sum() < 2:
        return float("nan")
    return _tau(Sample(sample.target[rows], sample.prediction[rows], np.zeros(int(rows.sum()), np.int64)))


def _tau(sample: Sample) -> float:
    return float(kendall_tau_b(sample, np.ones((1, sample.runs)))[0])


def _changes(values: np.ndarray) -> np.ndarray:
    """Whether each value differs from the one before it: (n,) bool."""
    changed = np.ones(len(values), bool)
    changed[1:] = values[1:] != values[:-1]
    return changed


def _starts(changed: np.ndarray) -> np.ndarray:
    """Where groups begin, and the number of rows."""
    return np.append(np.flatnonzero(changed), len(changed))


def _for_resamples(compute: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, rows: int) -> np.ndarray:
    """``compute``, from weights (runs, resamples) int32 to (k, resamples), on parts of the resamples, side by side."""
    workers = usable_cores()
    together = min(_TOGETHER, max(_AT_LEAST, _BYTES // (8 * rows)), max(_AT_LEAST, -(-len(counts) // workers)))
    parts = (
        np.ascontiguousarray(counts[start : start + together].T, np.int32) for start in range(0, len(counts), together)
    )
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(compute, parts)), axis=1)


def tau_ceiling(target: np.ndarray) -> float:
    """The highest tau-b that predictions without ties can reach on a target (n,) with ties.

    With every comparable pair concordant, tau_b = (n0 - n1) / sqrt((n0 - n1) n0) = sqrt(1 - n1 / n0), n1 of n0 pairs
    being tied in the target. NaN if all are.
    """
    sizes = np.unique(target, return_counts=True)[1].astype(np.float64)
    pairs = len(target) * (len(target) - 1.0)
    tied = float((sizes * (sizes - 1)).sum())
    return float(np.sqrt(1 - tied / pairs)) if pairs > tied else float("nan")
