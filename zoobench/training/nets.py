"""What a layer means: networks as plain PyTorch modules.

A declared layer becomes a ``torch.nn`` module here and nowhere else. Every formulation of a population is a faster way
to the same numbers, or runs these modules themselves (``functional``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ..errors import ZoobenchError, did_you_mean, look_up
from ..zoos.layout import layout_of
from ..zoos.spec import Activation, Conv, Dropout, Flatten, GlobalAveragePool, Layer, Linear, MaxPool, Network
from .activations import ACTIVATIONS


class Choices(NamedTuple):
    """What a run chooses about its network: the maker of its activation function, and its dropout rate."""

    activation: Callable[[], nn.Module]
    dropout: float


# By type of layer: what makes its module from the layer and a run's choices. A module treats every image alone, keeps
# nothing between calls, and its parameters are the layer's ``tensors``.
LAYERS: Mapping[type[Layer], Callable[[Any, Choices], nn.Module]] = {
    Conv: lambda layer, _: nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, stride=layer.stride),
    Linear: lambda layer, _: nn.Linear(layer.inputs, layer.outputs, bias=layer.bias),
    MaxPool: lambda layer, _: nn.MaxPool2d(layer.size),
    Activation: lambda _, choices: choices.activation(),
    Dropout: lambda _, choices: nn.Dropout(choices.dropout),
    GlobalAveragePool: lambda *_: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    Flatten: lambda *_: nn.Flatten(),
}


def module(network: Network, activation: str, weights: np.ndarray | None = None, dropout: float = 0.0) -> nn.Sequential:
    """Build one network from ``torch.nn`` layers, so that its ``state_dict`` order is the layout.

    Args:
        network: the declared network.
        activation: key of ``ACTIVATIONS``.
        weights: flat vector (N,) to load, or ``None`` for PyTorch's own initialisation.
        dropout: rate of the dropout layers.

    Raises:
        ZoobenchError: unknown activation or layer, or a layer whose module does not have the declared tensors.
    """
    choices = Choices(look_up("activation", activation, ACTIVATIONS), dropout)
    layout = layout_of(network)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for position, layer in enumerate(network.layers):
        name = getattr(layer, "name", f"layer{position}")
        parts[name] = _part(name, layer, choices)
    built = nn.Sequential(parts)
    if weights is not None:
        tensors = layout.unflatten(np.asarray(weights, dtype=np.float32))
        built.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in tensors.items()})
    return built


def _part(name: str, layer: Layer, choices: Choices) -> nn.Module:
    kind = type(layer)
    if kind not in LAYERS:
        raise ZoobenchError(
            f"unknown layer {kind.__name__!r}{did_you_mean(kind.__name__, (known.__name__ for known in LAYERS))}"
        )
    built = LAYERS[kind](layer, choices)
    found = {f"{name}.{part}": tuple(value.shape) for part, value in built.named_parameters()}
    if list(found.items()) != list(layer.tensors.items()) or next(built.buffers(), None) is not None:
        kept = ", ".join(part for part, _ in built.named_buffers()) or "none"
        raise ZoobenchError(
            f"{kind.__name__} declares tensors {dict(layer.tensors)}; its module has {found} and, as buffers, {kept}"
        )
    return built
