"""Optimizers for many runs at once: element-wise updates of a weight matrix (R, N) with a learning rate per run.

Each equals the ``torch.optim`` class of its name with default parameters (SGD with momentum 0.9), run by run. Weight
decay is L2 regularisation, added to the gradient as ``torch.optim`` does, or decoupled from it as in AdamW.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch


class Optimizer(Protocol):
    """Keeps its own state; ``direction`` turns a gradient into the step that is scaled by the learning rate."""

    def __init__(self, weights: torch.Tensor) -> None: ...

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        """(R, N) gradient to (R, N) descent direction."""
        ...


class Adam:
    """Kingma and Ba 2014."""

    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def __init__(self, weights: torch.Tensor) -> None:
        self.mean = torch.zeros_like(weights)
        self.square = torch.zeros_like(weights)
        self.steps = 0

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        self.mean.lerp_(gradient, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        denominator = (self.square.sqrt() / (1 - self.beta2**self.steps) ** 0.5).add_(self.epsilon)
        return (self.mean / denominator).div_(1 - self.beta1**self.steps)


class SGD:
    """Stochastic gradient descent with momentum 0.9."""

    momentum = 0.9

    def __init__(self, weights: torch.Tensor) -> None:
        self.buffer = torch.zeros_like(weights)

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.buffer.mul_(self.momentum).add_(gradient)


class RMSprop:
    """Hinton 2012, lecture 6e; smoothing 0.99 as in ``torch.optim.RMSprop``."""

    alpha, epsilon = 0.99, 1e-8

    def __init__(self, weights: torch.Tensor) -> None:
        self.square = torch.zeros_like(weights)

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        self.square.mul_(self.alpha).addcmul_(gradient, gradient, value=1 - self.alpha)
        return gradient / self.square.sqrt().add_(self.epsilon)


OPTIMIZERS: Mapping[str, type[Optimizer]] = {"adam": Adam, "sgd": SGD, "rmsprop": RMSprop}


class Updater:
    """Applies one optimizer to consecutive runs, with per-run learning rates and weight decay.

    Args:
        optimizer: key of ``OPTIMIZERS``.
        weights: (R, N), updated in place.
        learning_rate: (R, 1).
        weight_decay: (R, 1).
        decoupled: whether weight decay shrinks the weights directly (AdamW) or enters the gradient (L2).
    """

    def __init__(
        self,
        optimizer: str,
        weights: torch.Tensor,
        learning_rate: torch.Tensor,
        weight_decay: torch.Tensor,
        decoupled: bool,
    ) -> None:
        self.optimizer = OPTIMIZERS[optimizer](weights)
        self.weights = weights
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.decays = bool((weight_decay > 0).any())
        self.decoupled = decoupled

    @torch.no_grad()
    def step(self, gradient: torch.Tensor) -> None:
        """One step of every run along its own gradient (R, N)."""
        if self.decays and self.decoupled:
            self.weights.mul_(1 - self.learning_rate * self.weight_decay)
        elif self.decays:
            gradient = gradient + self.weight_decay * self.weights
        self.weights.sub_(self.learning_rate * self.optimizer.direction(gradient))
