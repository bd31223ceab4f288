"""Values by mpmath's 40 digits and by SciPy; bits by a fixed hash, with and without vector instructions."""

import hashlib
import sys

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from tests.plain_arithmetic import run_plainly
from zoobench import exact

mp.mp.dps = 40
LARGEST, SMALLEST = sys.float_info.max, 5e-324


def mixed(count, salt):
    """Fixed 64-bit integers, as SplitMix64 makes them of their numbers."""
    x = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(salt << 32)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def between(low, high, count, salt):
    return low + (mixed(count, salt) >> np.uint64(11)) * 2.0**-53 * (high - low)


def positive_doubles(count, salt):
    """All exponents alike, and as many again of subnormal numbers as of 500 exponents."""
    normal = (mixed(count, salt) % np.uint64(0x7FF << 52)).view(np.float64)
    return np.concatenate([normal, (1 + mixed(count // 4, salt + 1) % 2**50) * SMALLEST])


def units_off(found, reference, x):
    """How many units in the last place each value is off."""
    exact_values = [reference(mp.mpf(each)) for each in x.tolist()]
    places = np.spacing(np.abs([float(value) for value in exact_values])).tolist()
    pairs = zip(found.tolist(), exact_values, places, strict=True)
    return np.array([float(abs(value - right) / place) for value, right, place in pairs])


@pytest.mark.parametrize(("low", "high"), [(-708.3, 709.78), (-745.1, -708.4), (0.3, 1.1), (-1e-3, 1e-3)])
def test_exp_is_off_by_less_than_nine_tenths_of_a_unit(low, high):
    x = between(low, high, 80_000, 1)
    assert units_off(exact.exp(x), mp.exp, x).max() < 0.9


@pytest.mark.parametrize(
    "x",
    [positive_doubles(60_000, 2), between(0.3, 3, 60_000, 4), between(0.999, 1.001, 30_000, 5)],
    ids=["all", "near 1", "at 1"],
)
def test_log_is_off_by_less_than_nine_tenths_of_a_unit(x):
    assert units_off(exact.log(x), mp.log, x).max() < 0.9


# Multiples of 2^-54 in the lower half, of 2^-53 in the upper, and tails as far as doubles go.
PROBABILITIES = np.concatenate(
    [
        (mixed(8_000, 6) >> np.uint64(10)) * 2.0**-54,
        2.0 ** -between(1, 54, 8_000, 7),
        1 - 2.0 ** -between(1, 53, 8_000, 8),
        2.0 ** -between(54, 1074, 4_000, 9),
        0.5 + between(-1e-3, 1e-3, 2_000, 10),
        [2.0**-54, 1 - 2.0**-53, 0.075, 0.925, 0.25, 0.75, SMALLEST, 2.0**-1022, np.nextafter(0.5, 0)],
    ]
)


def test_ndtri_is_off_by_less_than_a_relative_1e_15():
    """One step of Newton's method, in 40 digits, tells how far a value is from the right one."""
    off = []
    for p, x in zip(PROBABILITIES.tolist(), exact.ndtri(PROBABILITIES).tolist(), strict=True):
        tail, at = (mp.mpf(p), x) if p < 0.5 else (1 - mp.mpf(p), -x)  # from below, where digits are
        miss = (mp.erfc(-at / mp.sqrt(2)) / 2 - tail) / mp.npdf(at)
        off.append(float(abs(miss / x)) if p != 0.5 else abs(x))
    assert max(off) < 1e-15


def test_ndtri_is_scipys():
    p = (mixed(300_000, 11) >> np.uint64(11)) * 2.0**-53 + 2.0**-54
    np.testing.assert_allclose(exact.ndtri(p), special.ndtri(p), rtol=3e-15, atol=3e-16)


def test_normal_draws_are_finite_at_both_ends():
    ends = exact.normal(np.array([0.0, 0.5, 1 - 2.0**-53]))
    np.testing.assert_allclose(ends, [special.ndtri(2.0**-54), special.ndtri(0.5 + 2.0**-54), -special.ndtri(2.0**-53)])


@pytest.mark.parametrize(
    ("function", "x", "value"),
    [
        (exact.exp, 0.0, 1.0),
        (exact.exp, -0.0, 1.0),
        (exact.exp, np.inf, np.inf),
        (exact.exp, 709.79, np.inf),
        (exact.exp, LARGEST, np.inf),
        (exact.exp, -np.inf, 0.0),
        (exact.exp, -745.2, 0.0),
        (exact.exp, -745.1, SMALLEST),
        (exact.exp, -LARGEST, 0.0),
        (exact.exp, SMALLEST, 1.0),
        (exact.exp, np.nan, np.nan),
        (exact.log, 1.0, 0.0),
        (exact.log, 0.0, -np.inf),
        (exact.log, -0.0, -np.inf),
        (exact.log, -SMALLEST, np.nan),
        (exact.log, -np.inf, np.nan),
        (exact.log, np.inf, np.inf),
        (exact.log, np.nan, np.nan),
        (exact.log, SMALLEST, float(mp.log(mp.mpf(2)) * -1074)),
        (exact.log, LARGEST, float(mp.log(LARGEST))),
        (exact.ndtri, 0.5, 0.0),
        (exact.ndtri, 0.0, -np.inf),
        (exact.ndtri, 1.0, np.inf),
        (exact.ndtri, -SMALLEST, np.nan),
        (exact.ndtri, 1.5, np.nan),
        (exact.ndtri, np.nan, np.nan),
    ],
)
def test_a_number_gives_a_number_at_the_ends_too(function, x, value):
    found = function(x)
    assert type(found) is float
    np.testing.assert_array_equal(found, value)
    assert function(np.array(x)).shape == ()


@pytest.mark.parametrize("function", [exact.exp, exact.log, exact.ndtri])
def test_a_value_does_not_depend_on_its_place(function):
    """Nor on the shape, the strides and how many others there are: vector instructions leave remainders."""
    p = between(0.001, 0.999, 40_002, 12)
    together = function(p)
    assert function(p.reshape(2, 3, -1).T).T.tobytes() == together.tobytes()
    for some in (slice(0, 7), slice(16_380, 16_390), slice(5, None, 3)):
        assert function(p[some]).tobytes() == together[some].tobytes()
    assert function(p[7].item()) == together[7]


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_total_is_added_from_first_to_last(axis, dtype):
    x = (2.0 ** between(-30, 30, 40 * 41 * 42, 13)).reshape(40, 41, 42).astype(dtype)
    parts = list(np.moveaxis(x, axis, 0))
    expected = parts[0]
    for part in parts[1:]:
        expected = expected + part
    found = exact.total(x, axis)
    assert found.dtype == dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("shape", [(70, 9, 9), (200, 144, 16), (3, 5, 1)], ids=str)
def test_orthonormal_columns_are_those_of_numpys_qr(shape):
    draws = exact.normal(between(0, 1, int(np.prod(shape)), 14)).reshape(shape)
    ours = exact.orthonormal(draws)
    q, r = np.linalg.qr(draws)
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]
    condition = np.linalg.cond(draws)[:, None, None]
    assert (np.abs(ours - q) < 4e-15 * condition).all()
    products = np.einsum("rij,rik->rjk", ours, ours)
    np.testing.assert_allclose(products, np.tile(np.eye(shape[2]), (shape[0], 1, 1)), rtol=0, atol=3e-15)


def test_columns_that_are_almost_one_another_come_out_orthonormal_too():
    draws = np.ones((1, 8, 3)) + 1e-7 * exact.normal(between(0, 1, 24, 15)).reshape(1, 8, 3)
    ours = exact.orthonormal(draws)[0]
    np.testing.assert_allclose(ours.T @ ours, np.eye(3), atol=1e-15)


def test_an_orthonormal_matrix_does_not_depend_on_the_others():
    draws = exact.normal(between(0, 1, 130 * 60, 16)).reshape(130, 10, 6)
    together = exact.orthonormal(draws)
    for number in (0, 63, 64, 129):
        assert exact.orthonormal(draws[number : number + 1]).tobytes() == together[number].tobytes()


GOLDEN = {
    "exp": "172ee0cb771dabab24e12f742739312f18819c1064a5d0f37069c356defb8a03",
    "log": "206a240d867949aa74a5a01d5be4773625eb274d56531c9b219ae4b1580a44d2",
    "ndtri": "4db5b553a670615c30ad704c0c58799b8af78663b53ba5f4e79ea0375f3c9610",
    "total": "0eeb846407f72e7f3135271641997562ff5d5c23ab50a46637c433305708551f",
    "orthonormal": "318586f0deb03a0439541cdcca5b572aa81b920d12dcd59f44cace238a5f7c1a",
}


def digests():
    """sha256 of each function's values of fixed numbers."""
    every = mixed(100_000, 17).view(np.float64)
    every = every[~np.isnan(every)]  # how a nan is written is not IEEE 754's
    numbers = {
        "exp": exact.exp(np.concatenate([between(-750, 715, 100_000, 18), every])),
        "log": exact.log(np.abs(every)),
        "ndtri": exact.ndtri(np.concatenate([between(0, 1, 200_000, 19), PROBABILITIES[:8_000]])),
        "total": exact.total(between(-1, 1, 300_000, 20).reshape(1000, 300), 0),
        "orthonormal": exact.orthonormal((between(-1, 1, 90_000, 21)).reshape(100, 30, 30)),
    }
    return {name: hashlib.sha256(values.astype("<f8").tobytes()).hexdigest() for name, values in numbers.items()}


def test_the_bits_are_those_that_they_always_were():
    assert digests() == GOLDEN


def test_the_bits_are_the_same_without_vector_instructions():
    run_plainly("from tests.test_exact import GOLDEN, digests as found; assert found() == GOLDEN")
