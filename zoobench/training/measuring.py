"""Measuring networks: how many images each recognises, of each class, and its loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ..zoos.spec import Network
from . import lanes
from .activations import RunActivations
from .formulation import formulation_for, forward

_EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Scores:
    """How R networks do on one set of images.

    ``accuracy`` is exact as ``correct / count``, with ``count`` images for each run; ``loss`` is the mean
    cross-entropy in nats; all are (R,) but ``f1``, which is (R, classes).
    """

    correct: np.ndarray
    count: np.ndarray
    loss: np.ndarray
    f1: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        return self.correct / self.count

    def take(self, rows: np.ndarray) -> Scores:
        """The scores of chosen runs."""
        return Scores(self.correct[rows], self.count[rows], self.loss[rows], self.f1[rows])

    @classmethod
    def concatenate(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of all runs of all parts."""
        fields = ([getattr(part, field.name) for part in parts] for field in dataclasses.fields(cls))
        return cls(*map(np.concatenate, fields))


@torch.no_grad()
def measure(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    activations: RunActivations,
    subset: torch.Tensor | None = None,
) -> Scores:
    """Measure every run on the same images, or on its own choice of them.

    Args:
        network: the declared network.
        weights: (R, N).
        images: (n, channels, height, width).
        labels: (n,) int64.
        activations: one per run.
        subset: (R, count), which images count for each run; ``None`` for all.
    """
    runs = weights.shape[0]
    formulation = formulation_for(network, images.shape[1:], _EVALUATION_BATCH, activations.names, weights.device)
    classes = int(labels.max()) + 1
    count = len(labels) if subset is None else subset.shape[1]
    if formulation == "lanes":
        loss, tallies = lanes.scores(network, weights, images, labels, activations.names, subset)
        predicted, support, hits = tallies[:, :, :classes].unbind(1)
        return _scores(loss, predicted, support, hits, count)
    loss = torch.zeros(runs, dtype=torch.float64, device=weights.device)
    predicted = torch.zeros(runs, classes, dtype=torch.int64, device=weights.device)
    hits = torch.zeros_like(predicted)
    support = torch.zeros_like(predicted)
    for start in range(0, count, _EVALUATION_BATCH):
        batch = slice(start, start + _EVALUATION_BATCH)
        target = labels[batch].expand(runs, -1) if subset is None else labels[subset[:, batch]]
        if subset is None:
            logits = forward(network, weights, images[None, batch], activations, formulation)
        else:
            logits = forward(network, weights, images[subset[:, batch]], activations, formulation)
        cross_entropy = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        loss += cross_entropy.view(runs, -1).double().sum(1)
        choice = logits.argmax(2)
        for label in range(classes):
            chosen, true = choice == label, target == label
            predicted[:, label] += chosen.sum(1)
            support[:, label] += true.sum(1)
            hits[:, label] += (chosen & true).sum(1)
    return _scores(loss, predicted, support, hits, count)


def _scores(
    loss: torch.Tensor, predicted: torch.Tensor, support: torch.Tensor, hits: torch.Tensor, count: int
) -> Scores:
    """From sums of losses (R,), and how many images of a class are predicted, are there, and are both (R, classes)."""
    return Scores(
        correct=hits.sum(1).cpu().numpy(),
        count=np.full(len(loss), count),
        loss=(loss / count).cpu().numpy(),
        f1=(2 * hits.double() / (predicted + support).double()).cpu().numpy(),
    )
