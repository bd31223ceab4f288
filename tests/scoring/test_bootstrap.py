"""Intervals, checked by what they promise: how often they cover the truth."""

import numpy as np
import pytest

from zoobench.scoring import metrics
from zoobench.scoring.bootstrap import Bootstrap, Sample

_RUNS, _CHECKPOINTS, _TRIALS = 80, 5, 250


def _population(rng, runs):
    """Checkpoints that agree more within a run than between runs; targets tie, as accuracies do."""
    run = np.repeat(np.arange(runs), _CHECKPOINTS)
    skill = rng.normal(size=runs)[run]
    target = np.round(skill + 0.5 * rng.normal(size=len(run)), 1)
    return Sample(target, skill + rng.normal(size=runs)[run] + 0.2 * rng.normal(size=len(run)), run)


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return [_population(rng, _RUNS) for _ in range(_TRIALS)], _population(rng, 4000)


@pytest.mark.parametrize("name", ["kendall_tau", "r2", "spearman", "mae"])
def test_a_95_percent_interval_covers_the_truth_about_that_often(samples, name):
    """The truth is the value on 4,000 runs. Coverage of 250 intervals has a standard error of 1.4 %."""
    trials, large = samples
    metric, bootstrap = metrics.BY_NAME[name], Bootstrap(resamples=400)
    truth = metric.compute(large, np.ones((1, large.runs)))[0]
    inside = 0
    for sample in trials:
        _, low, high = metrics.estimate(metric, sample, bootstrap)
        inside += low <= truth <= high
    assert 0.90 <= inside / _TRIALS <= 0.985


def test_checkpoints_resampled_as_if_independent_would_not_cover(samples):
    """The reason for resampling runs."""
    trials, large = samples
    metric, bootstrap = metrics.BY_NAME["kendall_tau"], Bootstrap(resamples=400)
    truth = metric.compute(large, np.ones((1, large.runs)))[0]
    inside = 0
    for sample in trials:
        alone = Sample(sample.target, sample.prediction, np.arange(len(sample.run)))
        _, low, high = metrics.estimate(metric, alone, bootstrap)
        inside += low <= truth <= high
    assert inside / _TRIALS < 0.85


def test_an_interval_over_seeds_covers_the_mean_over_all_seeds_and_runs():
    """Five seeds, each with an offset of its own, on 60 runs with offsets of theirs: both must be covered."""
    rng = np.random.default_rng(1)
    bootstrap, runs, seeds, trials = Bootstrap(resamples=400), 60, 5, 400
    inside, blind = 0, 0
    for _ in range(trials):
        values = 0.3 * rng.normal(size=(seeds, 1)) + rng.normal(size=(1, runs)) + 0.5 * rng.normal(size=(seeds, runs))
        counts = bootstrap.all_and_counts(runs)
        by_seed = values @ counts.T / counts.sum(axis=1)
        low, high = bootstrap.interval(bootstrap.over_seeds(by_seed)[1:])
        inside += low <= 0 <= high
        low, high = bootstrap.interval(by_seed.mean(axis=0)[1:])
        blind += low <= 0 <= high
    assert 0.88 <= inside / trials <= 0.98
    assert blind / trials < inside / trials - 0.02


def test_over_seeds_has_the_variance_of_independent_seeds():
    """Seeds that differ and runs that do not: the variance of a mean of S is that of one, s^2 (n - 1), over S."""
    values = np.array([1.0, 2.0, 4.0])
    resampled = Bootstrap(resamples=200_000).over_seeds(np.tile(values[:, None], 200_001))
    assert resampled[0] == pytest.approx(values.mean())
    assert resampled[1:].var() == pytest.approx(values.var(ddof=1) / 3, rel=0.02)


def test_one_seed_is_left_as_it_is():
    values = np.array([[0.5, 0.4, 0.6]])
    assert Bootstrap(resamples=2).over_seeds(values).tolist() == [0.5, 0.4, 0.6]


def test_a_statistic_that_is_never_defined_has_no_interval():
    assert np.isnan(Bootstrap().interval(np.array([np.nan, np.inf]))).all()
