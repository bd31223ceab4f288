"""The judge of a trial: how good a predictor with some parameters is, by cross-validation over runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..scoring import metrics
from ..scoring.sample import Sample
from .predictor import Examples, Predictor

Parameters = Mapping[str, Any]
Create = Callable[[Parameters], Predictor]


def judge(create: Create, parameters: Parameters, train: Examples, validation: Examples) -> dict[str, float]:
    """The mean score over folds of a predictor with some parameters, by task: R², or accuracy for classes.

    Args:
        create: makes a predictor from parameters.
        parameters: of this trial.
        train: cross-validated by its folds; without folds, fitted once and judged on ``validation``.
        validation: for a predictor's early stopping.
    """
    if train.folds is None:
        predicted = create(parameters).fit(train, validation).predict(validation.only(()))
        return _scores(validation.targets, predicted)
    by_fold = []
    for fold in np.unique(train.folds):
        held, rest = train.take(train.folds == fold), train.take(train.folds != fold)
        predicted = create(parameters).fit(rest, validation).predict(held.only(()))
        by_fold.append(_scores(held.targets, predicted))
    return {task: float(np.mean([scores[task] for scores in by_fold])) for task in train.targets.columns}


def _scores(targets: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, float]:
    return {task: _score(targets[task].to_numpy(), predicted[task].to_numpy()) for task in targets.columns}


def _score(target: np.ndarray, predicted: np.ndarray) -> float:
    if target.dtype == object:
        return float(np.mean(target == predicted))
    run = np.arange(len(target))
    return float(metrics.r2(Sample(target, predicted.astype(np.float64), run), np.ones((1, len(target))))[0])
