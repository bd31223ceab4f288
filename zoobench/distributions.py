"""What a value may be drawn from: hyperparameters of a zoo's runs, parameters of a predictor.

Frozen dataclasses, and two ways to draw: at a position in [0, 1), which a hash gives, or by a random state.
"""

from __future__ import annotations

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
            return low * (high / low) ** position


def drawn_value(distribution: Distribution, rng: np.random.RandomState) -> str | float:
    """A value drawn by a random state, whose streams are frozen (NEP 19)."""
    match distribution:
        case Choice(values):
            return values[rng.randint(len(values))]
        case Uniform(int(low), int(high)):
            return int(rng.randint(low, high + 1))
        case Uniform(low, high):
            return float(rng.uniform(low, high))
        case LogUniform(low, high):
            return math.exp(rng.uniform(math.log(low), math.log(high)))
