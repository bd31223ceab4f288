"""Contenders: what is ranked, how well it is known, and which of them can be told apart.

All pairs of a ranking are tested together, after Holm 1979: among methods that are equal, a ranking shows any
difference at all in one case of twenty. What two methods have in common, the same runs, is in neither's favour: a pair
is tested by the spread of its difference. Seeds are each method's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoobench.scoring.jackknife import TOO_LITTLE, Jackknife, Spread, enough, likely_above, over_runs, together

from .scored import MeanSkill, ScoredSubmission

_ERRORS = 0.05
# Standard errors by which two must differ so that four tests of five, each at 5 %, find it: 1.960 + 0.842.
_FOUND = 2.802


@dataclass(frozen=True)
class Part:
    """What a zoo adds to a mean: its share, and the mean skill there without each group of runs, and over seeds."""

    share: float
    without: np.ndarray
    seeds: Spread


def part_of(mean: MeanSkill, share: float = 1.0) -> Part:
    return Part(share, np.array(mean.without), Spread(mean.seed_variance, mean.seeds - 1.0))


@dataclass(frozen=True)
class Contender:
    """What is ranked: a mean, and its parts by zoo, if they are known."""

    scored: ScoredSubmission
    mean: float | None
    parts: Mapping[str, Part] | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """At 95 %, within what skill can be."""
        if self.mean is None or self.parts is None:
            return None
        ends = Jackknife().around(self.mean, _spread(self.parts, {}))
        return ends and (max(ends[0], 0.0), min(ends[1], 1.0))


def better(contenders: Sequence[Contender]) -> np.ndarray:
    """Which (row) is better than which (column), where all pairs together tell them apart: (n, n) bool."""
    count = len(contenders)
    found = np.zeros((count, count), bool)
    pairs = sorted(
        (_chance(one, other), k, j) for k, one in enumerate(contenders) for j, other in enumerate(contenders[:k])
    )
    for tested, (chance, k, j) in enumerate(pairs):
        if chance > _ERRORS / (len(pairs) - tested):
            break
        ahead = (contenders[k].mean or 0) > (contenders[j].mean or 0)
        found[(k, j) if ahead else (j, k)] = True
    return found


def detectable(contenders: Sequence[Contender]) -> float | None:
    """The difference that a test of one pair finds in four cases of five: the median over pairs."""
    errors = [
        error
        for k, one in enumerate(contenders)
        for other in contenders[:k]
        if math.isfinite(error := _between(one, other).error)
    ]
    return _FOUND * float(np.median(errors)) if errors else None


def _chance(one: Contender, other: Contender) -> float:
    """That two equal ones differ by as much; 1 where it is not known."""
    spread = _between(one, other)
    if one.mean is None or other.mean is None or not spread.known:
        return 1.0
    return 2 * likely_above(-abs(one.mean - other.mean), spread) if one.mean != other.mean else 1.0


def _between(one: Contender, other: Contender) -> Spread:
    return TOO_LITTLE if one.parts is None or other.parts is None else _spread(one.parts, other.parts)


def _spread(one: Mapping[str, Part], other: Mapping[str, Part]) -> Spread:
    """Of the difference of two means of parts; a part that one lacks is nothing there."""
    runs, seeds = [], []
    for zoo in dict.fromkeys((*one, *other)):
        parts = [found for found in (one.get(zoo), other.get(zoo)) if found is not None]
        if len({len(part.without) for part in parts}) > 1:
            return TOO_LITTLE
        signs = (1, -1)
        difference = sum(sign * part.without for sign, part in zip(signs, parts, strict=False))
        runs.append(over_runs(np.asarray(difference)).times(parts[0].share))
        seeds += [part.seeds.times(part.share) for part in parts]
    return together([enough(together(runs)), *seeds])
