"""Networks: a population evaluated in one call, and single networks as plain PyTorch modules.

A population is a weight matrix (runs, N) in layout order. ``forward`` applies every run's network at once: dense
layers by batched matmul over the run axis, convolutions in one of three ways (``formulation``). ``module`` builds the
same network from ``torch.nn`` parts: the judge of ``forward``.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..errors import ZoobenchError, did_you_mean
from ..zoos.layout import layout_of
from ..zoos.spec import Activation, Conv, Dropout, Flatten, GlobalAveragePool, Layer, Linear, MaxPool, Network
from . import lanes, streams, winograd
from .formulation import ConvFormulation

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
}
_MODULES: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}

# Dropout masks drawn in one go: as many runs' as stay in the processor's cache.
_MASK_ENTRIES = 1 << 18


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


class RunActivations:
    """The activation function of each run, applied to all runs at once.

    Consecutive runs with the same function are one call, so runs are best sorted by activation.

    Raises:
        ZoobenchError: unknown activation.
    """

    def __init__(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in ACTIVATIONS:
                raise ZoobenchError(f"unknown activation {name!r}{did_you_mean(name, ACTIVATIONS)}")
        self.names = tuple(names)
        self._groups = [(ACTIVATIONS[name], len(list(group))) for name, group in itertools.groupby(self.names)]

    def __call__(self, hidden: torch.Tensor, axis: int = 0) -> torch.Tensor:
        """Apply to a tensor whose ``axis`` runs over the runs, with the same number of entries for each."""
        if len(self._groups) == 1:
            return self._groups[0][0](hidden)
        each = hidden.shape[axis] // len(self.names)
        parts = hidden.split([count * each for _, count in self._groups], dim=axis)
        return torch.cat([function(part) for (function, _), part in zip(self._groups, parts, strict=True)], dim=axis)


@dataclass(frozen=True)
class RunDropout:
    """Dropout masks of all runs at one training step, each from the run's own stream.

    Attributes:
        seeds: (runs,) int64.
        rates: (runs,) dropout rates, used to 1 part in 65,536.
        step: counts training steps of a run; the same step draws the same masks.
    """

    seeds: torch.Tensor
    rates: torch.Tensor
    step: int

    def mask(self, layer: int, shape: tuple[int, ...], runs: slice = slice(None)) -> torch.Tensor:
        """(runs, *shape) float32: 0 where an entry is dropped, 1 / (1 - rate) elsewhere.

        ``shape`` is (batch, features) or (batch, channels, height, width). Four entries share one 64-bit draw. They
        are numbered batch first and channels last, which is how they lie in memory; so the mask of an image does not
        depend on how many images follow it.
        """
        batch, channels, *positions = shape
        count = math.prod(shape)
        words = streams.bits(self.seeds[runs], self.purpose(layer), self.step, -(-count // 4))
        least, scale = (values[runs, None] for values in self.thresholds())
        scaled = (words.view(torch.int16)[:, :count] >= least).to(torch.float32).mul_(scale)
        return scaled.view(-1, batch, *positions, channels).movedim(-1, 2)

    def purpose(self, layer: int) -> str:
        """Of the draws of a layer (see ``streams``)."""
        return f"dropout/{layer}"

    def thresholds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The least signed 16-bit draw with which an entry is kept, and what it is multiplied by then: (runs,) each."""
        dropped = (self.rates * 65536).round()
        return (dropped - 32768).to(torch.int16), (65536 / (65536 - dropped)).to(torch.float32)


def forward(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    activations: RunActivations,
    conv: ConvFormulation,
    dropout: RunDropout | None = None,
) -> torch.Tensor:
    """Logits of every run.

    Args:
        network: the declared network.
        weights: (runs, N).
        images: (runs, batch, channels, height, width), or (1, batch, ...) for images that all runs share.
        activations: one per run.
        conv: the formulation; with "lanes" no gradient flows (for that, ``lanes.gradient``).
        dropout: the masks of a training step; ``None`` for evaluation.

    Returns:
        (runs, batch, classes).
    """
    if conv == "lanes":
        runs, batch = images.shape[:2]
        chosen = None if runs == 1 else torch.arange(runs * batch).view(runs, batch)
        return lanes.logits(network, weights, images.flatten(0, 1), activations.names, dropout, chosen)
    tensors = layout_of(network).tensors
    flat = weights.split([tensor.size for tensor in tensors], dim=1)
    params = {t.name: part.reshape(-1, *t.shape) for t, part in zip(tensors, flat, strict=True)}
    numbered = list(enumerate(network.layers))
    dense = 1 + next(i for i, layer in numbered if isinstance(layer, Flatten | GlobalAveragePool))
    hidden = images.flatten(2)
    if dense > 1:
        hidden = _TRUNKS[conv](numbered[:dense], params, images, activations, dropout)
    return _head(numbered[dense:], params, hidden, activations, dropout)


_Layers = list[tuple[int, Layer]]


def _trunk_grouped(
    layers: _Layers,
    params: dict[str, torch.Tensor],
    images: torch.Tensor,
    activations: RunActivations,
    dropout: RunDropout | None,
) -> torch.Tensor:
    """Convolutional layers with the run axis folded into the channels, then (runs, batch, features)."""
    runs = len(activations.names)
    hidden = images.transpose(0, 1).flatten(1, 2)
    groups = 1 if images.shape[0] == 1 else runs
    for number, layer in layers:
        match layer:
            case Conv():
                kernel = params[f"{layer.name}.weight"].flatten(0, 1)
                bias = params[f"{layer.name}.bias"].flatten()
                hidden = F.conv2d(hidden, kernel, bias, stride=layer.stride, groups=groups)
                groups = runs
            case MaxPool():
                hidden = F.max_pool2d(hidden, layer.size)
            case Activation():
                hidden = activations(hidden, axis=1)
            case Dropout() if dropout is not None:
                batch, channels, height, width = hidden.shape
                mask = dropout.mask(number, (batch, channels // runs, height, width))
                hidden = hidden * mask.transpose(0, 1).flatten(1, 2)
            case GlobalAveragePool():
                hidden = hidden.mean((-2, -1))
    return hidden.unflatten(1, (runs, -1)).transpose(0, 1).flatten(2)


def _trunk_per_run(
    layers: _Layers,
    params: dict[str, torch.Tensor],
    images: torch.Tensor,
    activations: RunActivations,
    dropout: RunDropout | None,
) -> torch.Tensor:
    """Convolutional layers run by run, stacked to (runs, batch, features). Channels lie last in memory."""
    by_run = {}
    for name, value in params.items():
        if value.ndim == 5:
            value = value.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
        by_run[name] = value.unbind(0)
    per_run = _channels_last(images)
    masks: dict[int, torch.Tensor] = {}
    outputs = []
    for run, activation in enumerate(activations.names):
        hidden = per_run[0 if len(per_run) == 1 else run]
        for number, layer in layers:
            match layer:
                case Conv():
                    kernel, bias = by_run[f"{layer.name}.weight"][run], by_run[f"{layer.name}.bias"][run]
                    if winograd.covers(layer) and winograd.available(hidden):
                        hidden = winograd.convolve(hidden, kernel, bias)
                    else:
                        hidden = F.conv2d(hidden, kernel, bias, stride=layer.stride)
                case MaxPool():
                    hidden = F.max_pool2d(hidden, layer.size)
                case Activation():
                    hidden = ACTIVATIONS[activation](hidden)
                case Dropout() if dropout is not None:
                    together = max(1, _MASK_ENTRIES // hidden.numel())
                    if run % together == 0:
                        some = slice(run, run + together)
                        masks[number] = dropout.mask(number, tuple(hidden.shape), some)
                    hidden = hidden * masks[number][run % together]
                case GlobalAveragePool():
                    hidden = hidden.mean((-2, -1))
        outputs.append(hidden.flatten(1))
    return torch.stack(outputs)


_TRUNKS = {"grouped": _trunk_grouped, "per_run": _trunk_per_run}


def _channels_last(images: torch.Tensor) -> torch.Tensor:
    """(runs, batch, channels, height, width) with the channels last in memory.

    The detour over a flat view sets the stride of a single channel to 1: by it PyTorch tells the two memory formats
    of grey images apart.
    """
    last = images.permute(0, 1, 3, 4, 2)
    return last.flatten().view(last.shape).permute(0, 1, 4, 2, 3)


def _head(
    layers: _Layers,
    params: dict[str, torch.Tensor],
    hidden: torch.Tensor,
    activations: RunActivations,
    dropout: RunDropout | None,
) -> torch.Tensor:
    """Dense layers: (runs, batch, features) throughout."""
    for number, layer in layers:
        match layer:
            case Activation():
                hidden = activations(hidden)
            case Dropout() if dropout is not None:
                hidden = hidden * dropout.mask(number, tuple(hidden.shape[1:]))
            case Linear():
                weight = params[f"{layer.name}.weight"]
                hidden = torch.bmm(hidden.expand(weight.shape[0], -1, -1), weight.transpose(1, 2))
                if layer.bias:
                    hidden = hidden + params[f"{layer.name}.bias"][:, None, :]
    return hidden
