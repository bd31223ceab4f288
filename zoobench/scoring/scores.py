"""From a statistic to a score: its value, its interval, or why it has none; rounded alike wherever it is shown."""

from __future__ import annotations

import math

import numpy as np

from .bootstrap import Bootstrap, Sample
from .results import Score


def score_of(values: np.ndarray, bootstrap: Bootstrap, why: str) -> Score:
    """A value and its interval from a statistic on the runs and on their resamples (1 + resamples,); ``why`` is said
    where there is no value."""
    value = rounded(float(values[0]))
    if value is None:
        return Score(value=None, reason=why)
    low, high = bootstrap.interval(values[1:])
    return Score(value=value, low=rounded(low), high=rounded(high))


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
