"""Networks: a population evaluated in one call, and single networks as plain PyTorch modules.

A population is a weight matrix (runs, N) in layout order. ``forward`` applies every run's network at once: dense
layers by batched matmul over the run axis, convolutions either by one grouped convolution or run by run, whichever is
measured to be faster (``benchmarks/population.py``). ``module`` builds the same network from ``torch.nn`` parts: the
judge of ``forward``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .layout import layout_of
from .zoos.spec import Activation, Conv, Dropout, Flatten, GlobalAveragePool, Layer, Linear, MaxPool, Network

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}
_MODULES: dict[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}

ConvFormulation = Literal["grouped", "per_run"]


def conv_formulation(device: torch.device, batch: int) -> ConvFormulation:
    """Choose how convolutions over the run axis are computed.

    On two CPU cores with the 2,464-weight CNN, run-by-run convolutions overtake one grouped convolution between batch
    16 and 32 (``python benchmarks/population.py``); on a GPU one launch for all runs is the point of a population.
    """
    return "per_run" if device.type == "cpu" and batch > 16 else "grouped"


def module(network: Network, activation: str, weights: np.ndarray | None = None, dropout: float = 0.0) -> nn.Sequential:
    """Build one network from ``torch.nn`` layers, so that its ``state_dict`` order is the layout.

    Args:
        network: the declared network.
        activation: key of ``ACTIVATIONS``.
        weights: flat vector (N,) to load, or ``None`` for PyTorch's own initialisation.
        dropout: rate of the dropout layers.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for position, layer in enumerate(network.layers):
        key = f"layer{position}"
        match layer:
            case Conv():
                parts[layer.name] = nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, stride=layer.stride)
            case Linear():
                parts[layer.name] = nn.Linear(layer.inputs, layer.outputs, bias=layer.bias)
            case MaxPool():
                parts[key] = nn.MaxPool2d(layer.size)
            case Activation():
                parts[key] = _MODULES[activation]()
            case Dropout():
                parts[key] = nn.Dropout(dropout)
            case GlobalAveragePool():
                parts[key] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            case Flatten():
                parts[key] = nn.Flatten()
    built = nn.Sequential(parts)
    if weights is not None:
        tensors = layout_of(network).unflatten(np.asarray(weights, dtype=np.float32))
        built.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in tensors.items()})
    return built


def forward(
    network: Network, weights: torch.Tensor, images: torch.Tensor, activation: str, conv: ConvFormulation
) -> torch.Tensor:
    """Logits of every run, without dropout.

    Args:
        network: the declared network.
        weights: (runs, N).
        images: (runs, batch, channels, height, width), or (1, batch, ...) for images that all runs share.
        activation: key of ``ACTIVATIONS``, common to all runs.
        conv: how convolutions over the run axis are computed.

    Returns:
        (runs, batch, classes).
    """
    tensors = layout_of(network).tensors
    flat = weights.split([tensor.size for tensor in tensors], dim=1)
    params = {t.name: part.reshape(-1, *t.shape) for t, part in zip(tensors, flat, strict=True)}
    activate = ACTIVATIONS[activation]
    flattened = next(i for i, layer in enumerate(network.layers) if isinstance(layer, Flatten | GlobalAveragePool))
    trunk, head = network.layers[:flattened], network.layers[flattened:]
    if trunk:
        run_trunk = _trunk_grouped if conv == "grouped" else _trunk_per_run
        hidden = run_trunk(trunk, params, images, activate)
    else:
        hidden = images
    return _head(head, params, hidden, activate)


def _trunk_grouped(
    layers: tuple[Layer, ...],
    params: dict[str, torch.Tensor],
    images: torch.Tensor,
    activate: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Convolutional layers with the run axis folded into the channels: (batch, runs * channels, height, width)."""
    runs = next(iter(params.values())).shape[0]
    shared = images.shape[0] == 1
    hidden = images.transpose(0, 1).flatten(1, 2)
    groups = 1 if shared else runs
    for layer in layers:
        match layer:
            case Conv():
                kernel = params[f"{layer.name}.weight"].flatten(0, 1)
                bias = params[f"{layer.name}.bias"].flatten()
                hidden = F.conv2d(hidden, kernel, bias, stride=layer.stride, groups=groups)
                groups = runs
            case MaxPool():
                hidden = F.max_pool2d(hidden, layer.size)
            case Activation():
                hidden = activate(hidden)
    return hidden.unflatten(1, (runs, -1)).transpose(0, 1)


def _trunk_per_run(
    layers: tuple[Layer, ...],
    params: dict[str, torch.Tensor],
    images: torch.Tensor,
    activate: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Convolutional layers run by run, stacked to (runs, batch, channels, height, width)."""
    by_run = {name: value.unbind(0) for name, value in params.items()}
    runs = next(iter(params.values())).shape[0]
    outputs = []
    for run in range(runs):
        hidden = images[0 if images.shape[0] == 1 else run]
        for layer in layers:
            match layer:
                case Conv():
                    kernel, bias = by_run[f"{layer.name}.weight"][run], by_run[f"{layer.name}.bias"][run]
                    hidden = F.conv2d(hidden, kernel, bias, stride=layer.stride)
                case MaxPool():
                    hidden = F.max_pool2d(hidden, layer.size)
                case Activation():
                    hidden = activate(hidden)
        outputs.append(hidden)
    return torch.stack(outputs)


def _head(
    layers: tuple[Layer, ...],
    params: dict[str, torch.Tensor],
    hidden: torch.Tensor,
    activate: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Flatten or pool, then dense layers: (runs, batch, features) throughout."""
    for layer in layers:
        match layer:
            case Flatten():
                hidden = hidden.flatten(2)
            case GlobalAveragePool():
                hidden = hidden.mean((-2, -1))
            case Activation():
                hidden = activate(hidden)
            case Linear():
                weight = params[f"{layer.name}.weight"]
                inputs = hidden.expand(weight.shape[0], -1, -1)
                hidden = torch.bmm(inputs, weight.transpose(1, 2))
                if layer.bias:
                    hidden = hidden + params[f"{layer.name}.bias"][:, None, :]
    return hidden
