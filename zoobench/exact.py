"""Functions of float64 whose bits are the same on every machine.

A C library's ``exp``, a BLAS's sums and a compiler that fuses a product with a sum differ in last bits from one machine
to the next. IEEE 754 fixes +, −, ×, ÷, √, rounding to whole numbers and powers of two, so what comes in here is made of
those alone: each a call of NumPy of its own, in the order in which it is written, and bits moved as integers. No
``np.exp``, ``np.sum``, ``@`` or ``**`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

Values = TypeVar("Values", float, np.ndarray)

# Numbers, and matrices, that are computed at once: what comes in between stays in a core's cache.
_BLOCK = 16384
_RUNS = 64

# log 2 in two parts: the first ends 42 bits behind the point, so that whole multiples up to 2048 are exact.
_LN2_HIGH, _LN2_LOW = 0.6931471805598903, 5.497923018708371e-14
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_SMALLEST_NORMAL = 2.0**-1022

# exp(r) = 1 + r + r² Σ rⁿ / (n + 2)!; for |r| <= log(2) / 2 the next term is below 2^-57.
_EXP = tuple(
    1 / factorial for factorial in (2, 6, 24, 120, 720, 5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800)
)
# log(1 + f) = 2 artanh(s) = 2 s + s Σ 2 s²ⁿ / (2 n + 1), s = f / (2 + f); |s| < 0.172, the next term is below 2^-61.
_LOG = tuple(2 / odd for odd in range(3, 24, 2))

# Fractions (numerator, denominator; lowest power first) of ndtri, made by `python -m benchmarks.ndtri`, which says how.
# In exact arithmetic they are off by less than 1e-17.
_CENTRAL = (
    (
        3.387132872796367,
        142.26465174340765,
        2294.010890270816,
        17882.014098346655,
        69782.70702357634,
        127686.94774805766,
        89990.6901694461,
        13268.945816761034,
        -566.7510350640905,
    ),
    (
        1.0,
        45.00675437118744,
        790.4710728336673,
        6870.499307777788,
        30977.777160274003,
        69484.80148070445,
        67483.99350321127,
        19792.619590605776,
    ),
)
_TAIL = (
    (
        1.2513729290570463,
        4.403287062655137,
        5.833394622466138,
        3.9181648051780384,
        1.476281427482127,
        0.31939137898825465,
        0.03810418660357565,
        0.0021897196246077775,
        4.2470936314212346e-05,
    ),
    (
        1.0,
        2.132966163871052,
        1.8188593505194042,
        0.7974900667137614,
        0.19197073908994544,
        0.024778349396592927,
        0.0015034937169319073,
        3.0030638609204934e-05,
    ),
)
_FAR = (
    (
        8.120594767905024,
        5.9071961530382,
        1.7477476845828062,
        0.27085101929743477,
        0.023593113378122192,
        0.0011524836026298353,
        2.9735711857932456e-05,
        3.5191563605545757e-07,
        1.3535985800454722e-09,
    ),
    (
        1.0,
        0.5481040949158892,
        0.1176137895963978,
        0.012540880977342777,
        0.0006982281122845839,
        1.9571370467313476e-05,
        2.4310018400456067e-07,
        9.571377074247154e-10,
    ),
)
_CENTRAL_SQUARE = 0.425**2


def exp(x: Values) -> Values:
    """e to the ``x``, to within 1 unit in the last place."""
    return _in_blocks(_exp, x)


def log(x: Values) -> Values:
    """The natural logarithm, to within 1 unit in the last place; -inf of 0, nan below."""
    return _in_blocks(_log, x)


def ndtri(p: Values) -> Values:
    """The inverse of the standard normal distribution function, to a relative 1e-15; nan outside [0, 1]."""
    return _in_blocks(_ndtri, p)


def normal(uniform: np.ndarray) -> np.ndarray:
    """Standard normal draws from draws of U[0, 1), multiples of 2^-53, by inversion."""
    # Half a step keeps 0 out, and rounds the last multiple to 1.
    return ndtri(np.minimum(uniform + 2.0**-54, 1 - 2.0**-53))


def total(x: np.ndarray, axis: int) -> np.ndarray:
    """The sum along an axis that is not empty, from first to last."""
    return np.add.accumulate(x, axis=axis).take(-1, axis=axis)


def orthonormal(draws: np.ndarray) -> np.ndarray:
    """The orthonormal columns Q of draws = Q R, R upper triangular and positive on its diagonal.

    Modified Gram-Schmidt, done twice: the second round takes out what rounding left in the first.

    Args:
        draws: (runs, rows, columns), rows >= columns, of full rank.
    """
    result = np.empty(draws.shape)
    for start in range(0, len(draws), _RUNS):
        columns = draws[start : start + _RUNS].transpose(2, 1, 0).copy()
        for _ in range(2):
            _orthonormalise(columns)
        result[start : start + _RUNS] = columns.transpose(2, 1, 0)
    return result


def _orthonormalise(columns: np.ndarray) -> None:
    """In place; (columns, rows, runs), so that each operation is on all runs."""
    for number, column in enumerate(columns):
        for before in columns[:number]:
            column -= before * total(before * column, 0)
        column /= np.sqrt(total(column * column, 0))


def _in_blocks(function: Callable[[np.ndarray], np.ndarray], x: Values) -> Values:
    flat = np.asarray(x, dtype=np.float64).reshape(-1)
    result = np.empty(flat.size)
    # Numbers beyond the range are meant to become inf, 0 or nan.
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, _BLOCK):
            result[start : start + _BLOCK] = function(flat[start : start + _BLOCK])
    return result.reshape(x.shape) if isinstance(x, np.ndarray) else float(result[0])


def _polynomial(coefficients: Sequence[float], x: np.ndarray) -> np.ndarray:
    """By Horner's rule; the lowest power's coefficient comes first."""
    value = coefficients[-1] * x
    for coefficient in coefficients[-2:0:-1]:
        value += coefficient
        value *= x
    value += coefficients[0]
    return value


def _fraction(parts: tuple[Sequence[float], Sequence[float]], x: np.ndarray) -> np.ndarray:
    numerator, denominator = parts
    return _polynomial(numerator, x) / _polynomial(denominator, x)


def _exp(x: np.ndarray) -> np.ndarray:
    known = np.isnan(x)
    inside = np.minimum(np.maximum(np.where(known, 0.0, x), -746.0), 710.0)  # 0 below, inf above
    whole = np.rint(inside * 1.4426950408889634)
    high, low = inside - whole * _LN2_HIGH, whole * _LN2_LOW
    r = high - low
    lost = (high - r) - low
    value = 1 + (r + (lost + r * r * _polynomial(_EXP, r)))
    # 2 to the whole may be no normal number; its halves are, and only the last product is rounded.
    exponent = whole.astype(np.int64)
    half = exponent >> 1
    value = value * _power_of_two(half) * _power_of_two(exponent - half)
    return np.where(known, x, value)


def _power_of_two(exponent: np.ndarray) -> np.ndarray:
    return ((exponent + 1023) << 52).view(np.float64)


def _log(x: np.ndarray) -> np.ndarray:
    subnormal = x < _SMALLEST_NORMAL
    bits = np.where(subnormal, x * 2.0**54, x).view(np.int64)
    # x = m * 2^whole with m in [sqrt(1/2), sqrt(2))
    whole = (bits - _SQRT_HALF_BITS) >> 52
    m = (bits - (whole << 52)).view(np.float64)
    exponent = whole - 54 * subnormal
    f = m - 1
    s = f / (2 + f)
    z = s * s
    value = exponent * _LN2_HIGH + (f - (s * (f - z * _polynomial(_LOG, z)) - exponent * _LN2_LOW))
    value = np.where((x > 0) & (x < np.inf), value, x)
    value = np.where(x == 0, -np.inf, value)
    return np.where(x < 0, np.nan, value)


def _ndtri(p: np.ndarray) -> np.ndarray:
    q = p - 0.5
    u = _CENTRAL_SQUARE - q * q
    value = q * _fraction(_CENTRAL, u)
    outer = np.flatnonzero(u < 0)
    nearer = np.minimum(p[outer], 1 - p[outer])
    value[outer] = np.copysign(_distance(np.sqrt(-_log(nearer))), q[outer])
    return value


def _distance(r: np.ndarray) -> np.ndarray:
    """From 0, of the x beyond which a tail of exp(-r²) lies."""
    value = _fraction(_TAIL, r - 1.5)
    far = np.flatnonzero(r > 6.125)
    if far.size:
        value[far] = np.where(np.isinf(r[far]), np.inf, _fraction(_FAR, r[far] - 6))
    return value
