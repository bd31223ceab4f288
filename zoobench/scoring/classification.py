"""Classification metrics, each for many choices of the runs at once (see ``metrics``)."""

from __future__ import annotations

import numpy as np

from .sample import Sample


def accuracy(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Share of rows whose class is predicted."""
    right = counts @ sample.sum_by_run((sample.target == sample.prediction).astype(np.float64))
    return right / (counts @ sample.sum_by_run(np.ones(len(sample.target))))


def skill(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """The share of the best constant's errors that is avoided, 0 where none is; undefined for a constant target.

    1 - (1 - accuracy) / (1 - share of the most frequent class), as R² is 1 - SSE / SSE of the mean.
    """
    classes = 1 + int(sample.target.max())
    sizes = np.stack([counts @ sample.sum_by_run((sample.target == k).astype(np.float64)) for k in range(classes)])
    errors = 1 - sizes.max(axis=0) / sizes.sum(axis=0)
    constant = errors <= 0
    return np.where(constant, np.nan, np.maximum(1 - (1 - accuracy(sample, counts)) / np.where(constant, 1, errors), 0))


def macro_f1(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Mean over classes of F1 = 2 TP / (2 TP + FP + FN), over the classes that a choice has or is predicted."""
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
