"""Delete-one-run jackknife: the variance of a statistic from its values without each of the runs, and its interval.

Checkpoints of one run are not independent, so runs are what is left out. Intervals are Student's t on a scale of the
metric (``scales``). How well a variance is known depends on how evenly the runs share in it: a sum of n squares whose
terms have kurtosis k has 2 n / (k - 1) degrees of freedom (Satterthwaite 1946), and 2 where one run is all of it. Where
there are fewer than ``FEWEST``, no interval is given: what the next runs would bring cannot be told from these. Errors
are skewed, and the kurtosis of few runs comes out too low: scores, which have a scale, and differences of shares, to
which most runs add nothing, are given half the degrees.
``docs/intervals.md`` has how often intervals cover, by ``benchmarks/coverage.py``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from .scales import IDENTITY, Scale
from .student import quantile, upper_tail

TOO_FEW = "too few runs"
# Degrees of freedom.
FEWEST = 3.0


@dataclass(frozen=True)
class Spread:
    """The variance of an estimate, and the degrees of freedom that it is known with; NaN where there are too few.

    ``groups`` of runs, of all that it comes from.
    """

    variance: float
    df: float
    groups: int = 0

    @property
    def error(self) -> float:
        return float(np.sqrt(self.variance))

    @property
    def known(self) -> bool:
        return bool(np.isfinite(self.variance))

    def times(self, factor: float) -> Spread:
        """Of the estimate times a factor."""
        return replace(self, variance=factor * self.variance * factor)


TOO_LITTLE = Spread(float("nan"), 0.0)


@dataclass(frozen=True)
class Jackknife:
    """How intervals are made. Stamped into results.

    Of more than ``groups`` runs, groups that ``seed`` draws are left out instead of single runs.
    """

    level: float = 0.95
    groups: int = 200
    seed: int = 0

    def counts(self, runs: int) -> np.ndarray:
        """(1 + groups, runs) float64, read-only: all runs once, then without each group."""
        return _counts(self, runs)

    def interval(
        self, values: np.ndarray, scale: Scale = IDENTITY, *, of_shares: bool = False
    ) -> tuple[float, float] | None:
        """The interval of a statistic, of its mean over seeds where there are several; ``None``: too few runs.

        Args:
            values: (seeds, 1 + groups), each seed's statistic on ``counts``.
            scale: where it is made.
            of_shares: values are differences of shares.
        """
        mean = values.mean(axis=0)
        with np.errstate(all="ignore"):
            there, slope = scale.of(mean), scale.slope(mean[0])
        if np.allclose(mean, mean[0], rtol=1e-12, atol=0):
            # No run matters, as where predictions are perfect; a scale may have no such value.
            scale, there, slope = IDENTITY, np.full_like(mean, mean[0]), 1.0
        runs = enough(over_runs(there[1:]))
        if scale is not IDENTITY or of_shares:
            runs = halved(runs)
        ends = self.around(float(there[0]), runs, over_seeds(values).times(slope))
        if ends is None:
            return None
        low, high = scale.back(np.array(ends))
        return float(low), float(high)

    def around(self, value: float, *spreads: Spread) -> tuple[float, float] | None:
        """Student's interval of an estimate that spreads in several ways; ``None`` where one of them is not known.

        Reaches are added as errors are: the few degrees of freedom of seeds are those of what seeds add.
        """
        if not all(spread.known for spread in spreads):
            return None
        reach = math.hypot(*(self.quantile(one.df) * one.error for one in spreads if one.variance > 0))
        return value - reach, value + reach

    def share_interval(self, values: np.ndarray, runs: int) -> tuple[float, float] | None:
        """The interval of a share, in [0, 1]; where no run is wrong, or all are, the share of so many runs decides.

        ``None`` where there is one run, of which nothing can be told.

        Wilson 1927, with x (1 - x) / variance in the place of the number of trials.

        Args:
            values: as in ``interval``.
            runs: how many there are.
        """
        share = float(values.mean(axis=0)[0])
        spread = together([over_runs(values.mean(axis=0)[1:]), over_seeds(values)])
        if not spread.known:
            return None
        certain = spread.variance == 0 or share in (0, 1)
        trials = runs if certain else share * (1 - share) / spread.variance
        square = self.quantile(runs - 1 if certain else spread.df) ** 2 / trials
        centre, reach = share + square / 2, np.sqrt(square * (share * (1 - share) + square / 4))
        low, high = (centre + np.array([-reach, reach])) / (1 + square)
        return max(float(low), 0.0), min(float(high), 1.0)

    def quantile(self, df: float) -> float:
        """Student's t, two-sided."""
        return quantile((1 + self.level) / 2, df)


def over_runs(deleted: np.ndarray) -> Spread:
    """The spread of a statistic over runs, from its values without each group of them (groups,)."""
    groups = len(deleted)
    if groups < 2 or not np.isfinite(deleted).all():
        return TOO_LITTLE
    apart = deleted - deleted.mean()
    unit = float(np.sqrt((apart**2).mean()))
    # What rounding leaves where no run matters.
    if unit <= 1e-15 * float(np.abs(deleted).max()):
        return Spread(0.0, groups - 1.0, groups)
    kurtosis = float(((apart / unit) ** 4).mean())
    df = min(groups - 1.0, 2 * groups / max(kurtosis - 1, 1e-9))
    return Spread((groups - 1) * unit * unit, df, groups)


def enough(runs: Spread) -> Spread:
    """A spread over runs, if these are enough to know it, or share in it as evenly as they can."""
    return runs if runs.variance == 0 or runs.df >= min(FEWEST, runs.groups - 1) else TOO_LITTLE


def halved(spread: Spread) -> Spread:
    """With half the degrees of freedom."""
    return replace(spread, df=spread.df / 2)


def over_seeds(values: np.ndarray) -> Spread:
    """What seeds add to the variance over runs of a statistic's mean over seeds.

    Seeds and runs are crossed: every seed predicts every run. What seeds and runs have only together is in the variance
    over runs already.

    Args:
        values: (seeds, 1 + groups), each seed's statistic on ``Jackknife.counts``.
    """
    seeds = len(values)
    if seeds == 1:
        return Spread(0.0, 0.0)
    apart = values - values.mean(axis=0)
    both = sum(over_runs(one[1:]).variance for one in apart) / (seeds - 1)
    return Spread(max(float(np.var(values[:, 0], ddof=1)) - both, 0.0) / seeds, seeds - 1.0)


def together(spreads: Iterable[Spread]) -> Spread:
    """The spread of a sum of independent estimates; degrees of freedom after Welch and Satterthwaite."""
    found = list(spreads)
    variance, groups = sum(one.variance for one in found), sum(one.groups for one in found if one.variance != 0)
    if not variance > 0:
        return Spread(variance, max(one.df for one in found), groups)
    df = 1 / sum((one.variance / variance) ** 2 / one.df for one in found if one.variance > 0)
    return Spread(variance, df, groups)


def likely_above(value: float, spread: Spread) -> float:
    """Student's probability that an estimate lies above 0, a half where it is 0 and does not vary."""
    if spread.variance == 0:
        return float(np.sign(value) + 1) / 2
    return upper_tail(-value / spread.error, spread.df)


@functools.lru_cache(maxsize=4)
def _counts(jackknife: Jackknife, runs: int) -> np.ndarray:
    # RandomState's streams are frozen by NumPy's policy (NEP 19), so that intervals can be recomputed to the digit.
    order = np.random.RandomState(jackknife.seed).permutation(runs)
    groups = min(jackknife.groups, runs)
    counts = np.ones((1 + groups, runs))
    counts[1 + np.arange(runs) % groups, order] = 0
    counts.flags.writeable = False
    return counts
