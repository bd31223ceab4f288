"""Feature sets: what a predictor is given of a network's weights.

One extractor per set, by the papers' names, each array code over all rows at once. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .errors import ZoobenchError, did_you_mean
from .layout import Layout

_QUANTILES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_BLOCK_BYTES = 64_000_000


def flat(weights: np.ndarray, layout: Layout) -> np.ndarray:
    """The weight vector itself, W: (rows, N) float32."""
    return weights


def layer_statistics(weights: np.ndarray, layout: Layout) -> np.ndarray:
    """Per-layer statistics s(W) of Unterthiner 2020, sec. 4.2 (3): (rows, 7 * tensors) float64.

    For each tensor of the layout, kernels and biases apart: mean, variance, and the percentiles 0, 25, 50, 75, 100
    (linear interpolation).
    """
    features = np.empty((len(weights), 7 * len(layout.tensors)))
    block = max(1, _BLOCK_BYTES // (8 * layout.size))
    for start in range(0, len(weights), block):
        rows = slice(start, start + block)
        for index, tensor in enumerate(layout.tensors):
            values = np.sort(weights[rows, tensor.slice].astype(np.float64), axis=1)
            columns = slice(7 * index, 7 * index + 7)
            features[rows, columns] = np.column_stack(
                [values.mean(axis=1), values.var(axis=1), _quantiles_of_sorted(values)]
            )
    return features


def _quantiles_of_sorted(values: np.ndarray) -> np.ndarray:
    """Linear-interpolation quantiles of rows that are already sorted: (rows, len(_QUANTILES))."""
    position = _QUANTILES * (values.shape[1] - 1)
    below = np.floor(position).astype(int)
    above = np.ceil(position).astype(int)
    return values[:, below] + (position - below) * (values[:, above] - values[:, below])


EXTRACTORS: Mapping[str, Callable[[np.ndarray, Layout], np.ndarray]] = {"W": flat, "stats": layer_statistics}


def extract(name: str, weights: np.ndarray, layout: Layout) -> np.ndarray:
    """Compute a feature set by name.

    Args:
        name: key of ``EXTRACTORS``.
        weights: (rows, N).
        layout: which weights form which tensor.

    Returns:
        (rows, features).

    Raises:
        ZoobenchError: unknown name.
    """
    if name not in EXTRACTORS:
        raise ZoobenchError(f"unknown features {name!r}{did_you_mean(name, EXTRACTORS)}")
    return EXTRACTORS[name](weights, layout)
