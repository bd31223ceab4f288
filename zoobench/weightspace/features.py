"""Feature sets of weights, after Unterthiner 2020, sec. 4.2: the flat vector, single layers, statistics, norms.

They follow from a layout, so that every zoo has them. Names joined by ``+`` are sets side by side: ``lambda+W``.
``lambda`` and ``learning-rate`` are not made of weights: who uses them is shown how each network was trained, and is
not asked for that. Array code; needs numpy and pandas only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..cores import usable_cores
from ..errors import ZoobenchError, look_up
from ..zoos.layout import Layout, Tensor
from .row_statistics import row_statistics

QUARTILES = (0, 25, 50, 75, 100)
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class Convention:
    """Which statistics of a tensor: its mean, its spread and percentiles.

    Attributes:
        percentiles: by linear interpolation.
        deviation: the spread is the standard deviation, instead of the variance.
    """

    percentiles: tuple[float, ...]
    deviation: bool = False


# By the end of the names of sets: the text of Unterthiner 2020, sec. 4.2; the code of Schürholt 2021 (on kernels alone:
# ``stats-kernels-1-99``); the notebook that Unterthiner et al. released, and the scores beside it.
CONVENTIONS = {
    "": Convention(QUARTILES),
    "-1-99": Convention((1, 25, 50, 75, 99)),
    "-std": Convention(QUARTILES, deviation=True),
}


@dataclass(frozen=True)
class FeatureSet:
    """``compute`` takes weights (rows, N) and hyperparameters (rows, ...), gives (rows, features)."""

    description: str
    compute: Callable[[np.ndarray, pd.DataFrame], np.ndarray]


def feature_sets(layout: Layout) -> Mapping[str, FeatureSet]:
    """The feature sets that a layout has, by name."""
    layers = {layer.name: [part for part in (layer.weight, layer.bias) if part] for layer in layout.layers}
    tensors: list[Sequence[Tensor]] = list(layers.values())
    whole = Tensor("all", (layout.size,), 0)
    statistics = {
        "stats": (layout.tensors, "of each tensor"),
        "stats-kernels": ([layer.weight for layer in layout.layers], "of each layer's weights without biases"),
        "stats-global": ((whole,), "of all weights together"),
        "stats-last": (tensors[-1], "of the last layer's tensors"),
        "stats-first-last": ([*tensors[0], *tensors[-1]], "of the first and the last layer's tensors"),
    }
    found = {"W": FeatureSet("the weight vector", lambda weights, _: weights)}
    for number, parts in enumerate(tensors, start=1):
        found[f"W{number}"] = FeatureSet(f"weights and biases of layer {number}", _slices(parts))
    for name, (parts, where) in statistics.items():
        for suffix, convention in CONVENTIONS.items():
            spread = "standard deviation" if convention.deviation else "variance"
            description = f"mean, {spread} and percentiles {'/'.join(map(str, convention.percentiles))} {where}"
            found[name + suffix] = FeatureSet(description, _statistics(parts, convention))
    for order in (1, 2):
        found[f"l{order}"] = FeatureSet(f"l{order} norm of each tensor", _norms(layout.tensors, order))
    return found | _OF_HYPERPARAMETERS


def _slices(parts: Sequence[Tensor]) -> Callable[[np.ndarray, pd.DataFrame], np.ndarray]:
    return lambda weights, _: np.hstack([weights[:, part.slice] for part in parts])


def _norms(parts: Sequence[Tensor], order: int) -> Callable[[np.ndarray, pd.DataFrame], np.ndarray]:
    def compute(weights: np.ndarray, known: pd.DataFrame) -> np.ndarray:
        return np.stack([np.linalg.norm(weights[:, p.slice].astype(np.float64), order, axis=1) for p in parts], 1)

    return compute


def _learning_rate(weights: np.ndarray, known: pd.DataFrame) -> np.ndarray:
    if "learning_rate" not in known.columns:
        raise ZoobenchError("the learning rate does not vary in this zoo; choose other features")
    return known[["learning_rate"]].to_numpy(np.float64)


_OF_HYPERPARAMETERS = {
    "lambda": FeatureSet("hyperparameters and epoch", lambda _, known: known.to_numpy(np.float64)),
    "learning-rate": FeatureSet("log10 of the learning rate", _learning_rate),
}


def _statistics(parts: Sequence[Tensor], convention: Convention) -> Callable[[np.ndarray, pd.DataFrame], np.ndarray]:
    """Mean, spread and percentiles of each part: (rows, 7 * parts) float64.

    Blocks of rows are taken one per core at a time.
    """
    width = 2 + len(convention.percentiles)
    positions = [np.asarray(convention.percentiles) / 100 * (part.size - 1) for part in parts]

    def compute(weights: np.ndarray, known: pd.DataFrame) -> np.ndarray:
        features = np.empty((len(weights), width * len(parts)))
        readable = np.asarray(weights, np.float32)
        if readable.strides[1] != readable.itemsize:
            readable = np.ascontiguousarray(readable)

        def fill(start: int) -> None:
            rows = slice(start, start + _BLOCK_ROWS)
            for number, (part, position) in enumerate(zip(parts, positions, strict=True)):
                columns = features[rows, width * number : width * (number + 1)]
                below = np.floor(position).astype(np.int64)
                neighbours = np.concatenate([below, np.ceil(position).astype(np.int64)])
                columns[:, :2], ordered = row_statistics(readable[rows, part.slice], neighbours)
                if convention.deviation:
                    np.sqrt(columns[:, 1], out=columns[:, 1])
                low, high = np.hsplit(ordered.astype(np.float64), 2)
                columns[:, 2:] = low + (position - below) * (high - low)

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(fill, range(0, len(weights), _BLOCK_ROWS)))
        return features

    return compute


def extract(name: str, weights: np.ndarray, layout: Layout, hyperparameters: pd.DataFrame | None = None) -> np.ndarray:
    """Compute a feature set by name.

    Args:
        name: a name of ``feature_sets``, or several joined by ``+``.
        weights: (rows, N).
        layout: which weights form which tensor.
        hyperparameters: numeric (rows, ...), for the sets that are made of them.

    Returns:
        (rows, features).

    Raises:
        ZoobenchError: unknown name, or hyperparameters that are not there.
    """
    known = pd.DataFrame(index=range(len(weights))) if hyperparameters is None else hyperparameters
    parts = [feature_set.compute(weights, known) for feature_set in _chosen(name, layout)]
    return parts[0] if len(parts) == 1 else np.hstack(parts)


def uses_hyperparameters(name: str) -> bool:
    """Whether a feature set, or a part of it, is made of hyperparameters."""
    return not _OF_HYPERPARAMETERS.keys().isdisjoint(name.split("+"))


def _chosen(name: str, layout: Layout) -> list[FeatureSet]:
    sets = feature_sets(layout)
    return [look_up("features", part, sets) for part in name.split("+")]
