"""Vectors in two dimensions, and points coloured by a label: what pictures of zoos and of embeddings share."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from .figures import Axes

# That UMAP keeps: its own default, where there are as many.
_NEIGHBOURS = 15


def plane(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """The first two principal components (rows, 2) of vectors (rows, D), and the share of the variance in them.

    Vectors of one number lie on a line.
    """
    scale = _scale(vectors)
    if vectors.shape[1] == 1:
        vectors = np.pad(vectors, ((0, 0), (0, 1)))
    fitted = PCA(2, svd_solver="randomized", random_state=0).fit(vectors / scale)
    points = fitted.transform(vectors / scale).astype(np.float64)
    return points * scale, float(fitted.explained_variance_ratio_.sum())


def umap_plane(vectors: np.ndarray) -> np.ndarray:
    """Points (rows, 2) by UMAP, which keeps neighbours together (McInnes et al. 2018); its coordinates have no unit.

    Raises:
        ImportError: without ``umap-learn``.
    """
    from umap import UMAP

    found: np.ndarray = UMAP(min(_NEIGHBOURS, len(vectors) - 1), random_state=0, n_jobs=1).fit_transform(
        vectors / _scale(vectors)
    )
    return found.astype(np.float64)


def _scale(vectors: np.ndarray) -> np.floating:
    # Weights may be finite and yet so large that their squares are not, in float32.
    return np.abs(vectors).max() or vectors.dtype.type(1)


def scatter_by(axes: Axes, points: np.ndarray, values: pd.Series, size: float = 5, cmap: str | None = None) -> None:
    """Points (rows, 2) coloured by a label of theirs: beside numbers a bar, beside names a legend."""
    label = str(values.name).replace("_", " ")
    if pd.api.types.is_numeric_dtype(values):
        coloured = axes.scatter(points[:, 0], points[:, 1], c=values, s=size, cmap=cmap)
        axes.figure.colorbar(coloured, ax=axes, label=label)
        return
    for name in sorted(values.dropna().unique()):
        chosen = (values == name).to_numpy()
        axes.scatter(points[chosen, 0], points[chosen, 1], s=size, label=name)
    axes.legend(title=label, frameon=False, markerscale=2, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
