"""A population by PyTorch's own batched operations, through which gradients flow.

Dense layers are batched products of matrices over the run axis. Convolutions are one call for all runs ("grouped") or
one per run ("per_run").
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional as F

from ..errors import ZoobenchError
from ..zoos.layout import layout_of
from ..zoos.spec import Activation, Conv, Dropout, Flatten, GlobalAveragePool, Layer, Linear, MaxPool, Network
from . import winograd
from .activations import RunActivations
from .coverage import MAPS, VECTORS, Coverage
from .dropout import RunDropout

Batched = Literal["grouped", "per_run"]

_LAYERS = {
    MAPS: {Conv: MAPS, MaxPool: MAPS, Activation: MAPS, Dropout: MAPS, Flatten: VECTORS, GlobalAveragePool: VECTORS},
    VECTORS: {Linear: VECTORS, Activation: VECTORS, Dropout: VECTORS, Flatten: VECTORS},
}
_ACTIVATIONS = frozenset({"relu", "tanh", "sigmoid", "gelu"})
GROUPED = Coverage("grouped", _LAYERS, _ACTIVATIONS)
PER_RUN = Coverage("per_run", _LAYERS, _ACTIVATIONS)

# Dropout masks drawn in one go: as many runs' as stay in the processor's cache.
_MASK_ENTRIES = 1 << 18

_Layers = list[tuple[int, Layer]]


def forward(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    activations: RunActivations,
    formulation: Batched,
    dropout: RunDropout | None = None,
) -> torch.Tensor:
    """Logits (runs, batch, classes) of every run.

    Args:
        network: one that is covered.
        weights: (runs, N).
        images: (runs, batch, channels, height, width), or (1, batch, ...) for images that all runs share.
        activations: one per run.
        formulation: of the convolutions.
        dropout: the masks of a training step; ``None`` for evaluation.

    Raises:
        ZoobenchError: a network or an activation that is not covered.
    """
    coverage, trunk = {"grouped": (GROUPED, _trunk_grouped), "per_run": (PER_RUN, _trunk_per_run)}[formulation]
    coverage.check(network, activations.names)
    tensors = layout_of(network).tensors
    flat = weights.split([tensor.size for tensor in tensors], dim=1)
    params = {t.name: part.reshape(-1, *t.shape) for t, part in zip(tensors, flat, strict=True)}
    numbered = list(enumerate(network.layers))
    dense = 1 + next(i for i, layer in numbered if isinstance(layer, Flatten | GlobalAveragePool))
    if isinstance(network.layers[0], Flatten):
        hidden = images.flatten(2)
    else:
        hidden = trunk(numbered[:dense], params, images, activations, dropout)
    return _head(numbered[dense:], params, hidden, activations, dropout)


def gradient(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    chosen: torch.Tensor,
    sizes: torch.Tensor,
    activations: RunActivations,
    formulation: Batched,
    dropout: RunDropout | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients (runs, N) of each run's mean cross-entropy on its own batch, and its correct images (runs,); all as of
    ``formulation.gradient``.

    Raises:
        ZoobenchError: a network or an activation that is not covered.
    """
    leaf = weights.detach().requires_grad_()
    logits = forward(network, leaf, images[chosen], activations, formulation, dropout)
    losses = F.cross_entropy(logits.flatten(0, 1), labels[chosen].flatten(), reduction="none")
    counts = torch.arange(chosen.shape[1], device=chosen.device) < sizes
    shares = counts.to(weights.dtype) / sizes
    correct = ((logits.argmax(2) == labels[chosen]) & counts).sum(1)
    return torch.autograd.grad(losses, leaf, grad_outputs=shares.flatten())[0], correct


def _trunk_grouped(
    layers: _Layers,
    params: dict[str, torch.Tensor],
    images: torch.Tensor,
    activations: RunActivations,
    dropout: RunDropout | None,
) -> torch.Tensor:
    """Convolutional layers with the run axis folded into the channels, then (runs, batch, features)."""
    runs = len(activations.names)
    if not isinstance(layers[0][1], Conv):
        images = images.expand(runs, -1, -1, -1, -1)
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
            case Dropout():
                if dropout is not None:
                    batch, channels, height, width = hidden.shape
                    mask = dropout.mask(number, (batch, channels // runs, height, width))
                    hidden = hidden * mask.transpose(0, 1).flatten(1, 2)
            case GlobalAveragePool():
                hidden = hidden.mean((-2, -1))
            case Flatten():
                pass
            case _:
                raise _unknown(layer)
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
    for run, activation in enumerate(activations.functions):
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
                    hidden = activation(hidden)
                case Dropout():
                    if dropout is not None:
                        together = max(1, _MASK_ENTRIES // hidden.numel())
                        if run % together == 0:
                            some = slice(run, run + together)
                            masks[number] = dropout.mask(number, tuple(hidden.shape), some)
                        hidden = hidden * masks[number][run % together]
                case GlobalAveragePool():
                    hidden = hidden.mean((-2, -1))
                case Flatten():
                    pass
                case _:
                    raise _unknown(layer)
        outputs.append(hidden.flatten(1))
    return torch.stack(outputs)


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
    hidden = hidden.expand(len(activations.names), -1, -1)
    for number, layer in layers:
        match layer:
            case Activation():
                hidden = activations(hidden)
            case Dropout():
                if dropout is not None:
                    hidden = hidden * dropout.mask(number, tuple(hidden.shape[1:]))
            case Linear():
                weight = params[f"{layer.name}.weight"]
                hidden = torch.bmm(hidden, weight.transpose(1, 2))
                if layer.bias:
                    hidden = hidden + params[f"{layer.name}.bias"][:, None, :]
            case Flatten():
                pass
            case _:
                raise _unknown(layer)
    return hidden


def _unknown(layer: Layer) -> ZoobenchError:
    return ZoobenchError(f"a population does not know the layer {type(layer).__name__} where it stands")
