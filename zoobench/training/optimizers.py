"""Optimizers for many runs at once: element-wise updates of a weight matrix (R, N) with a learning rate per run.

Each does what its declaration (``zoos.optimizers``) says, run by run; with default constants it equals the
``torch.optim`` class of its name but for rounding. Weight decay is L2 regularisation, added to the gradient as
``torch.optim`` does, or decoupled from it as in AdamW.

Every operation is one of IEEE arithmetic, in an order that is fixed, and constants are products in double precision:
the same bits everywhere. ``native/updates.c`` does the same in one pass.
"""

from __future__ import annotations

import ctypes
import math

import torch

from ..native import Rule, library
from ..zoos import optimizers as declarations
from .lanes import REALS

# As numbered in the C code.
_KINDS = (declarations.Adam, declarations.SGD, declarations.RMSprop)


class Updater:
    """Applies one optimizer to consecutive runs, with per-run learning rates and weight decay.

    Args:
        optimizer: its declaration.
        weights: (R, N), updated in place.
        learning_rate: (R, 1).
        weight_decay: (R, 1), or (R, N) where it is not the same for all weights.
        decoupled: whether weight decay shrinks the weights directly (AdamW) or enters the gradient (L2).
        compiled: whether the C code is used where it can be.
    """

    def __init__(
        self,
        optimizer: declarations.Optimizer,
        weights: torch.Tensor,
        learning_rate: torch.Tensor,
        weight_decay: torch.Tensor,
        decoupled: bool,
        compiled: bool = True,
    ) -> None:
        self.optimizer = optimizer
        self.weights = weights
        self.learning_rate = learning_rate.to(weights.dtype).contiguous()
        decays = bool((weight_decay > 0).any())
        self.weight_decay = weight_decay.to(weights.dtype).contiguous() if decays else None
        adam = isinstance(optimizer, declarations.Adam)
        self.first = torch.zeros_like(weights if adam or isinstance(optimizer, declarations.SGD) else weights[:0])
        self.second = torch.zeros_like(weights if not isinstance(optimizer, declarations.SGD) else weights[:0])
        self.rule = Rule(
            kind=_KINDS.index(type(optimizer)),
            decoupled=decoupled,
            shared=weight_decay.shape[1] == 1,
        )
        match optimizer:
            case declarations.Adam(beta1, beta2):
                self.rule.take_first, self.rule.keep_second, self.rule.take_second = 1 - beta1, beta2, 1 - beta2
            case declarations.SGD(momentum):
                self.rule.momentum, self.rule.keep_first = momentum != 0, momentum
            case declarations.RMSprop(rho, epsilon):
                self.rule.keep_second, self.rule.take_second, self.rule.epsilon = rho, 1 - rho, epsilon
        # Powers by products: a library's power may be rounded otherwise elsewhere.
        self.powers = (1.0, 1.0)
        here = compiled and weights.device.type == "cpu" and weights.dtype in REALS and weights.is_contiguous()
        self.library = library("updates", f"REAL={REALS[weights.dtype]}") if here else None

    @torch.no_grad()
    def step(self, gradient: torch.Tensor) -> None:
        """One step of every run along its own gradient (R, N)."""
        rule = self.rule
        if isinstance(self.optimizer, declarations.Adam):
            beta1, beta2 = self.optimizer.beta1, self.optimizer.beta2
            self.powers = self.powers[0] * beta1, self.powers[1] * beta2
            rule.correct_first, rule.correct_second = 1 - self.powers[0], math.sqrt(1 - self.powers[1])
            hat = rule.correct_second if self.optimizer.epsilon_hat else 1.0
            rule.epsilon = self.optimizer.epsilon / hat
        if self.library is None:
            self._step(gradient)
            return
        gradient = gradient.contiguous()
        arrays = self.weights, gradient, self.first, self.second, self.learning_rate, self.weight_decay
        pointers = (None if array is None else array.data_ptr() for array in arrays)
        self.library.update(*pointers, *self.weights.shape, ctypes.byref(rule))

    def _step(self, gradient: torch.Tensor) -> None:
        """What the C code does, operation by operation."""
        if self.weight_decay is not None and self.rule.decoupled:
            self.weights.mul_(1 - self.learning_rate * self.weight_decay)
        elif self.weight_decay is not None:
            gradient = gradient + self.weight_decay * self.weights
        self.weights.sub_(self.learning_rate * self._direction(gradient))

    def _direction(self, gradient: torch.Tensor) -> torch.Tensor:
        rule, optimizer = self.rule, self.optimizer
        if isinstance(optimizer, declarations.SGD):
            return self.first.mul_(rule.keep_first).add_(gradient) if rule.momentum else gradient
        self.second.mul_(rule.keep_second).add_((gradient * rule.take_second).mul_(gradient))
        if isinstance(optimizer, declarations.RMSprop):
            return gradient / self.second.sqrt().add_(rule.epsilon)
        self.first.add_((gradient - self.first).mul_(rule.take_first))
        return (self.first / (self.second.sqrt().div_(rule.correct_second)).add_(rule.epsilon)).div_(rule.correct_first)
