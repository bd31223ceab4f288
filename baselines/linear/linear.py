"""Linear probes (see ``probe``) of feature sets: weights as they are, statistics, norms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from zoobench.predictors.predictor import Examples
from zoobench.weightspace.features import extract, uses_hyperparameters

from ..probe import LinearProbe


class LinearPredictor:
    """Ridge or logit-linear regression on standardised features, one model per task.

    Args:
        features: feature set, a name of ``zoobench.weightspace.features``.
        link: "identity" or "logit".

    Attributes:
        probe_: the fitted ``LinearProbe``.
    """

    def __init__(self, features: str = "stats", link: str = "identity") -> None:
        self.features = features
        self.probe_ = LinearProbe(link)

    @property
    def uses_hyperparameters(self) -> bool:
        return uses_hyperparameters(self.features)

    def fit(self, train: Examples, validation: Examples) -> LinearPredictor:
        """Fit every column of ``train.targets``."""
        self.probe_.fit(self._features(train), train, self._features(validation), validation)
        return self

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every fitted task: (rows, tasks)."""
        return self.probe_.predict(self._features(test))

    def save(self, folder: Path) -> None:
        """Write what was fitted."""
        self.probe_.save(folder)

    def load(self, folder: Path) -> LinearPredictor:
        """Be what was saved."""
        self.probe_.load(folder)
        return self

    def _features(self, examples: Examples) -> np.ndarray:
        return extract(self.features, examples.weights, examples.layout, examples.hyperparameters)
