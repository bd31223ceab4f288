"""Classification metrics, each for many resamples of the runs at once (see ``metrics``)."""

from __future__ import annotations

import numpy as np

from .bootstrap import Sample


def accuracy(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Share of rows whose class is predicted."""
    right = counts @ sample.sum_by_run((sample.target == sample.prediction).astype(np.float64))
    return right / (counts @ sample.sum_by_run(np.ones(len(sample.target))))


def macro_f1(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Mean over classes of F1 = 2 TP / (2 TP + FP + FN), over the classes that a resample has or is predicted."""
    right, wrong = [], []
    for number in range(1 + int(max(sample.target.max(), sample.prediction.max()))):
        is_target, is_prediction = sample.target == number, sample.prediction == number
        right.append(counts @ sample.sum_by_run((is_target & is_prediction).astype(np.float64)))
        wrong.append(counts @ sample.sum_by_run((is_target ^ is_prediction).astype(np.float64)))
    true, false = np.stack(right), np.stack(wrong)
    present = true + false > 0
    f1 = np.where(present, 2 * true / np.where(present, 2 * true + false, 1), 0)
    mean: np.ndarray = f1.sum(axis=0) / present.sum(axis=0)
    return mean


def confusion(sample: Sample, classes: int) -> list[list[int]]:
    """Rows by true class (outer) and predicted class (inner)."""
    cells = np.bincount(sample.target * classes + sample.prediction, minlength=classes**2)
    matrix: list[list[int]] = cells.reshape(classes, classes).tolist()
    return matrix
