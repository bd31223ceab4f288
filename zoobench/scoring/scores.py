"""From a statistic to a score: its value, its interval, or why it has none; rounded alike wherever it is shown."""

from __future__ import annotations

import math

import numpy as np

from .jackknife import TOO_FEW, Jackknife
from .metrics import Metric
from .results import Score
from .sample import Sample


def score_of(metric: Metric, values: np.ndarray, runs: int, jackknife: Jackknife, why: str = "") -> Score:
    """A metric's score from its values by seed, on all of so many runs and without each group: (seeds, 1 + groups).

    ``why`` is said where there is no value.
    """
    value = float(metric.bounded(values[:, 0]).mean())
    return given(value, metric.interval(values, runs, jackknife) if math.isfinite(value) else None, why)


def given(value: float, interval: tuple[float, float] | None, why: str = "") -> Score:
    """A score, with ``why`` there is no value, or that there are too few runs for an interval."""
    short = rounded(value)
    if short is None:
        return Score(value=None, reason=why)
    low, high = (rounded(end) for end in interval or (math.nan, math.nan))
    if low is None or high is None:
        return Score(value=short, reason=TOO_FEW)
    return Score(value=short, low=low, high=high)


def rounded(value: float) -> float | None:
    """Ten significant digits: the rest depends on the machine's order of summation and would make results differ."""
    short = float(f"{value:.10g}")
    return short if math.isfinite(short) else None


def why_undefined(sample: Sample, constant_target: str = "the target is constant on the test split") -> str:
    """What keeps a metric from having a value; ``constant_target`` says so of the targets."""
    for values, constant in ((sample.target, constant_target), (sample.prediction, "the predictions are constant")):
        if (values == values[0]).all():
            return constant
    return "the value is not finite"
