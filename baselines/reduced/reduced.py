"""Representations that Schürholt 2021, Table 5, holds hyper-representations against, with the same linear probe."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA, KernelPCA

from zoobench.errors import ZoobenchError, check_known
from zoobench.predictors.predictor import Examples, check_ranges

from ..encoding import Encoder, load_encoder, vectors
from ..probe import LinearProbe

KERNELS = ("linear", "cosine", "rbf")
# A kernel matrix is quadratic in the networks that it is made from, and neighbours are slow to find.
_MOST_ROWS = 4000
_MOST_NEIGHBOURS_OF = 10_000


def _some(weights: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Random rows in their order, at most so many."""
    return weights[np.sort(np.random.RandomState(seed).permutation(len(weights))[:most])]


class _Probed(ABC):
    """A representation that is fitted to the train networks' weights, then a linear probe of it."""

    def fit(self, train: Examples, validation: Examples) -> _Probed:
        """Fit the representation, and a probe for every column of ``train.targets``.

        Raises:
            ZoobenchError: fewer than two train networks.
        """
        if len(train.weights) < 2:
            raise ZoobenchError("a representation is fitted to two networks at least; this train split has one")
        self._fit_representation(train)
        z, judge = (self._represent(part) for part in (train, validation))
        self.probe_ = LinearProbe().fit(z, train, judge, validation)
        return self

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every fitted task: (rows, tasks)."""
        return self.probe_.predict(self._represent(test))

    @abstractmethod
    def _fit_representation(self, train: Examples) -> None:
        """Fit to the weights of the train networks."""

    @abstractmethod
    def _represent(self, examples: Examples) -> np.ndarray:
        """Vectors (rows, D) of networks."""


class PCAPredictor(_Probed):
    """Principal components of the weights.

    Args:
        kernel: "linear", "cosine" or "rbf"; the last two of a random 4,000 train networks, where there are more.
        components: how many.
        seed: of the choice of networks; the linear kernel takes all.
    """

    def __init__(self, kernel: str = "linear", components: int = 50, seed: int = 0) -> None:
        check_known("kernel", kernel, KERNELS)
        self.kernel = kernel
        self.components = components
        self.seed = seed
        check_ranges(self, components=(1, 1_000_000_000), seed=(0, 2**32 - 1))

    def _fit_representation(self, train: Examples) -> None:
        components = min(self.components, *train.weights.shape)
        if self.kernel == "linear":
            # Squares of diverged networks' weights overflow single precision.
            self.reduced_ = PCA(components, svd_solver="covariance_eigh").fit(train.weights.astype(np.float64))
            return
        made = KernelPCA(components, kernel=self.kernel, random_state=self.seed, eigen_solver="auto")
        self.reduced_ = made.fit(_some(train.weights, _MOST_ROWS, self.seed).astype(np.float64))

    def _represent(self, examples: Examples) -> np.ndarray:
        parts = np.array_split(examples.weights, max(1, len(examples.weights) // _MOST_ROWS))
        return np.concatenate([self.reduced_.transform(part.astype(np.float64)) for part in parts])


class UMAPPredictor(_Probed):
    """Uniform manifold approximation and projection of the weights (McInnes et al. 2018).

    It is fitted to a random 10,000 train networks, where there are more.

    Args:
        components: how many dimensions.
        neighbours: whose distances are kept.
        seed: of the projection and of the choice of networks; with a seed UMAP works on one core.
    """

    def __init__(self, components: int = 50, neighbours: int = 15, seed: int = 0) -> None:
        try:
            import umap  # noqa: F401
        except ImportError as error:
            raise ZoobenchError(f"baseline 'umap' needs {error.name}: pip install 'zoobench[umap]'") from error
        self.components = components
        self.neighbours = neighbours
        self.seed = seed
        check_ranges(self, components=(1, 1_000_000_000), neighbours=(2, 1_000_000_000), seed=(0, 2**32 - 1))

    def _fit_representation(self, train: Examples) -> None:
        from umap import UMAP

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a seed means one core, and what its dependencies deprecate
            self.reduced_ = UMAP(self.neighbours, min(self.components, train.weights.shape[1]), random_state=self.seed)
            self.reduced_.fit(_some(train.weights, _MOST_NEIGHBOURS_OF, self.seed))

    def _represent(self, examples: Examples) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: np.ndarray = self.reduced_.transform(examples.weights)
        return found


class EncodedPredictor(_Probed):
    """Vectors of an encoder that was saved before: a ComVeX or hyper-representation, of this zoo or another.

    Args:
        model: the folder that ``zoobench run --save`` wrote.
    """

    def __init__(self, model: str = "") -> None:
        if not model:
            raise ZoobenchError("baseline 'encoded' needs a saved encoder: --model FOLDER")
        self.model = model
        self.encoder_: Encoder = load_encoder(Path(model))

    def _fit_representation(self, train: Examples) -> None:
        """It is learned already."""

    def _represent(self, examples: Examples) -> np.ndarray:
        return vectors(self.encoder_, examples.layout, examples.weights)
