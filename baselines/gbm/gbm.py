"""LightGBM regressors, one per task, as in Unterthiner 2020, sec. 4.2.

Fixed parameters inside the paper's search ranges (appendix A.4) where it gives one; the number of trees is chosen by
early stopping on the validation split.
"""

from __future__ import annotations

import os

import lightgbm as lgb
import pandas as pd

from zoobench.features import extract
from zoobench.predictor import Examples


class GBMPredictor:
    """Gradient boosting with early stopping.

    Args:
        features: feature set, a key of ``zoobench.features.EXTRACTORS``.
        seed: LightGBM's seed; with the same seed the predictions are the same.
        learning_rate: shrinkage per tree.
        num_leaves: leaves per tree.
        max_trees: upper limit on trees per task.
        subsample: share of the rows that each tree sees; below 1 the seed matters.
        patience: trees without a better validation MSE before stopping.

    Attributes:
        models_: task -> fitted ``LGBMRegressor``.
    """

    def __init__(
        self,
        features: str = "stats",
        seed: int = 0,
        learning_rate: float = 0.1,
        num_leaves: int = 31,
        max_trees: int = 300,
        subsample: float = 1.0,
        patience: int = 20,
    ) -> None:
        self.features = features
        self.seed = seed
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_trees = max_trees
        self.subsample = subsample
        self.patience = patience

    def fit(self, train: Examples, validation: Examples) -> GBMPredictor:
        """Fit every column of ``train.targets``."""
        x = extract(self.features, train.weights, train.layout)
        x_validation = extract(self.features, validation.weights, validation.layout)
        self.models_: dict[str, lgb.LGBMRegressor] = {}
        for task in train.targets.columns:
            model = lgb.LGBMRegressor(
                n_estimators=self.max_trees,
                learning_rate=self.learning_rate,
                num_leaves=self.num_leaves,
                subsample=self.subsample,
                subsample_freq=1,
                random_state=self.seed,
                deterministic=True,
                force_row_wise=True,
                n_jobs=os.cpu_count(),
                verbosity=-1,
            )
            model.fit(
                x,
                train.targets[task],
                eval_X=x_validation,
                eval_y=validation.targets[task],
                callbacks=[lgb.early_stopping(self.patience, verbose=False)],
            )
            self.models_[task] = model
        return self

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every fitted task: (rows, tasks)."""
        x = extract(self.features, test.weights, test.layout)
        return pd.DataFrame({task: model.predict(x) for task, model in self.models_.items()})
