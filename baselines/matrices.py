"""Weights as one matrix per layer, on any device, and rows of them in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from zoobench.zoos.layout import Layer

_BATCH = 1000


def to_matrix(weights: torch.Tensor, layer: Layer) -> torch.Tensor:
    """[W | b] of one layer: (batch, N) -> (batch, neurons, fan-in + 1 with a bias)."""
    kernel = weights[:, layer.weight.slice].unflatten(1, (layer.weight.shape[0], -1))
    return kernel if layer.bias is None else torch.cat([kernel, weights[:, layer.bias.slice, None]], dim=2)


def from_matrices(matrices: Sequence[torch.Tensor], layers: Sequence[Layer]) -> torch.Tensor:
    """The inverse of ``to_matrix`` for all layers of a layout: -> (batch, N)."""
    parts: dict[int, torch.Tensor] = {}
    for matrix, layer in zip(matrices, layers, strict=True):
        fan_in = layer.weight.size // layer.weight.shape[0]
        parts[layer.weight.offset] = matrix[:, :, :fan_in].flatten(1)
        if layer.bias is not None:
            parts[layer.bias.offset] = matrix[:, :, fan_in]
    return torch.cat([parts[offset] for offset in sorted(parts)], dim=1)


def in_batches(function: Callable[[torch.Tensor], torch.Tensor], weights: np.ndarray) -> np.ndarray:
    """What a function of a batch of networks gives for all of them (rows, N), without gradients."""
    with torch.inference_mode():
        batches = torch.from_numpy(np.ascontiguousarray(weights)).split(_BATCH)
        found: np.ndarray = torch.cat([function(batch) for batch in batches]).numpy()
    return found
