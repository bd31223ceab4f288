import numpy as np
import pytest

from zoobench.scoring.averages import Resampled, averages
from zoobench.scoring.bootstrap import Bootstrap


def resampled(zoo, protocol="all", **tasks):
    """Two resamples, the value first; tasks as name=(value, r2 or accuracy)."""
    return Resampled(
        zoo,
        protocol,
        {name: {metric: np.array(values), "mse": np.ones(3)} for name, (metric, values) in tasks.items()},
    )


ZOOS = [
    resampled("small/a", accuracy=("r2", [0.2, 0.1, 0.3]), epoch=("r2", [0.6, 0.5, 0.7])),
    resampled("small/b", accuracy=("r2", [0.8, 0.8, 0.8]), init=("accuracy", [0.9, 0.8, 1.0])),
    resampled("large/c", accuracy=("r2", [1.0, 1.0, 1.0])),
]


def test_tasks_then_zoos_then_families():
    """By hand: small/a 0.4 and small/b 0.8 make 0.6; with large 1.0 that is 0.8 over all."""
    found = {(a.family, a.metric): a for a in averages(ZOOS, Bootstrap(level=1.0))}
    assert found["small", "r2"].score.value == pytest.approx(0.6)
    assert found["large", "r2"].score.value == pytest.approx(1.0)
    assert found[None, "r2"].score.value == pytest.approx(0.8)
    assert found["small", "accuracy"].score.value == pytest.approx(0.9)
    assert (found["small", "r2"].zoos, found["small", "r2"].tasks) == (["small/a", "small/b"], 3)
    assert (found["small", "accuracy"].zoos, found["small", "accuracy"].tasks) == (["small/b"], 1)
    # Resamples: small/a 0.3 and 0.5, small/b 0.8: 0.55 and 0.65.
    score = found["small", "r2"].score
    assert (score.low, score.high) == (pytest.approx(0.55), pytest.approx(0.65))


def test_a_metric_in_the_unit_of_a_task_is_not_averaged():
    assert "mse" not in {average.metric for average in averages(ZOOS, Bootstrap())}


def test_protocols_are_averaged_apart():
    zoos = [resampled("small/a", p, accuracy=("r2", [v] * 3)) for p, v in (("all", 0.1), ("final", 0.9))]
    found = averages(zoos, Bootstrap())
    assert {(a.protocol, a.score.value) for a in found} == {("all", 0.1), ("final", 0.9)}


def test_what_is_undefined_for_one_task_is_undefined_on_average():
    zoos = [*ZOOS, resampled("large/d", epoch=("r2", [np.nan, 0.5, 0.5]))]
    found = {(a.family, a.metric): a.score for a in averages(zoos, Bootstrap())}
    assert found["small", "r2"].value is not None
    for family in ("large", None):
        assert (found[family, "r2"].value, found[family, "r2"].reason) == (None, "undefined for epoch of large/d")
