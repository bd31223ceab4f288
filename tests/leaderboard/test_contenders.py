"""Which methods a ranking tells apart, checked by what it promises: how rarely equal ones are."""

from typing import cast

import numpy as np
import pytest

from zoobench.scoring.jackknife import Spread
from zoobench_leaderboard.contenders import Contender, Part, better, detectable
from zoobench_leaderboard.scored import ScoredSubmission

_METHODS, _TRIALS = 11, 300


def contenders(values: np.ndarray, seeds: Spread | None = None) -> list[Contender]:
    """One for each row of scores by run (methods, runs)."""
    runs = values.shape[1]
    without = (values.sum(axis=1, keepdims=True) - values) / (runs - 1)
    anybody = cast(ScoredSubmission, None)
    return [
        Contender(anybody, float(one.mean()), {"zoo": Part(1.0, left, seeds or Spread(0.0, 0.0))})
        for one, left in zip(values, without, strict=True)
    ]


@pytest.mark.parametrize("runs", [17, 40])
def test_eleven_equal_methods_are_rarely_told_apart(runs):
    """What all have in common, and what each has by itself, with Student's tails of three degrees of freedom.

    At most 7 % of boards show a difference, of which 300 have a standard error of 1.5 %; with every pair tested at 5 %
    by itself it would be most of them.
    """
    rng, told, by_pairs = np.random.default_rng(runs), 0, 0
    for _ in range(_TRIALS):
        values = rng.normal(size=runs) + rng.standard_t(3, size=(_METHODS, runs))
        told += bool(better(contenders(values)).any())
        apart = values[:, None] - values[None]
        error = apart.std(axis=-1, ddof=1) / np.sqrt(runs)
        by_pairs += bool((np.abs(apart.mean(axis=-1)) > 1.96 * error)[np.triu_indices(_METHODS, 1)].any())
    assert told / _TRIALS <= 0.07 + 2 * 0.015
    assert by_pairs / _TRIALS > 0.5


def test_a_difference_that_is_there_is_found():
    rng, found = np.random.default_rng(0), 0
    for _ in range(100):
        values = rng.normal(size=80) + 0.5 * rng.normal(size=(3, 80)) + np.array([[0.0], [0.0], [0.5]])
        told = better(contenders(values))
        found += bool(told[2, 0] and told[2, 1])
        assert not told[:, 2].any()
    assert found > 95


def test_seeds_that_differ_tell_nobody_apart():
    values = np.random.default_rng(0).normal(size=40) + np.array([[0.0], [1.0]]) + 1e-3
    values += 1e-3 * np.random.default_rng(1).normal(size=(2, 40))
    assert better(contenders(values)).any()
    assert not better(contenders(values, Spread(0.5, 2.0))).any()


def test_a_test_of_one_pair_mostly_finds_what_is_called_detectable():
    """Four times of five, by the normal distribution."""
    rng, found = np.random.default_rng(0), 0
    smallest = detectable(contenders(rng.normal(size=(2, 100_000)))) * np.sqrt(1000)
    for _ in range(_TRIALS):
        values = rng.normal(size=(2, 100)) + np.array([[0.0], [smallest]])
        found += bool(better(contenders(values))[1, 0])
    assert 0.74 < found / _TRIALS < 0.86
