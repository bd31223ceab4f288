"""Metrics, each computed for many bootstrap resamples of the runs at once.

A metric takes a ``Sample`` and ``counts`` (resamples, runs): how often each run occurs in each resample. The point
estimate is the same call with every count 1. Array code throughout: R², MSE and MAE from sums per run, rank
correlations in O(n log n) for all resamples together (``ranks``), classification from counts per run
(``classification``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import classification, ranks
from .bootstrap import Bootstrap, Sample

REGRESSION, CLASSIFICATION = "regression", "classification"


@dataclass(frozen=True)
class Metric:
    """A declared metric of tasks of one kind; NaN means undefined.

    ``version`` rises when its values change. ``has_unit``: in a unit of the task, so that no mean over tasks is taken.
    """

    name: str
    label: str
    compute: Callable[[Sample, np.ndarray], np.ndarray]
    higher_is_better: bool
    kind: str = REGRESSION
    has_unit: bool = False
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


METRICS: tuple[Metric, ...] = (
    Metric("r2", "R²", r2, higher_is_better=True),
    Metric("mse", "MSE", mse, higher_is_better=False, has_unit=True),
    Metric("mae", "MAE", mae, higher_is_better=False, has_unit=True),
    Metric("kendall_tau", "τ-b", ranks.kendall_tau_b, higher_is_better=True),
    Metric("spearman", "ρ", ranks.spearman, higher_is_better=True),
    Metric("accuracy", "accuracy", classification.accuracy, higher_is_better=True, kind=CLASSIFICATION),
    Metric("macro_f1", "macro-F1", classification.macro_f1, higher_is_better=True, kind=CLASSIFICATION),
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


def metrics_of(kind: str) -> tuple[Metric, ...]:
    """The metrics of regression or of classification tasks."""
    return tuple(metric for metric in METRICS if metric.kind == kind)


def estimate(metric: Metric, sample: Sample, bootstrap: Bootstrap) -> tuple[float, float, float]:
    """Value and interval (low, high) of a metric; NaN where undefined."""
    value, *resampled = metric.compute(sample, bootstrap.all_and_counts(sample.runs)).tolist()
    low, high = bootstrap.interval(np.array(resampled) if np.isfinite(value) else np.array([]))
    return float(value), low, high
