"""Two ways to draw, each within its range and spread over it."""

import math

import numpy as np
import pytest
from scipy import stats

from zoobench.distributions import Choice, LogUniform, Uniform, drawn_value, value_at


@pytest.mark.parametrize(
    ("distribution", "position", "value"),
    [
        (Choice(("a", "b", "c", "d")), 0.0, "a"),
        (Choice(("a", "b", "c", "d")), 0.75, "d"),
        (Uniform(2, 4), 0.0, 2),
        (Uniform(2, 4), 0.34, 3),
        (Uniform(2, 4), 0.999, 4),
        (Uniform(2.0, 4.0), 0.25, 2.5),
        (LogUniform(1e-4, 1e-2), 0.5, pytest.approx(1e-3)),
    ],
)
def test_a_position_is_a_value(distribution, position, value):
    found = value_at(distribution, position)
    assert found == value
    assert type(found) is type(value) or isinstance(found, float)


@pytest.mark.parametrize("way", ["position", "random state"])
def test_values_are_spread_as_the_distribution_says(way):
    rng = np.random.RandomState(0)

    def drawn(distribution):
        take = (
            (lambda: value_at(distribution, rng.random_sample()))
            if way == "position"
            else lambda: drawn_value(distribution, rng)
        )
        return [take() for _ in range(3000)]

    for distribution, values in ((Choice(("a", "b", "c")), ["a", "b", "c"]), (Uniform(5, 7), [5, 6, 7])):
        found, counts = np.unique(drawn(distribution), return_counts=True)
        assert found.tolist() == values
        assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(drawn(Uniform(0.5, 0.7)), "uniform", args=(0.5, 0.2)).pvalue > 1e-3
    logs = [math.log10(value) for value in drawn(LogUniform(1e-3, 1e3))]
    assert stats.kstest(logs, "uniform", args=(-3, 6)).pvalue > 1e-3
