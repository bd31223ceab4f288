"""Student's t, without scipy, which scoring does not need otherwise; the same digits on every machine."""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

_CONVERGED = 1e-15
_TINY = 1e-300


def upper_tail(t: float, df: float) -> float:
    """The probability above ``t``, for ``df`` > 0: half of I_x(df / 2, 1 / 2) at x = df / (df + t²) for t >= 0."""
    tail = _incomplete_beta(df / (df + t * t), df / 2, 0.5) / 2
    return tail if t >= 0 else 1 - tail


@functools.lru_cache(maxsize=4096)
def quantile(probability: float, df: float) -> float:
    """The value below which t lies with a probability of at least a half.

    By Newton's method from the normal quantile, which lies below: the tail is convex, so that no step goes too far.
    """
    t, wanted = NormalDist().inv_cdf(probability), 1 - probability
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    for _ in range(200):
        step = (upper_tail(t, df) - wanted) / (scale * (1 + t * t / df) ** (-(df + 1) / 2))
        t += step
        if abs(step) <= 1e-13 * abs(t):
            break
    return t


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front / a / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1 / (1 + d2 / (1 + ...)), by Lentz's method."""
    value, up, down = 1.0, 1.0, 0.0
    for k in range(1, 1000):
        m = k // 2
        if k % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        down = 1 / ((1 + term * down) or _TINY)
        up = (1 + term / up) or _TINY
        value *= up * down
        if abs(up * down - 1) < _CONVERGED:
            break
    return value
