"""Training a population: all runs of a chunk in one batched forward and backward.

The weights of R runs are one leaf tensor (R, N); the gradient of the summed loss is every run's own gradient, and the
optimizer is element-wise on that matrix with per-run learning rates. Initial weights and batch orders come from
``streams``, so a run's result depends on the run alone; chunking changes rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from . import streams
from .errors import ZoobenchError, did_you_mean
from .images import Images
from .layout import layout_of
from .nets import ConvFormulation, conv_formulation, forward
from .runs import Run
from .zoos.spec import Network

_EVALUATION_BATCH = 1000

INITIALISERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    # torch.nn.init.uniform_ without arguments, as the Schuerholt zoos use it: U[0, 1), mean 0.5.
    "uniform": lambda u: u,
}


class Adam:
    """Adam (Kingma and Ba 2014) with L2 regularisation, for all runs at once; equals ``torch.optim.Adam`` per run."""

    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def __init__(self, weights: torch.Tensor, learning_rate: torch.Tensor, weight_decay: torch.Tensor) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.decays = bool((weight_decay > 0).any())
        self.mean = torch.zeros_like(weights)
        self.square = torch.zeros_like(weights)
        self.steps = 0

    @torch.no_grad()
    def step(self, weights: torch.Tensor, gradient: torch.Tensor) -> None:
        """Update ``weights`` (R, N) in place."""
        self.steps += 1
        if self.decays:
            gradient = gradient + self.weight_decay * weights
        self.mean.lerp_(gradient, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        denominator = (self.square.sqrt() / (1 - self.beta2**self.steps) ** 0.5).add_(self.epsilon)
        weights.sub_(self.learning_rate / (1 - self.beta1**self.steps) * (self.mean / denominator))


OPTIMIZERS = {"adam": Adam}


@dataclass(frozen=True)
class Scores:
    """How R networks do on one set of images.

    ``accuracy`` is exact as ``correct / count``; ``loss`` is the mean cross-entropy in nats; ``f1`` is (R, classes).
    """

    correct: np.ndarray
    count: int
    loss: np.ndarray
    f1: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        return self.correct / self.count


@dataclass(frozen=True)
class Checkpoint:
    """All runs of a chunk after ``epoch`` epochs: ``weights`` (R, N) float32."""

    epoch: int
    weights: np.ndarray
    train: Scores
    test: Scores


@torch.no_grad()
def score(
    network: Network, weights: torch.Tensor, images: torch.Tensor, labels: torch.Tensor, activation: str
) -> Scores:
    """Evaluate every run on the same images.

    Args:
        network: the declared network.
        weights: (R, N).
        images: (n, channels, height, width).
        labels: (n,) int64.
        activation: common to all runs.
    """
    conv = conv_formulation(weights.device, _EVALUATION_BATCH)
    classes = int(labels.max()) + 1
    runs = weights.shape[0]
    loss = torch.zeros(runs, dtype=torch.float64, device=weights.device)
    predicted = torch.zeros(runs, classes, dtype=torch.int64, device=weights.device)
    hits = torch.zeros_like(predicted)
    for start in range(0, len(labels), _EVALUATION_BATCH):
        batch = slice(start, start + _EVALUATION_BATCH)
        logits = forward(network, weights, images[None, batch], activation, conv)
        target = labels[batch].expand(runs, -1)
        cross_entropy = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        loss += cross_entropy.view(runs, -1).double().sum(1)
        choice = logits.argmax(2)
        hit = choice == target
        for label in range(classes):
            predicted[:, label] += (choice == label).sum(1)
            hits[:, label] += (hit & (target == label)).sum(1)
    support = torch.bincount(labels, minlength=classes)
    return Scores(
        correct=hits.sum(1).cpu().numpy(),
        count=len(labels),
        loss=(loss / len(labels)).cpu().numpy(),
        f1=(2 * hits.double() / (predicted + support).double()).cpu().numpy(),
    )


def initial_weights(network: Network, runs: Sequence[Run], device: torch.device) -> torch.Tensor:
    """Draw the untrained weights (R, N): weights by the run's initialiser, biases constant."""
    seeds = torch.tensor([run.seed for run in runs], dtype=torch.int64, device=device)
    bias = torch.tensor([run.initial_bias for run in runs], dtype=torch.float32, device=device)
    initialise = INITIALISERS[_common(runs, "init", INITIALISERS)]
    parts = []
    for tensor in layout_of(network).tensors:
        if tensor.name.endswith(".bias"):
            parts.append(bias[:, None].expand(-1, tensor.size))
        else:
            draw = streams.uniform(seeds, f"init/{tensor.name}", 0, tensor.size)
            parts.append(initialise(draw).to(torch.float32))
    return torch.cat(parts, dim=1)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ZoobenchError(f"unknown device {name!r}; choose from: cpu, cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ZoobenchError(f"device {name!r} was asked for, but this torch finds no CUDA GPU; use --device cpu")
    return device


def _common(runs: Sequence[Run], name: str, known: Mapping[str, object] | None = None) -> str:
    """The value of a hyperparameter that all runs of a population must share."""
    values = {getattr(run.hyperparameters, name) for run in runs}
    if len(values) > 1:
        raise ZoobenchError(f"a population shares one {name}, these runs have {sorted(map(str, values))}")
    value = str(values.pop())
    if known is not None and value not in known:
        raise ZoobenchError(f"unknown {name} {value!r}{did_you_mean(value, known)}")
    return value


def train_step(
    network: Network,
    weights: torch.Tensor,
    optimizer: Adam,
    images: torch.Tensor,
    labels: torch.Tensor,
    chosen: torch.Tensor,
    activation: str,
    conv: ConvFormulation,
) -> None:
    """One optimizer step of every run on its own batch: ``chosen`` (R, batch) indexes ``images`` and ``labels``."""
    logits = forward(network, weights, images[chosen], activation, conv)
    loss = F.cross_entropy(logits.flatten(0, 1), labels[chosen].flatten(), reduction="sum")
    (gradient,) = torch.autograd.grad(loss / chosen.shape[1], weights)
    optimizer.step(weights, gradient)


def train(
    network: Network,
    runs: Sequence[Run],
    images: Images,
    checkpoints: Sequence[int],
    device: str = "cpu",
    on_epoch: Callable[[int], None] | None = None,
    conv: ConvFormulation | None = None,
) -> Iterator[Checkpoint]:
    """Train the runs together and yield them at each checkpoint epoch (0 = untrained).

    The runs must share activation, initialiser, optimizer and batch size; learning rate and weight decay are per run.

    Args:
        network: the declared network.
        runs: R runs.
        images: training and test images, preprocessed.
        checkpoints: epochs to yield, ascending.
        device: a torch device.
        on_epoch: called after each epoch with its number.
        conv: force a convolution formulation; ``None`` picks the faster one for device and batch.

    Raises:
        ZoobenchError: the runs differ in something that a population shares, or name something unknown.
    """
    place = _device(device)
    if any(run.hyperparameters.dropout or run.hyperparameters.train_fraction != 1 for run in runs):
        raise ZoobenchError("dropout and training fractions below 1 cannot be trained by this version")
    activation = _common(runs, "activation")
    batch_size = int(_common(runs, "batch_size"))
    optimizer_class = OPTIMIZERS[_common(runs, "optimizer", OPTIMIZERS)]
    conv = conv or conv_formulation(place, batch_size)

    seeds = torch.tensor([run.seed for run in runs], dtype=torch.int64, device=place)
    per_run = lambda name: torch.tensor(  # noqa: E731
        [getattr(run.hyperparameters, name) for run in runs], dtype=torch.float32, device=place
    )[:, None]
    train_images = torch.from_numpy(images.train_images).to(place)
    train_labels = torch.from_numpy(images.train_labels).to(place)
    test_images = torch.from_numpy(images.test_images).to(place)
    test_labels = torch.from_numpy(images.test_labels).to(place)
    weights = initial_weights(network, runs, place).requires_grad_()
    optimizer = optimizer_class(weights, per_run("learning_rate"), per_run("weight_decay"))

    def checkpoint(epoch: int) -> Checkpoint:
        return Checkpoint(
            epoch,
            weights.detach().cpu().numpy().copy(),
            score(network, weights, train_images, train_labels, activation),
            score(network, weights, test_images, test_labels, activation),
        )

    if 0 in checkpoints:
        yield checkpoint(0)
    count = len(train_labels)
    for epoch in range(1, max(checkpoints) + 1):
        order = streams.permutation(seeds, "order", epoch, count)
        for start in range(0, count, batch_size):
            chosen = order[:, start : start + batch_size]
            train_step(network, weights, optimizer, train_images, train_labels, chosen, activation, conv)
        if on_epoch:
            on_epoch(epoch)
        if epoch in checkpoints:
            yield checkpoint(epoch)
