import numpy as np
import pytest
from scipy import stats

from zoobench.scoring.averages import Estimates, averages, mean_skill
from zoobench.scoring.jackknife import Jackknife, over_runs, together


def estimates(zoo, protocol="all", **tasks):
    """One seed, the value first, then without each of three runs; tasks as name=(metric, values)."""
    return Estimates(
        zoo,
        protocol,
        {name: {metric: np.array([values]), "mse": np.ones((1, 4))} for name, (metric, values) in tasks.items()},
        {},
    )


ZOOS = [
    estimates("small/a", accuracy=("r2", [0.2, 0.1, 0.2, 0.3]), epoch=("r2", [0.6, 0.5, 0.6, 0.7])),
    estimates("small/b", accuracy=("r2", [0.8, 0.8, 0.8, 0.8]), init=("accuracy", [0.9, 0.8, 0.9, 1.0])),
    estimates("large/c", accuracy=("r2", [1.0, 1.0, 1.0, 1.0])),
]


def test_tasks_then_zoos_then_families():
    """By hand: small/a 0.4 and small/b 0.8 make 0.6; with large 1.0 that is 0.8 over all."""
    found = {(a.family, a.metric): a for a in averages(ZOOS, Jackknife())}
    assert found["small", "r2"].score.value == pytest.approx(0.6)
    assert found["large", "r2"].score.value == pytest.approx(1.0)
    assert found[None, "r2"].score.value == pytest.approx(0.8)
    assert found["small", "accuracy"].score.value == pytest.approx(0.9)
    assert (found["small", "r2"].zoos, found["small", "r2"].tasks) == (["small/a", "small/b"], 3)
    assert (found["small", "accuracy"].zoos, found["small", "accuracy"].tasks) == (["small/b"], 1)
    # Without each run, small/a has 0.3, 0.4 and 0.5: a variance of 2 / 3 of 0.02, known with 2 degrees of freedom; of
    # the mean with small/b, which does not vary, a quarter.
    reach = stats.t.ppf(0.975, 2) * np.sqrt(0.02 * 2 / 3) / 2
    score = found["small", "r2"].score
    assert (score.low, score.high) == (pytest.approx(0.6 - reach), pytest.approx(0.6 + reach))


def test_zoos_are_independent_of_each_other():
    rng = np.random.default_rng(0)
    zoos = [estimates(f"a/{k}", accuracy=("r2", rng.normal(size=41))) for k in range(2)]
    spread = together(over_runs(zoo.values["accuracy"]["r2"][0, 1:]).times(0.5) for zoo in zoos)
    score = next(a.score for a in averages(zoos, Jackknife()) if a.family == "a")
    assert score.high - score.low == pytest.approx(2 * stats.t.ppf(0.975, spread.df) * spread.error)


def test_seeds_widen_an_average():
    """Two seeds that differ by 0.2 on runs that do not differ: a variance of 0.02 over 2."""
    zoo = Estimates("a/b", "all", {"epoch": {"r2": np.array([[0.4] * 6, [0.6] * 6])}}, {})
    score = averages([zoo], Jackknife())[0].score
    assert (score.value, score.high) == (pytest.approx(0.5), pytest.approx(0.5 + stats.t.ppf(0.975, 1) * 0.1))


def test_one_target_counts_once_and_what_is_not_ranked_does_not():
    """By hand: accuracy 0.8, the learning rate (0.2 + 0.4) / 2, F1 (0.1 + 0.3) / 2; three targets."""
    skills = {
        "accuracy": 0.8,
        "learning_rate": 0.2,
        "log10_learning_rate": 0.4,
        "f1_class_0": 0.1,
        "f1_class_1": 0.3,
        "init_std": 0.9,
    }
    assert mean_skill(skills) == pytest.approx((0.8 + 0.3 + 0.2) / 3)


def test_a_metric_in_the_unit_of_a_task_is_not_averaged():
    assert "mse" not in {average.metric for average in averages(ZOOS, Jackknife())}


def test_protocols_are_averaged_apart():
    zoos = [estimates("small/a", p, accuracy=("r2", [v] * 4)) for p, v in (("all", 0.1), ("final", 0.9))]
    found = averages(zoos, Jackknife())
    assert {(a.protocol, a.score.value) for a in found} == {("all", 0.1), ("final", 0.9)}


def test_what_is_undefined_for_one_task_is_undefined_on_average():
    zoos = [*ZOOS, estimates("large/d", epoch=("r2", [np.nan, 0.5, 0.5, 0.5]))]
    found = {(a.family, a.metric): a.score for a in averages(zoos, Jackknife())}
    assert found["small", "r2"].value is not None
    for family in ("large", None):
        assert (found[family, "r2"].value, found[family, "r2"].reason) == (None, "undefined for epoch of large/d")
