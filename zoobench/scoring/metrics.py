"""Metrics, each computed for many choices of the runs at once.

A metric takes a ``Sample`` and ``counts`` (choices, runs): how often each run occurs in each choice. The point estimate
is the same call with every count 1, the jackknife leaves one run out of each. Array code throughout: R², MSE and MAE
from sums per run, rank correlations in O(n log n) for all choices together (``ranks``), classification from counts per
run (``classification``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import classification, ranks
from .jackknife import Jackknife
from .sample import Sample
from .scales import FISHER, IDENTITY, LOG, LOG_REST, Scale

REGRESSION, CLASSIFICATION = "regression", "classification"


@dataclass(frozen=True)
class Metric:
    """A declared metric of tasks of one kind; NaN means undefined.

    ``version`` rises when its values change. ``has_unit``: in a unit of the task, so that no mean over tasks is taken.
    Intervals are made on ``scale``; those of a ``share``, in [0, 1], as a share's. ``floor`` is what values below it
    are raised to when they, or their interval, have been computed.
    """

    name: str
    label: str
    compute: Callable[[Sample, np.ndarray], np.ndarray]
    higher_is_better: bool
    kind: str = REGRESSION
    has_unit: bool = False
    version: int = 1
    scale: Scale = IDENTITY
    share: bool = False
    floor: float = -math.inf

    def bounded(self, values: np.ndarray) -> np.ndarray:
        """Computed values as they are given."""
        return np.maximum(values, self.floor)

    def interval(self, values: np.ndarray, runs: int, jackknife: Jackknife) -> tuple[float, float] | None:
        """The interval of the mean over seeds of computed values (seeds, 1 + groups); ``None``: too few runs."""
        if self.share:
            return jackknife.share_interval(values, runs)
        found = jackknife.interval(values, self.scale)
        return found and (max(found[0], self.floor), max(found[1], self.floor))


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


METRICS: tuple[Metric, ...] = (
    Metric("r2", "R²", r2, higher_is_better=True, scale=LOG_REST),
    Metric("mse", "MSE", mse, higher_is_better=False, has_unit=True, scale=LOG),
    Metric("mae", "MAE", mae, higher_is_better=False, has_unit=True, scale=LOG),
    Metric("kendall_tau", "τ-b", ranks.kendall_tau_b, higher_is_better=True, scale=FISHER),
    Metric("spearman", "ρ", ranks.spearman, higher_is_better=True, scale=FISHER),
    # What is gained over the best constant, and nothing where nothing is.
    Metric("skill", "skill", r2, higher_is_better=True, scale=LOG_REST, floor=0),
    Metric("accuracy", "accuracy", classification.accuracy, higher_is_better=True, kind=CLASSIFICATION, share=True),
    Metric("macro_f1", "macro-F1", classification.macro_f1, higher_is_better=True, kind=CLASSIFICATION, share=True),
    Metric("class_skill", "skill", classification.skill, higher_is_better=True, kind=CLASSIFICATION, share=True),
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


def metrics_of(kind: str) -> tuple[Metric, ...]:
    """The metrics of regression or of classification tasks."""
    return tuple(metric for metric in METRICS if metric.kind == kind)


def estimate(metric: Metric, sample: Sample, jackknife: Jackknife) -> tuple[float, float, float]:
    """Value and interval (low, high) of a metric; NaN where undefined, or where there are too few runs."""
    values = metric.compute(sample, jackknife.counts(sample.runs))
    interval = metric.interval(values[None], sample.runs, jackknife) if np.isfinite(values[0]) else None
    return float(metric.bounded(values)[0]), *(interval or (math.nan, math.nan))
