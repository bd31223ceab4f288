"""Weight layouts: which slice of a flat weight vector is which tensor.

A row's ``weights`` is the network's ``state_dict``, flattened: layer by layer, weight then bias, each tensor in C
order. Needs numpy only, so that scoring and statistics can use it without torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from ..errors import ZoobenchError
from .spec import Network


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
class Layer:
    """One layer as the matrix [W | b]: a row per neuron or filter, its weights and, if it has one, its bias.

    A filter's weights are in C order over (input channel, row, column).
    """

    name: str
    weight: Tensor
    bias: Tensor | None

    @cached_property
    def index(self) -> np.ndarray:
        """int64 (neurons, fan-in + 1 with a bias): where each entry of [W | b] stands in a flat weight vector."""
        positions = np.arange(self.weight.offset, self.weight.offset + self.weight.size)
        matrix = positions.reshape(self.weight.shape[0], -1)
        if self.bias is None:
            return matrix
        biases = np.arange(self.bias.offset, self.bias.offset + self.bias.size)
        return np.hstack([matrix, biases[:, None]])


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
        self._check_width(weights)
        lead = weights.shape[:-1]
        return {tensor.name: weights[..., tensor.slice].reshape(*lead, *tensor.shape) for tensor in self.tensors}

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that have parameters, first to last.

        Raises:
            ZoobenchError: a layer has others than a weight and a bias.
        """
        by_name: dict[str, dict[str, Tensor]] = {}
        for tensor in self.tensors:
            name, _, part = tensor.name.rpartition(".")
            by_name.setdefault(name, {})[part] = tensor
        for name, parts in by_name.items():
            if set(parts) not in ({"weight"}, {"weight", "bias"}):
                raise ZoobenchError(f"layer {name!r} has {', '.join(parts)}; as a matrix it has a weight and a bias")
        return tuple(Layer(name, parts["weight"], parts.get("bias")) for name, parts in by_name.items())

    def to_matrices(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Weights (..., N) as [W | b] of each layer, (..., neurons, fan-in + 1), by layer name."""
        self._check_width(weights)
        return {layer.name: weights[..., layer.index] for layer in self.layers}

    def from_matrices(self, matrices: Mapping[str, np.ndarray]) -> np.ndarray:
        """The inverse of ``to_matrices``, exactly."""
        first = next(iter(matrices.values()))
        weights = np.empty((*first.shape[:-2], self.size), first.dtype)
        for layer in self.layers:
            weights[..., layer.index] = matrices[layer.name]
        return weights

    @cached_property
    def token_index(self) -> np.ndarray:
        """int64 (neurons of all layers, largest fan-in + 1): positions in a flat weight vector, -1 where padded."""
        width = max(layer.index.shape[1] for layer in self.layers)
        padded = [
            np.pad(layer.index, ((0, 0), (0, width - layer.index.shape[1])), constant_values=-1)
            for layer in self.layers
        ]
        return np.vstack(padded)

    def to_tokens(self, weights: np.ndarray) -> np.ndarray:
        """Weights (..., N) as one token per neuron, (..., neurons, width), zero where padded."""
        self._check_width(weights)
        tokens = weights[..., self.token_index]
        tokens[..., self.token_index < 0] = 0
        return tokens

    def from_tokens(self, tokens: np.ndarray) -> np.ndarray:
        """The inverse of ``to_tokens``, exactly; what stands in the padding is ignored."""
        real = self.token_index >= 0
        weights = np.empty((*tokens.shape[:-2], self.size), tokens.dtype)
        weights[..., self.token_index[real]] = tokens[..., real]
        return weights

    def _check_width(self, weights: np.ndarray) -> None:
        if weights.shape[-1] != self.size:
            raise ValueError(f"weights have {weights.shape[-1]} columns, the layout has {self.size}")

    def to_json(self) -> list[dict[str, Any]]:
        return [{"name": t.name, "shape": list(t.shape), "offset": t.offset} for t in self.tensors]

    @classmethod
    def from_json(cls, entries: Iterable[dict[str, Any]]) -> Layout:
        return cls(tuple(Tensor(e["name"], tuple(e["shape"]), e["offset"]) for e in entries))


@cache
def layout_of(network: Network) -> Layout:
    """The layout of a declared network, in PyTorch ``state_dict`` order and shapes.

    Raises:
        ZoobenchError: two tensors have one name.
    """
    tensors: dict[str, Tensor] = {}
    offset = 0
    for layer in network.layers:
        for name, shape in layer.tensors.items():
            if name in tensors:
                raise ZoobenchError(f"two tensors of the network {network.description!r} are named {name!r}")
            tensors[name] = Tensor(name, shape, offset)
            offset += tensors[name].size
    return Layout(tuple(tensors.values()))
