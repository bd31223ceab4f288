"""How fast weight statistics are extracted: array code against percentiles layer by layer.

    python benchmarks/features.py [--rows 4000] [--zoo small-cnn-zoo/mnist]

``percentile`` is ``np.percentile``, ``mean`` and ``var`` of each tensor for all rows at once, the usual way;
``row by row`` does the same for one network at a time. Best of five, same weights, same machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from zoobench.features import QUARTILES, extract
from zoobench.layout import Layout, layout_of
from zoobench.zoos import resolve


def by_percentile(weights: np.ndarray, layout: Layout) -> np.ndarray:
    parts = []
    for tensor in layout.tensors:
        values = weights[:, tensor.slice]
        parts += [values.mean(1), values.var(1), *np.percentile(values, QUARTILES, axis=1)]
    return np.column_stack(parts)


def row_by_row(weights: np.ndarray, layout: Layout) -> np.ndarray:
    return np.concatenate([by_percentile(row[None], layout) for row in weights])


def rows_per_second(compute: Callable[[np.ndarray, Layout], np.ndarray], weights: np.ndarray, layout: Layout) -> float:
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        compute(weights, layout)
        best = min(best, time.perf_counter() - start)
    return len(weights) / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--zoo", default="small-cnn-zoo/mnist")
    arguments = parser.parse_args()
    layout = layout_of(resolve(arguments.zoo).spec.network)
    weights = np.random.default_rng(0).normal(size=(arguments.rows, layout.size)).astype(np.float32)
    ours = extract("stats", weights, layout)
    np.testing.assert_allclose(ours, by_percentile(weights, layout), rtol=1e-3, atol=1e-5)
    speed = {
        "extract": rows_per_second(lambda w, ly: extract("stats", w, ly), weights, layout),
        "percentile": rows_per_second(by_percentile, weights, layout),
        "row by row": rows_per_second(row_by_row, weights[: arguments.rows // 8], layout),
    }
    report = {
        "weights": layout.size,
        "rows_per_second": {name: round(value) for name, value in speed.items()},
        "ratio": {name: round(speed["extract"] / value, 1) for name, value in speed.items()},
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
