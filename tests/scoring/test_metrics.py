"""Metrics against scipy and scikit-learn; resampled values against metrics of actually repeated rows."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)

from zoobench.scoring import metrics, ranks
from zoobench.scoring.classification import confusion
from zoobench.scoring.jackknife import Jackknife
from zoobench.scoring.metrics import estimate
from zoobench.scoring.sample import Sample


def errors(target, prediction):
    return np.mean(np.asarray(target) != prediction)


REFERENCE = {
    "r2": r2_score,
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
    "kendall_tau": lambda y, p: kendalltau(y, p).statistic,
    "spearman": lambda y, p: spearmanr(y, p).statistic,
    "accuracy": accuracy_score,
    "skill": lambda y, p: max(r2_score(y, p), 0),
    "class_skill": lambda y, p: max(1 - errors(y, p) / (errors(y, max(set(y), key=list(y).count)) or np.nan), 0),
    "macro_f1": lambda y, p: f1_score(y, p, average="macro"),
}
REGRESSION, CLASSIFICATION = metrics.metrics_of("regression"), metrics.metrics_of("classification")


def sample(rows, runs, decimals=1, seed=0):
    rng = np.random.default_rng(seed)
    target = np.round(rng.normal(size=rows), decimals)
    prediction = np.round(target + rng.normal(size=rows), decimals)
    return Sample(target, prediction, np.arange(rows) % runs)


def classes(rows, runs, number, seed=0):
    """Class numbers that are predicted right in half of the rows; later classes are rare."""
    rng = np.random.default_rng(seed)
    target = np.minimum(rng.geometric(0.4, size=rows) - 1, number - 1)
    guess = np.minimum(rng.geometric(0.4, size=rows) - 1, number - 1)
    return Sample(target, np.where(rng.uniform(size=rows) < 0.5, target, guess), np.arange(rows) % runs)


def _drawn(runs):
    """(8, runs): how often each run is drawn."""
    return np.random.default_rng(3).multinomial(runs, np.full(runs, 1 / runs), size=8).astype(float)


@pytest.mark.parametrize("metric", REGRESSION, ids=lambda m: m.name)
@pytest.mark.parametrize("decimals", [0, 1, 12], ids=["many ties", "some ties", "no ties"])
@pytest.mark.parametrize("rows", [3, 10, 999, 5000])
def test_values_are_those_of_scipy_and_scikit_learn(metric, rows, decimals):
    data = sample(rows, 3, decimals)
    value, low, high = estimate(metric, data, Jackknife())
    assert value == pytest.approx(REFERENCE[metric.name](data.target, data.prediction), rel=1e-9)
    assert np.isnan([low, high]).all() or low <= value <= high


@pytest.mark.parametrize("metric", CLASSIFICATION, ids=lambda m: m.name)
@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("rows", [2, 10, 999])
def test_classification_is_that_of_scikit_learn(metric, rows, number):
    data = classes(rows, 2, number)
    value, low, high = estimate(metric, data, Jackknife())
    expected = REFERENCE[metric.name](data.target, data.prediction)
    assert value == pytest.approx(expected, rel=1e-12, nan_ok=True)
    # Two rows of two runs, of which one alone has no skill, have no interval.
    assert np.isnan(expected) or 0 <= low <= value <= high <= 1 or (np.isnan([low, high]).all() and rows == 2)
    counts = _drawn(2)
    for resample, resampled in zip(counts, metric.compute(data, counts), strict=True):
        rows_of = [np.flatnonzero(data.run == run) for run in range(2) for _ in range(int(resample[run]))]
        drawn = np.concatenate(rows_of)
        expected = REFERENCE[metric.name](data.target[drawn], data.prediction[drawn])
        assert resampled == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_the_confusion_matrix_is_that_of_scikit_learn():
    data = classes(500, 10, 4)
    assert confusion(data, 6) == confusion_matrix(data.target, data.prediction, labels=range(6)).tolist()


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_the_ceiling_is_what_the_best_predictions_without_ties_reach(decimals):
    data = sample(400, 4, decimals)
    best = np.argsort(np.argsort(data.target, kind="stable"))
    assert ranks.tau_ceiling(data.target) == pytest.approx(kendalltau(data.target, best).statistic, rel=1e-12)


def test_tau_of_rounded_predictions_and_among_some_rows_is_that_of_scipy():
    data = sample(400, 4, 12)
    near = replace(data, prediction=data.prediction / 500)
    rounded = np.round(near.prediction, 3)
    assert len(set(rounded)) < 50
    assert ranks.tau_rounded(near) == pytest.approx(kendalltau(data.target, rounded).statistic, rel=1e-12)
    rows = data.target > np.median(data.target)
    expected = kendalltau(data.target[rows], data.prediction[rows]).statistic
    assert ranks.tau_among(data, rows) == pytest.approx(expected, rel=1e-12)
    assert np.isnan(ranks.tau_among(data, np.arange(400) == 7))


def test_a_constant_target_has_no_ceiling():
    assert np.isnan(ranks.tau_ceiling(np.ones(5)))


@pytest.mark.parametrize("metric", REGRESSION, ids=lambda m: m.name)
@pytest.mark.parametrize("decimals", [0, 2, 12])
def test_a_resample_scores_like_rows_that_are_really_repeated(metric, decimals):
    data = sample(200, 12, decimals)
    counts = _drawn(12)
    for resample, value in zip(counts, metric.compute(data, counts), strict=True):
        rows = np.concatenate([np.flatnonzero(data.run == run) for run in range(12) for _ in range(int(resample[run]))])
        expected = REFERENCE[metric.name](data.target[rows], data.prediction[rows])
        assert metric.bounded(value) == pytest.approx(expected, rel=1e-9)


def test_a_perfect_and_a_reversed_ranker():
    data = sample(100, 5, decimals=12)
    perfect = Sample(data.target, 3 * data.target + 1, data.run)
    reverse = Sample(data.target, -data.target, data.run)
    for name in ("kendall_tau", "spearman"):
        metric = metrics.BY_NAME[name]
        assert estimate(metric, perfect, Jackknife()) == pytest.approx((1, 1, 1), rel=1e-12)
        assert estimate(metric, reverse, Jackknife()) == pytest.approx((-1, -1, -1), rel=1e-12)


@pytest.mark.parametrize("name", ["r2", "kendall_tau", "spearman"])
def test_a_constant_target_has_no_value(name):
    data = Sample(np.full(10, 0.1), np.arange(10.0), np.arange(10) % 2)
    assert np.isnan(estimate(metrics.BY_NAME[name], data, Jackknife())).all()


def test_constant_predictions_have_no_rank_correlation_but_an_r2():
    data = Sample(np.arange(10.0), np.full(10, 4.5), np.arange(10) % 2)
    for name in ("kendall_tau", "spearman"):
        assert np.isnan(estimate(metrics.BY_NAME[name], data, Jackknife())).all()
    assert estimate(metrics.BY_NAME["r2"], data, Jackknife())[0] == pytest.approx(0)


def test_r2_survives_targets_far_from_zero():
    rng = np.random.default_rng(0)
    target = 1e6 + rng.normal(size=1000)
    prediction = target + 0.1 * rng.normal(size=1000)
    data = Sample(target, prediction, np.arange(1000) % 10)
    value, _, _ = estimate(metrics.BY_NAME["r2"], data, Jackknife())
    assert value == pytest.approx(r2_score(target, prediction), rel=1e-6)


def test_intervals_over_runs_cover_the_truth_as_often_as_they_say():
    """300 simulated test splits of 60 runs x 5 checkpoints whose errors are shared within a run; true MSE is 1.25.

    Resampling rows instead of runs would cover in about 70 % of them.
    """
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        run = np.repeat(np.arange(60), 5)
        error = rng.normal(size=60)[run] + 0.5 * rng.normal(size=300)
        data = Sample(np.zeros(300), error, run)
        _, low, high = estimate(metrics.BY_NAME["mse"], data, Jackknife())
        covered += low <= 1.25 <= high
    assert 0.88 <= covered / 300 <= 0.98
