import pytest
from scipy.stats import t as student

from zoobench.scoring.student import quantile, upper_tail

DF = (0.5, 1, 2, 2.7, 4, 17.3, 199, 10_000)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("t", [-40, -1, 0, 0.1, 1, 3, 10, 40])
def test_tails_are_those_of_scipy(df, t):
    assert upper_tail(t, df) == pytest.approx(student.sf(t, df), rel=1e-10)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.975, 0.9999])
def test_quantiles_are_those_of_scipy(df, probability):
    assert quantile(probability, df) == pytest.approx(student.ppf(probability, df), rel=1e-9, abs=1e-12)
