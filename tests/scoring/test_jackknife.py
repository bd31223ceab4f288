"""Intervals, checked by what they promise: how often they cover the truth."""

import numpy as np
import pytest
from scipy import stats

from zoobench.scoring import metrics
from zoobench.scoring.compare import difference
from zoobench.scoring.jackknife import Jackknife, Spread, enough, over_runs, over_seeds, together
from zoobench.scoring.sample import Sample
from zoobench.scoring.scales import FISHER, LOG, LOG_REST

_CHECKPOINTS, _TRIALS = 5, 400


def _population(rng, runs, noise=1.0):
    """Checkpoints that agree more within a run than between runs; some runs have far larger errors than others."""
    run = np.repeat(np.arange(runs), _CHECKPOINTS)
    scale = np.exp(0.3 * rng.normal(size=runs))
    skill = rng.normal(size=runs)[run]
    target = np.round(skill + 0.5 * rng.normal(size=len(run)), 1)
    error = (scale * rng.normal(size=runs))[run] + 0.2 * rng.normal(size=len(run))
    return Sample(target, target + 0.5 * noise * error, run)


def _bootstrap(metric, sample, rng):
    """The percentile bootstrap over runs."""
    counts = rng.multinomial(sample.runs, np.full(sample.runs, 1 / sample.runs), size=300).astype(float)
    return np.quantile(metric.compute(sample, counts), [0.025, 0.975])


@pytest.fixture(scope="module")
def truth():
    large = _population(np.random.default_rng(9), 50_000)
    once = np.ones((1, large.runs))
    return {name: float(metrics.BY_NAME[name].compute(large, once)[0]) for name in ("r2", "mse", "mae", "kendall_tau")}


# Ranks take their time.
@pytest.mark.parametrize(("name", "runs"), [("r2", 20), ("r2", 80), ("mse", 20), ("mae", 20), ("kendall_tau", 20)])
def test_a_95_percent_interval_covers_the_truth_that_often_of_few_runs(truth, name, runs):
    """Coverage of 400 intervals has a standard error of 1.1 %; the percentile bootstrap stays behind by more."""
    rng, metric, inside, by_bootstrap = np.random.default_rng(runs), metrics.BY_NAME[name], [], []
    for _ in range(_TRIALS):
        sample = _population(rng, runs)
        _, low, high = metrics.estimate(metric, sample, Jackknife())
        if np.isfinite(low):
            inside.append(low <= truth[name] <= high)
        if name == "mse":
            low, high = _bootstrap(metric, sample, rng)
            by_bootstrap.append(low <= truth[name] <= high)
    assert 0.92 <= np.mean(inside) <= 0.985
    assert len(inside) > 0.85 * _TRIALS
    if name == "mse":
        assert np.mean(by_bootstrap) < 0.90 < np.mean(inside) - 0.02


def _covered(metric, drawn):
    """How often the interval of two equal methods' difference holds 0, and how often there is one."""
    inside = []
    for _ in range(_TRIALS):
        found = difference(metrics.BY_NAME[metric], *drawn(), Jackknife())
        if found.low is not None:
            inside.append(found.low <= 0 <= found.high)
    return np.mean(inside), len(inside) / _TRIALS


def test_the_interval_of_a_difference_covers_it():
    """Two methods that are equally good, on the same runs."""
    rng = np.random.default_rng(0)

    def drawn():
        base = _population(rng, 20)
        errors = (0.5 * rng.normal(size=20)[base.run] for _ in range(2))
        return (Sample(base.target, base.prediction + error, base.run) for error in errors)

    covered, given = _covered("r2", drawn)
    assert 0.92 <= covered <= 0.99
    assert given > 0.9


@pytest.mark.parametrize(("differing", "runs"), [(0.5, 20), (0.25, 40), (0.5, 80)])
def test_the_interval_of_a_difference_of_shares_covers_it(differing, runs):
    """Two methods that answer alike on most runs and are equally good on the others, where a run is right or wrong."""
    rng, run = np.random.default_rng(runs), np.repeat(np.arange(runs), 3)

    def drawn():
        shared, apart = rng.uniform(size=runs) < 0.8, rng.uniform(size=runs) < differing
        both = (np.where(apart, rng.uniform(size=runs) < 0.6, shared)[run].astype(np.int64) for _ in range(2))
        return (Sample(np.ones(len(run), np.int64), right, run) for right in both)

    covered, given = _covered("accuracy", drawn)
    assert 0.93 <= covered <= 0.985
    assert given > 0.85


@pytest.mark.parametrize(("right", "runs"), [(0.97, 20), (0.9, 40), (0.6, 20)])
def test_the_interval_of_a_share_covers_it_where_nearly_all_runs_are_right(right, runs):
    """All checkpoints of a run are right, or all wrong: a binomial share."""
    rng, inside = np.random.default_rng(runs), 0
    metric = metrics.BY_NAME["accuracy"]
    for _ in range(_TRIALS):
        run = np.repeat(np.arange(runs), 3)
        wrong = (rng.uniform(size=runs) > right)[run].astype(np.int64)
        _, low, high = metrics.estimate(metric, Sample(np.zeros(len(run), np.int64), wrong, run), Jackknife())
        inside += low <= right <= high
    assert 0.92 <= inside / _TRIALS <= 0.99


def test_where_every_run_is_right_the_share_may_still_be_lower():
    """Wilson's interval of 40 of 40: n / (n + z^2), with Student's quantile of 39 degrees of freedom."""
    sample = Sample(np.zeros(80, np.int64), np.zeros(80, np.int64), np.arange(80) // 2)
    value, low, high = metrics.estimate(metrics.BY_NAME["accuracy"], sample, Jackknife())
    assert (value, high) == (1, 1)
    assert low == pytest.approx(40 / (40 + stats.t.ppf(0.975, 39) ** 2))


def test_the_variance_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(0).normal(size=30)
    without = (values.sum() - values) / 29
    assert over_runs(without).variance == pytest.approx(stats.sem(values) ** 2)


def test_the_interval_of_a_mean_of_two_values_is_students():
    """As many of one as of the other: squares that are all alike have n - 1 degrees of freedom."""
    values = np.repeat([0.0, 1.0], 10)
    means = np.array([[values.mean(), *((values.sum() - values) / 19)]])
    expected = stats.t.interval(0.95, 19, loc=0.5, scale=stats.sem(values))
    assert Jackknife().interval(means) == pytest.approx(expected)
    assert Jackknife(level=0.5).interval(means) == pytest.approx(stats.t.interval(0.5, 19, 0.5, stats.sem(values)))


def test_where_one_run_makes_the_variance_there_are_too_few():
    values = np.zeros(50)
    values[7] = 1.0
    means = np.array([[values.mean(), *((values.sum() - values) / 49)]])
    assert over_runs(means[0, 1:]).df == pytest.approx(2, rel=0.1)
    assert Jackknife().interval(means) is None
    assert not enough(Spread(1.0, 2.9, 50)).known


def test_undefined_without_a_run_means_too_few():
    assert Jackknife().interval(np.array([[1.0, np.nan, 1.0, 0.9]])) is None


def test_each_run_is_left_out_once_and_groups_of_many_are_drawn_by_the_seed():
    assert np.array_equal(np.sort(1 - Jackknife().counts(5)[1:], axis=0)[-1], np.ones(5))
    counts = Jackknife(groups=20).counts(70)
    assert counts.shape == (21, 70)
    assert (counts[0] == 1).all()
    assert ((1 - counts[1:]).sum(axis=0) == 1).all()
    assert set((1 - counts[1:]).sum(axis=1)) == {3, 4}
    assert np.array_equal(counts, Jackknife(groups=20).counts(70))
    assert not np.array_equal(counts, Jackknife(groups=20, seed=1).counts(70))


def test_groups_of_runs_have_the_variance_of_the_runs():
    rng = np.random.default_rng(1)
    values = rng.normal(size=2000)
    counts = Jackknife(groups=200).counts(2000)
    means = counts @ values / counts.sum(axis=1)
    assert over_runs(means[1:]).variance == pytest.approx(stats.sem(values) ** 2, rel=0.2)


@pytest.mark.parametrize(("seeds", "sd"), [(3, 0.1), (3, 0.3), (5, 0.3)])
def test_an_interval_over_seeds_covers_the_mean_over_all_seeds_and_runs(seeds, sd):
    """Seeds with an offset each, on runs with offsets of theirs, and both together: all must be covered."""
    rng, runs, inside, blind = np.random.default_rng(1), 60, 0, 0
    counts = Jackknife().counts(runs)
    for _ in range(_TRIALS):
        own = rng.normal(size=runs) + 0.5 * rng.normal(size=(seeds, runs))
        values = (sd * rng.normal(size=(seeds, 1)) + own / 10) @ counts.T / counts.sum(axis=1)
        low, high = Jackknife().interval(values)
        inside += low <= 0 <= high
        low, high = Jackknife().interval(values.mean(axis=0, keepdims=True))
        blind += low <= 0 <= high
    assert 0.92 <= inside / _TRIALS <= 0.985
    assert blind / _TRIALS < 0.6


def test_seeds_on_runs_that_do_not_differ_have_the_variance_of_a_mean():
    values = np.tile(np.array([[1.0], [2.0], [4.0]]), 11)
    assert over_seeds(values).variance == pytest.approx(np.var([1, 2, 4], ddof=1) / 3)
    assert over_seeds(values).df == 2
    low, high = Jackknife().interval(values)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 2) * stats.sem([1, 2, 4]))
    assert over_seeds(values[:1]).variance == 0


def test_the_sum_of_two_has_the_degrees_of_freedom_of_welch():
    """scipy's t test of unequal variances says them."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=8), 3 * rng.normal(size=15)
    sum_of_both = together([Spread(stats.sem(one) ** 2, 7), Spread(stats.sem(other) ** 2, 14)])
    assert sum_of_both.df == pytest.approx(stats.ttest_ind(one, other, equal_var=False).df)


@pytest.mark.parametrize(("scale", "at"), [(LOG, 0.3), (LOG_REST, -2.5), (LOG_REST, 0.9), (FISHER, -0.4)])
def test_a_scale_comes_back_and_knows_its_slope(scale, at):
    assert scale.back(scale.of(np.array(at))) == pytest.approx(at)
    rise = (scale.of(np.array(at + 1e-6)) - scale.of(np.array(at - 1e-6))) / 2e-6
    assert scale.slope(at) == pytest.approx(rise, rel=1e-6)
