"""Activation functions: the registry of those that a run may have, and one per run for a population."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from ..errors import look_up

# By name: what makes the module. It acts on each entry alone and has neither parameters nor random draws.
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}


@functools.cache
def _made(factory: Callable[[], nn.Module]) -> nn.Module:
    """One module for all calls, since it keeps nothing between them."""
    return factory()


class RunActivations:
    """The activation function of each run, applied to all runs at once.

    Consecutive runs with the same function are one call, so runs are best sorted by activation.

    Attributes:
        names: one per run.

    Raises:
        ZoobenchError: unknown activation.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._known = {name: _made(look_up("activation", name, ACTIVATIONS)) for name in dict.fromkeys(names)}

    @functools.cached_property
    def functions(self) -> tuple[nn.Module, ...]:
        """One per run."""
        return tuple(self._known[name] for name in self.names)

    @functools.cached_property
    def _groups(self) -> list[tuple[nn.Module, int]]:
        return [(self._known[name], len(list(group))) for name, group in itertools.groupby(self.names)]

    def __call__(self, hidden: torch.Tensor, axis: int = 0) -> torch.Tensor:
        """Apply to a tensor whose ``axis`` runs over the runs, with the same number of entries for each."""
        if len(self._groups) == 1:
            found: torch.Tensor = self._groups[0][0](hidden)
            return found
        each = hidden.shape[axis] // len(self.names)
        parts = hidden.split([count * each for _, count in self._groups], dim=axis)
        return torch.cat([function(part) for (function, _), part in zip(self._groups, parts, strict=True)], dim=axis)
