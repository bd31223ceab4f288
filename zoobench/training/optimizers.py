"""Optimizers for many runs at once: element-wise updates of a weight matrix (R, N) with a learning rate per run.

Each does what its declaration (``zoos.optimizers``) says, run by run; with default constants it equals the
``torch.optim`` class of its name. Weight decay is L2 regularisation, added to the gradient as ``torch.optim`` does, or
decoupled from it as in AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from ..zoos import optimizers as declarations


class Optimizer(Protocol):
    """Keeps its own state; ``direction`` turns a gradient into the step that is scaled by the learning rate."""

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        """(R, N) gradient to (R, N) descent direction."""
        ...


class _Adam:
    def __init__(self, declared: declarations.Adam, weights: torch.Tensor) -> None:
        self.declared = declared
        self.mean = torch.zeros_like(weights)
        self.square = torch.zeros_like(weights)
        self.steps = 0

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        beta1, beta2, epsilon = self.declared.beta1, self.declared.beta2, self.declared.epsilon
        self.steps += 1
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        correction = (1 - beta2**self.steps) ** 0.5
        if self.declared.epsilon_hat:
            epsilon /= correction
        denominator = (self.square.sqrt() / correction).add_(epsilon)
        return (self.mean / denominator).div_(1 - beta1**self.steps)


class _SGD:
    def __init__(self, declared: declarations.SGD, weights: torch.Tensor) -> None:
        self.momentum = declared.momentum
        self.buffer = torch.zeros_like(weights)

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.buffer.mul_(self.momentum).add_(gradient) if self.momentum else gradient


class _RMSprop:
    def __init__(self, declared: declarations.RMSprop, weights: torch.Tensor) -> None:
        self.rho, self.epsilon = declared.rho, declared.epsilon
        self.square = torch.zeros_like(weights)

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        self.square.mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        return gradient / self.square.sqrt().add_(self.epsilon)


OPTIMIZERS: Mapping[type[declarations.Optimizer], Callable[[Any, torch.Tensor], Optimizer]] = {
    declarations.Adam: _Adam,
    declarations.SGD: _SGD,
    declarations.RMSprop: _RMSprop,
}


class Updater:
    """Applies one optimizer to consecutive runs, with per-run learning rates and weight decay.

    Args:
        optimizer: its declaration.
        weights: (R, N), updated in place.
        learning_rate: (R, 1).
        weight_decay: (R, 1), or (R, N) where it is not the same for all weights.
        decoupled: whether weight decay shrinks the weights directly (AdamW) or enters the gradient (L2).
    """

    def __init__(
        self,
        optimizer: declarations.Optimizer,
        weights: torch.Tensor,
        learning_rate: torch.Tensor,
        weight_decay: torch.Tensor,
        decoupled: bool,
    ) -> None:
        self.optimizer = OPTIMIZERS[type(optimizer)](optimizer, weights)
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
