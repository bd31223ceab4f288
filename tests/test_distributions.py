"""Two ways to draw, each within its range and spread over it."""

import math

import mpmath as mp
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


@pytest.mark.parametrize(("low", "high"), [(5e-4, 5e-2), (1e-8, 1e-3), (1e-3, 0.5), (0.2, 3e5)])
def test_a_position_in_a_logarithmic_range_is_the_nearest_double_to_the_power(low, high):
    """By mpmath; on every machine, as ids hang on the value's last digit."""
    positions = [0.0, 2.0**-64, 1 - 2.0**-53, *np.random.RandomState(1).random_sample(5000).tolist()]
    with mp.workdps(40):
        expected = [low * float(mp.mpf(high / low) ** mp.mpf(position)) for position in positions]
    assert [value_at(LogUniform(low, high), position) for position in positions] == expected


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
