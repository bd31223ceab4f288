"""How the coefficients of ``zoobench.exact.ndtri`` were made: it prints them, and how far each fraction is off.

    python -m benchmarks.ndtri

Each is a polynomial of degree 8 over one of degree 7, fitted by least squares of the relative error, the nodes as
dense at the ends as Chebyshev's. The weights hold the denominator of the fit before (Sanathanan and Koerner 1963).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mpmath as mp

_DEGREES = (8, 7)
_NODES = 120
_FITS = 6


def ndtri(p: mp.mpf) -> mp.mpf:
    """The x at which the standard normal distribution function is ``p`` < 1/2, by Newton's method on its logarithm."""
    x = -mp.sqrt(-2 * mp.log(p)) if p < 0.1 else (p - 0.5) * 2.5
    for _ in range(100):
        below = mp.erfc(-x / mp.sqrt(2)) / 2
        step = mp.log(below / p) * below / mp.npdf(x)
        x -= step
        if abs(step) < mp.mpf(10) ** (20 - mp.mp.dps):
            return x
    raise ArithmeticError(f"no x found for {p}")


def central(u: mp.mpf) -> mp.mpf:
    """ndtri(1/2 + q) / q by u = 0.425² - q²."""
    q = mp.sqrt(mp.mpf("0.425") ** 2 - u)
    return -ndtri(mp.mpf("0.5") - q) / q


def tail(start: float) -> Callable[[mp.mpf], mp.mpf]:
    """-ndtri(p) by r - ``start``, r = sqrt(-log p)."""
    return lambda s: -ndtri(mp.exp(-((s + start) ** 2)))


# The least r is sqrt(-log 0.075); r = 6.125 lies beyond all multiples of 2^-54, r = 27.3 beyond all doubles.
FRACTIONS: dict[str, tuple[Callable[[mp.mpf], mp.mpf], float, float]] = {
    "_CENTRAL": (central, 0.0, 0.425**2),
    "_TAIL": (tail(1.5), 0.109, 4.625),
    "_FAR": (tail(6.0), 0.12, 21.3),
}


def fitted(function: Callable[[mp.mpf], mp.mpf], low: float, high: float) -> tuple[list[mp.mpf], list[mp.mpf], mp.mpf]:
    """Numerator and denominator, lowest power first, and the largest relative error at the nodes."""
    middle, half = (mp.mpf(high) + low) / 2, (mp.mpf(high) - low) / 2
    nodes = [middle - half * mp.cos(mp.pi * (2 * i + 1) / (2 * _NODES)) for i in range(_NODES)]
    values = [function(node) for node in nodes]
    above, below = _DEGREES
    numerator, denominator = [mp.mpf(0)], [mp.mpf(1)]
    for _ in range(_FITS):
        weights = [1 / (v * _at(denominator, x)) for x, v in zip(nodes, values, strict=True)]
        rows = [
            [w * x**i for i in range(above + 1)] + [-w * v * x**i for i in range(1, below + 1)]
            for w, x, v in zip(weights, nodes, values, strict=True)
        ]
        matrix, aims = mp.matrix(rows), mp.matrix([w * v for w, v in zip(weights, values, strict=True)])
        found = list(mp.lu_solve(matrix.T * matrix, matrix.T * aims))
        numerator, denominator = found[: above + 1], [mp.mpf(1), *found[above + 1 :]]
    errors = [abs(_at(numerator, x) / _at(denominator, x) / v - 1) for x, v in zip(nodes, values, strict=True)]
    return numerator, denominator, max(errors)


def _at(coefficients: Sequence[mp.mpf], x: mp.mpf) -> mp.mpf:
    return mp.polyval(list(reversed(coefficients)), x)


def main() -> None:
    mp.mp.dps = 80
    for name, (function, low, high) in FRACTIONS.items():
        numerator, denominator, error = fitted(function, low, high)
        print(f"# off by at most {mp.nstr(error, 2)}")
        print(f"{name} = {(tuple(map(float, numerator)), tuple(map(float, denominator)))}")


if __name__ == "__main__":
    main()
