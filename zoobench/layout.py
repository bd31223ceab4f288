"""Weight layouts: which slice of a flat weight vector is which tensor.

A row's ``weights`` is the network's ``state_dict``, flattened: layer by layer, weight then bias, each tensor in C
order. Needs numpy only, so that scoring and statistics can use it without torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .zoos.spec import Conv, Linear, Network


@dataclass(frozen=True)
class Tensor:
    """One named tensor: ``weights[offset : offset + size].reshape(shape)``."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        return slice(self.offset, self.offset + self.size)


@dataclass(frozen=True)
class Layout:
    """The tensors of a flat weight vector, in order and without gaps."""

    tensors: tuple[Tensor, ...]

    @cached_property
    def size(self) -> int:
        """Number of weights N."""
        return sum(tensor.size for tensor in self.tensors)

    def unflatten(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Split weights of shape (..., N) into views of shape (..., *tensor.shape), by tensor name."""
        if weights.shape[-1] != self.size:
            raise ValueError(f"weights have {weights.shape[-1]} columns, the layout has {self.size}")
        lead = weights.shape[:-1]
        return {tensor.name: weights[..., tensor.slice].reshape(*lead, *tensor.shape) for tensor in self.tensors}

    def to_json(self) -> list[dict[str, Any]]:
        return [{"name": t.name, "shape": list(t.shape), "offset": t.offset} for t in self.tensors]

    @classmethod
    def from_json(cls, entries: Iterable[dict[str, Any]]) -> Layout:
        return cls(tuple(Tensor(e["name"], tuple(e["shape"]), e["offset"]) for e in entries))


def layout_of(network: Network) -> Layout:
    """The layout of a declared network, in PyTorch ``state_dict`` order and shapes."""
    tensors: list[Tensor] = []
    offset = 0
    for layer in network.layers:
        shapes: dict[str, tuple[int, ...]] = {}
        if isinstance(layer, Conv):
            shapes = {"weight": (layer.outputs, layer.inputs, layer.kernel, layer.kernel), "bias": (layer.outputs,)}
        elif isinstance(layer, Linear):
            shapes = {"weight": (layer.outputs, layer.inputs)}
            if layer.bias:
                shapes["bias"] = (layer.outputs,)
        for part, shape in shapes.items():
            tensors.append(Tensor(f"{layer.name}.{part}", shape, offset))  # type: ignore[union-attr]
            offset += tensors[-1].size
    return Layout(tuple(tensors))
