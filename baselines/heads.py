"""What the outputs of a network mean, task by task: a number in a range, a standardised number, or classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from zoobench.predictors.predictor import Examples


@dataclass(frozen=True)
class Head:
    """One task's outputs.

    Attributes:
        task: its name.
        low: what an output of 0 means.
        high: what an output of 1 means.
        bounded: the output goes through a sigmoid, so that predictions lie between ``low`` and ``high``.
        classes: of a classification task: outputs are their logits.
        reach: smallest and largest value to predict where there is no bound: the train targets', so that the weights of
            one diverged network do not decide the error of a whole split.
    """

    task: str
    low: float = 0.0
    high: float = 1.0
    bounded: bool = False
    classes: tuple[str, ...] = ()
    reach: tuple[float, float] | None = None

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Head:
        reach = tuple(entry["reach"]) if entry.get("reach") else None
        return cls(**{**entry, "classes": tuple(entry["classes"]), "reach": reach})

    @property
    def outputs(self) -> int:
        return len(self.classes) or 1

    def encoded(self, target: np.ndarray) -> torch.Tensor:
        """Targets (rows,) as float32: between 0 and 1, standardised, or class numbers, -1 for one that is unknown."""
        if self.classes:
            return torch.from_numpy(pd.Index(self.classes).get_indexer(pd.Index(target)).astype(np.float32))
        return torch.from_numpy(((target - self.low) / (self.high - self.low)).astype(np.float32))

    def loss(self, output: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        """MSE, or cross-entropy over the rows whose class is known."""
        if self.classes:
            return F.cross_entropy(output, encoded.long(), ignore_index=-1)
        return F.mse_loss(output.sigmoid()[:, 0] if self.bounded else output[:, 0], encoded)

    def decoded(self, output: torch.Tensor) -> np.ndarray:
        """Predictions (rows,): float64, or class names."""
        if self.classes:
            names: np.ndarray = np.array(self.classes, dtype=object)[output.argmax(dim=1).numpy()]
            return names
        values: np.ndarray = (output.sigmoid() if self.bounded else output)[:, 0].double().numpy()
        values = values * (self.high - self.low) + self.low
        return values if self.reach is None else values.clip(*self.reach)


def heads_of(train: Examples) -> list[Head]:
    """A head for every target: bounded where the target has a range, else standardised by the train rows."""
    heads = []
    for task in train.targets.columns:
        target = train.targets[task].to_numpy()
        if task in train.classes:
            heads.append(Head(task, classes=tuple(np.unique(target))))
        elif task in train.bounds:
            heads.append(Head(task, *train.bounds[task], bounded=True))
        else:
            mean, std = float(target.mean()), float(target.std()) or 1.0
            heads.append(Head(task, mean, mean + std, reach=(float(target.min()), float(target.max()))))
    return heads


def encoded_targets(heads: Sequence[Head], examples: Examples) -> torch.Tensor:
    """(rows, tasks) float32."""
    return torch.stack([head.encoded(examples.targets[head.task].to_numpy()) for head in heads], dim=1)
