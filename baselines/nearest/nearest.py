"""Targets of the nearest train networks, by Euclidean distance of features: raw weights, unless others are asked for.

Not a method to be beaten but a measure of what a split shares: where it does well on raw weights, test networks have
neighbours in train, as those have that began with the same weights.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from zoobench.predictors.predictor import Examples, check_ranges
from zoobench.weightspace.features import extract, uses_hyperparameters


class NearestPredictor:
    """The mean target of the k nearest train networks; of classes the most frequent, of equals the nearest.

    Args:
        features: feature set, a name of ``zoobench.weightspace.features``.
        k: how many neighbours.

    Attributes:
        neighbours_: the fitted ``NearestNeighbors``.
        targets_: (train rows, tasks).
        classes_: names of the tasks that are classes.
    """

    def __init__(self, features: str = "W", k: int = 1) -> None:
        self.features = features
        self.k = k
        check_ranges(self, k=(1, 1_000_000))

    @property
    def uses_hyperparameters(self) -> bool:
        return uses_hyperparameters(self.features)

    def fit(self, train: Examples, validation: Examples) -> NearestPredictor:
        """Remember every train network; nothing is chosen on validation."""
        self.targets_ = train.targets.reset_index(drop=True)
        self.classes_ = set(train.classes)
        self.neighbours_ = NearestNeighbors(n_neighbors=min(self.k, len(self.targets_)), algorithm="brute")
        self.neighbours_.fit(self._features(train))
        return self

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every task: (rows, tasks)."""
        near = self.neighbours_.kneighbors(self._features(test), return_distance=False)
        found = {task: self.targets_[task].to_numpy()[near] for task in self.targets_}
        return pd.DataFrame(
            {task: most_frequent(v) if task in self.classes_ else v.mean(axis=1) for task, v in found.items()}
        )

    def _features(self, examples: Examples) -> np.ndarray:
        # Squares of diverged networks' weights overflow single precision.
        found = extract(self.features, examples.weights, examples.layout, examples.hyperparameters)
        return found.astype(np.float64)


def most_frequent(names: np.ndarray) -> np.ndarray:
    """Of each row (rows, k) the name that it has most often, of equally many the first."""
    votes = (names[:, :, None] == names[:, None, :]).sum(axis=2)
    return names[np.arange(len(names)), votes.argmax(axis=1)]
