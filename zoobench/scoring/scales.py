"""Scales: where the estimates of a metric are closer to Student's t than as they are shown.

An interval is made on the scale and brought back, so that it lies within what the metric can be: R² below 1, errors
above 0, correlations within 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scale:
    """A monotone function of a metric's values, its inverse, and its slope at a value."""

    of: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[float], float]


IDENTITY = Scale(lambda x: x, lambda y: y, lambda x: 1.0)
# Errors, which are skewed: their logarithm.
LOG = Scale(np.log, np.exp, lambda x: 1 / x)
# What is 1 less a share of errors, as R² is: the logarithm of the share.
LOG_REST = Scale(lambda x: -np.log1p(-x), lambda y: -np.expm1(-y), lambda x: 1 / (1 - x))
# Correlations: Fisher 1915.
FISHER = Scale(np.arctanh, np.tanh, lambda x: 1 / (1 - x * x))
