"""How fast weight statistics are extracted: array code against percentiles layer by layer.

    python -m benchmarks.bench features

The 56 statistics of networks of 4,970 weights. *percentile* is ``np.percentile``, ``mean`` and ``var`` of each tensor
for all rows at once, the usual way; *row by row* does the same for one network at a time; both on one core.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zoobench.weightspace.features import QUARTILES, extract
from zoobench.zoos import resolve
from zoobench.zoos.layout import Layout, layout_of

from .measured import Measurement, copy_bytes, rate_of, taking_turns

ZOO = "small-cnn-zoo/mnist"


def by_percentile(weights: np.ndarray, layout: Layout) -> np.ndarray:
    parts = []
    for tensor in layout.tensors:
        values = weights[:, tensor.slice]
        parts += [values.mean(1), values.var(1), *np.percentile(values, QUARTILES, axis=1)]
    return np.column_stack(parts)


def row_by_row(weights: np.ndarray, layout: Layout) -> np.ndarray:
    return np.concatenate([by_percentile(row[None], layout) for row in weights])


def measurements(quick: bool) -> Iterator[Measurement]:
    rows = 1_000 if quick else 8_000
    layout = layout_of(resolve(ZOO).spec.network)
    weights = np.random.default_rng(0).normal(size=(rows, layout.size)).astype(np.float32)
    few = weights[: rows // 8]
    np.testing.assert_allclose(extract("stats", few, layout), by_percentile(few, layout), rtol=1e-3, atol=1e-5)
    rates = taking_turns(
        {
            "ours": rate_of(lambda: extract("stats", weights, layout), rows),
            "percentile": rate_of(lambda: by_percentile(weights, layout), rows),
            "row by row": rate_of(lambda: row_by_row(few, layout), len(few)),
        },
        2 if quick else 5,
    )
    copied = copy_bytes() / weights[0].nbytes
    for alternative, guard in (("percentile", 2), ("row by row", 8)):
        yield Measurement(
            f"{7 * len(layout.tensors)} statistics of {layout.size:,} weights",
            "rows/s",
            rates["ours"],
            f"`np.percentile`, {'all rows at once' if alternative == 'percentile' else alternative}",
            rates[alternative],
            "copy in memory, a core",
            copied,
            rate_goal=80_000,
            guard=guard,
        )
