"""Expected values: NumPy's sort, and its mean and variance in double precision."""

import numpy as np
import pytest

from zoobench import native
from zoobench.weightspace.row_statistics import row_statistics


def ordered(values, ranks):
    return row_statistics(values, ranks)[1]


def rows(size, count=37):
    values = np.random.default_rng(size).normal(size=(count, size)).astype(np.float32)
    values[0, ::2] = -0.0
    values[1] = values[1].round()
    values[2, : size // 2] = np.inf
    values[3, size // 3 :] = -np.inf
    values[4, -1] = np.nan
    values[5, : 1 + size // 5] = -np.float32(np.nan)
    values[6] = np.float32(1e-45) * np.arange(size)
    return values


@pytest.mark.parametrize("size", [*range(1, 40), 63, 64, 65, 127, 128, 129, 250, 257, 1000, 1024, 1025, 2304, 5000])
def test_all_ranks_are_those_of_sorted_rows(size):
    values = rows(size)
    before = values.copy()
    np.testing.assert_array_equal(ordered(values, np.arange(size)), np.sort(values, axis=1))
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 100, 2304])
def test_moments_are_exact_in_double_precision(size):
    values = rows(size)[6:]
    values[1] *= 3e37 / np.abs(values[1]).max()
    values[2] = np.float32(3e38)
    exact = values.astype(np.float64)
    moments, _ = row_statistics(values, np.array([0]))
    np.testing.assert_allclose(moments, np.stack([exact.mean(1), exact.var(1)], 1), rtol=1e-10, atol=1e-100)


def test_moments_of_what_is_not_finite_are_as_in_numpy():
    values = rows(50)[2:6]
    moments, _ = row_statistics(values, np.array([0]))
    with np.errstate(invalid="ignore"):
        expected = np.stack([values.mean(1), values.var(1)], 1)
    np.testing.assert_array_equal(moments, expected)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17])
def test_any_number_of_rows_and_ranks_in_any_order(count):
    values, ranks = rows(90)[:count], np.array([89, 0, 45, 0])
    np.testing.assert_array_equal(ordered(values, ranks), np.sort(values, axis=1)[:, ranks])
    assert ordered(values, ranks[:0]).shape == (count, 0)


def test_rows_may_lie_apart_in_memory():
    whole = rows(200)
    part, ranks = whole[::3, 50:117], np.arange(67)
    np.testing.assert_array_equal(ordered(part, ranks), np.sort(part, axis=1))
    backwards = whole[::-1]
    np.testing.assert_array_equal(ordered(backwards, np.arange(200)), np.sort(backwards, axis=1))


def test_without_the_compiled_code_numpy_sorts(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    native.library.cache_clear()
    try:
        assert native.library("row_statistics") is None
        values, ranks = rows(300), np.array([3, 299, 150])
        np.testing.assert_array_equal(ordered(values, ranks), np.sort(values, axis=1)[:, ranks])
    finally:
        native.library.cache_clear()


@pytest.mark.parametrize(
    ("values", "ranks", "message"),
    [
        (np.zeros((3, 4)), [0], "values are float64"),
        (np.zeros((3, 0), np.float32), [0], r"values are float32 \(3, 0\)"),
        (np.zeros((4, 3), np.float32).T, [0], "adjacent in memory"),
        (np.zeros((3, 4), np.float32), [4], r"ranks are int64 \[4\]; give int64 from 0 to 3"),
        (np.zeros((3, 4), np.float32), [-1], r"\[-1\]"),
        (np.zeros((3, 4), np.float32), [0.5], "ranks are float64"),
        (np.zeros((3, 9), np.uint8)[:, :8].view(np.float32), [0], "9 bytes apart"),
    ],
)
def test_arrays_that_do_not_fit_are_named(values, ranks, message):
    with pytest.raises(ValueError, match=message):
        ordered(values, np.asarray(ranks))
