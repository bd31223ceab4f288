"""Gradient-boosted decision trees: LightGBM, one model per task, stopped early on the validation split.

The GBM of Unterthiner 2020, appendix A.3, with the ranges of appendix A.4 to search (``zoobench run gbm --trials``).
The number of trees and the patience are those of the notebook that its authors released, which stops early on the test
split: their trees are chosen by what they are scored on. Here the validation split chooses.
Classes are predicted by the same trees with a softmax.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd

from zoobench.cores import usable_cores
from zoobench.distributions import Choice, LogUniform, Uniform
from zoobench.predictors.predictor import Examples, check_ranges
from zoobench.predictors.search import Distribution
from zoobench.scoring import tasks
from zoobench.weightspace.features import extract, uses_hyperparameters
from zoobench.zoos.layout import Layout

from .trees import read_trees

# Above so many features the paper samples few of them for each tree.
_HIGH_DIMENSIONAL = ("W", "W2", "W3")
_SUFFIX = ".lightgbm.txt"
_NAMES = "tasks.json"


class GBMPredictor:
    """LightGBM on a feature set.

    Args:
        features: feature set, a name of ``zoobench.weightspace.features``.
        seed: LightGBM's seed; with the same seed the predictions are the same.
        learning_rate: shrinkage per tree.
        num_leaves: leaves per tree.
        max_depth: levels per tree; 0 for no limit.
        max_bin: values that a feature is rounded to.
        min_child_weight: least sum of Hessians in a leaf.
        reg_lambda: L2 penalty on leaves.
        reg_alpha: L1 penalty on leaves.
        subsample: share of the rows that each tree sees; below 1 the seed matters.
        colsample_bytree: share of the features that each tree sees; below 1 the seed matters.
        max_trees: upper limit on trees per task.
        patience: trees without a better validation loss before stopping.

    Attributes:
        models_: task -> fitted trees, up to the best number of them.
        names_: classification task -> the classes by number.
    """

    def __init__(
        self,
        features: str = "stats",
        seed: int = 0,
        learning_rate: float = 0.1,
        num_leaves: int = 31,
        max_depth: int = 0,
        max_bin: int = 255,
        min_child_weight: float = 1e-3,
        reg_lambda: float = 0.0,
        reg_alpha: float = 0.0,
        subsample: float = 1.0,
        colsample_bytree: float = 1.0,
        max_trees: int = 2000,
        patience: int = 500,
    ) -> None:
        self.features = features
        self.seed = seed
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.max_bin = max_bin
        self.min_child_weight = min_child_weight
        self.reg_lambda = reg_lambda
        self.reg_alpha = reg_alpha
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.max_trees = max_trees
        self.patience = patience
        check_ranges(
            self,
            seed=(0, 2**31 - 1),
            learning_rate=(1e-12, 1e6),
            num_leaves=(2, 131_072),
            max_depth=(-1, 10_000),
            max_bin=(2, 65_535),
            min_child_weight=(0, 1e300),
            reg_lambda=(0, 1e300),
            reg_alpha=(0, 1e300),
            subsample=(1e-12, 1),
            colsample_bytree=(1e-12, 1),
            max_trees=(1, 1_000_000),
            patience=(1, 1_000_000_000),
        )

    @property
    def uses_hyperparameters(self) -> bool:
        return uses_hyperparameters(self.features)

    def space(self, layout: Layout) -> Mapping[str, Distribution]:
        """The ranges of Unterthiner 2020, appendix A.4.

        Where exponents cannot be made out in the text at hand, the best configurations that its authors released judge:
        ``num_leaves`` up to 9,889, learning rates from 0.0102, ``colsample_bytree`` from 0.032.
        """
        wide = any(part in _HIGH_DIMENSIONAL for part in self.features.split("+"))
        return {
            "num_leaves": Uniform(20, 10_000),
            "max_depth": Uniform(5, 15),
            "learning_rate": LogUniform(0.01, 0.1),
            "max_bin": Choice((63, 127, 255)),
            "min_child_weight": Choice((1.0, 2.0, 3.0, 4.0, 5.0)),
            "reg_lambda": Uniform(1e-3, 100.0),
            "reg_alpha": Uniform(1e-6, 5.0),
            "subsample": Choice(tuple(k / 10 for k in range(1, 11))),
            "colsample_bytree": LogUniform(0.01, 0.1) if wide else Uniform(0.7, 1.0),
        }

    def fit(self, train: Examples, validation: Examples) -> GBMPredictor:
        """Fit every column of ``train.targets``."""
        x, x_validation = self._features(train), self._features(validation)
        self.models_: dict[str, lgb.Booster] = {}
        self.names_: dict[str, np.ndarray] = {}
        for task in train.targets.columns:
            model = (lgb.LGBMClassifier if task in train.classes else lgb.LGBMRegressor)(
                n_estimators=self.max_trees,
                learning_rate=self.learning_rate,
                num_leaves=self.num_leaves,
                max_depth=self.max_depth or -1,
                max_bin=self.max_bin,
                min_child_weight=self.min_child_weight,
                reg_lambda=self.reg_lambda,
                reg_alpha=self.reg_alpha,
                subsample=self.subsample,
                subsample_freq=1,
                colsample_bytree=self.colsample_bytree,
                random_state=self.seed,
                deterministic=True,
                force_row_wise=True,
                n_jobs=usable_cores(),
                verbosity=-1,
            )
            target, judge = train.targets[task].to_numpy(), validation.targets[task].to_numpy()
            if task in train.classes:
                self.names_[task] = np.unique(target)
                target, judge = (pd.Index(self.names_[task]).get_indexer(pd.Index(y)) for y in (target, judge))
            # A class that no train row has cannot be learned, nor be judged on.
            seen = (judge >= 0) if task in train.classes else np.full(len(judge), True)
            model.fit(
                x,
                target,
                eval_X=x_validation[seen],
                eval_y=judge[seen],
                callbacks=[lgb.early_stopping(self.patience, verbose=False)],
            )
            self.models_[task] = model.booster_
        return self

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every fitted task: (rows, tasks)."""
        x = self._features(test)
        threads = usable_cores()
        predicted = {task: np.asarray(model.predict(x, num_threads=threads)) for task, model in self.models_.items()}
        for task, names in self.names_.items():
            # Of two classes LightGBM gives the probability of the second alone.
            scores = predicted[task]
            predicted[task] = names[scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0.5).astype(int)]
        return pd.DataFrame(predicted)

    def save(self, folder: Path) -> None:
        """Write the trees of each task as LightGBM's text."""
        for task, model in self.models_.items():
            model.save_model(folder / f"{task}{_SUFFIX}", num_iteration=model.best_iteration)
        names = {task: names.tolist() for task, names in self.names_.items()}
        content = json.dumps({"tasks": list(self.models_), "classes": names}, indent=1) + "\n"
        (folder / _NAMES).write_bytes(content.encode())

    def load(self, folder: Path) -> GBMPredictor:
        """Be what was saved."""
        about = json.loads((folder / _NAMES).read_text(encoding="utf-8"))
        for task in about["tasks"]:
            tasks.get(task)
        self.models_ = {task: read_trees(folder / f"{task}{_SUFFIX}") for task in about["tasks"]}
        self.names_ = {task: np.array(names, dtype=object) for task, names in about["classes"].items()}
        return self

    def _features(self, examples: Examples) -> np.ndarray:
        return extract(self.features, examples.weights, examples.layout, examples.hyperparameters)
