"""What a value may be drawn from: hyperparameters of a zoo's runs, parameters of a predictor.

Frozen dataclasses, and two ways to draw: at a position in [0, 1), which a hash gives, or by a random state. What is
drawn is the same on every machine.
"""

from __future__ import annotations

import decimal
import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Choice:
    """One of ``values``, equally likely."""

    values: tuple[str | float, ...]


@dataclass(frozen=True)
class Uniform:
    """Bounds that are whole numbers give whole numbers, both included; otherwise ``high`` is not."""

    low: float
    high: float


@dataclass(frozen=True)
class LogUniform:
    """Uniform in the logarithm."""

    low: float
    high: float


# `_power` counts in whole multiples of 2^-96.
_BITS = 96
_ONE = 1 << _BITS
_DIGITS = decimal.Context(prec=60)

Distribution = Choice | Uniform | LogUniform


def value_at(distribution: Distribution, position: float) -> str | float:
    """The value at a position in [0, 1) of a distribution."""
    match distribution:
        case Choice(values):
            return values[int(position * len(values))]
        case Uniform(int(low), int(high)):
            return low + int(position * (high - low + 1))
        case Uniform(low, high):
            return low + position * (high - low)
        case LogUniform(low, high):
            return low * _power(high / low, position)


def drawn_value(distribution: Distribution, rng: np.random.RandomState) -> str | float:
    """A value drawn by a random state, whose streams are frozen (NEP 19)."""
    match distribution:
        case Choice(values):
            return values[rng.randint(len(values))]
        case Uniform(int(low), int(high)):
            return int(rng.randint(low, high + 1))
        case Uniform(low, high):
            return low + rng.random_sample() * (high - low)
        case LogUniform(low, high):
            from . import exact  # NumPy, which a random state has loaded

            first = exact.log(low)
            return exact.exp(first + rng.random_sample() * (exact.log(high) - first))


def _power(base: float, exponent: float) -> float:
    """``base ** exponent``, correctly rounded. Whole numbers compute it: a C library's power differs by machine."""
    numerator, denominator = exponent.as_integer_ratio()
    doublings, rest = divmod(_log(base) * numerator // denominator, _log(2.0))
    value = term = _ONE
    count = 0
    while term:
        count += 1
        term = (term * rest >> _BITS) // count
        value += term
    return math.ldexp(value / _ONE, doublings)


@functools.cache
def _log(base: float) -> int:
    return int(_DIGITS.multiply(_DIGITS.ln(decimal.Decimal(base)), decimal.Decimal(_ONE)))
