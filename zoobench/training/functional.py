"""A population by ``torch.func`` over the modules of ``nets``: slower than the other formulations, of every network.

What a layer means is said there once; here it is mapped over the runs. Hence this is what computes whatever no faster
formulation knows, and what the faster ones must equal.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from ..errors import ZoobenchError
from ..zoos.layout import layout_of
from ..zoos.spec import Dropout, Network
from .dropout import RunDropout
from .nets import module

# Entries of all feature maps of the runs that are computed at once.
_FEATURE_ENTRIES = 1 << 26

# (weights (N,), images (batch, ...), dropout masks by name) -> logits (batch, classes)
_Function = Callable[[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]], torch.Tensor]


class _Masked(nn.Module):
    """Dropout with the mask that it is given."""

    mask: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.empty(()))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden * self.mask


def logits(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    activations: Sequence[str],
    dropout: RunDropout | None = None,
) -> torch.Tensor:
    """Logits (runs, batch, classes) of every run.

    Args:
        network: the declared network.
        weights: (runs, N).
        images: (runs, batch, channels, height, width), or (1, batch, ...) for images that all runs share.
        activations: names, one per run.
        dropout: the masks of a training step; ``None`` for evaluation.

    Raises:
        ZoobenchError: unknown layer or activation, or images that the network does not take.
    """
    shared = len(images) == 1
    found = []
    for part, function, masks in _pieces(network, activations, images.shape[1:], dropout):
        mapped = vmap(function, in_dims=(0, None if shared else 0, 0))
        found.append(mapped(weights[part], images[0] if shared else images[part], masks))
    return torch.cat(found)


def gradient(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    chosen: torch.Tensor,
    sizes: torch.Tensor,
    activations: Sequence[str],
    dropout: RunDropout | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients (runs, N) of each run's mean cross-entropy on its own batch, and its correct images (runs,); all as of
    ``formulation.gradient``.

    Raises:
        ZoobenchError: unknown layer or activation, or images that the network does not take.
    """
    counts = torch.arange(chosen.shape[1], device=chosen.device) < sizes
    shares = counts.to(weights.dtype) / sizes
    found, right = [], []
    for part, function, masks in _pieces(network, activations, (chosen.shape[1], *images.shape[1:]), dropout):
        which = chosen[part]
        own = weights[part].detach(), images[which], masks, labels[which], shares[part]
        gradients, chosen_class = vmap(grad(_loss_of(function), has_aux=True))(*own)
        found.append(gradients)
        right.append(((chosen_class == labels[which]) & counts[part]).sum(1))
    return torch.cat(found), torch.cat(right)


def _loss_of(function: _Function) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """The loss of a batch, and the most likely class of each of its images."""

    def loss(
        weights: torch.Tensor,
        images: torch.Tensor,
        masks: dict[str, torch.Tensor],
        labels: torch.Tensor,
        shares: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = function(weights, images, masks)
        return (F.cross_entropy(logits, labels, reduction="none") * shares).sum(), logits.argmax(1)

    return loss


def _pieces(
    network: Network, activations: Sequence[str], shape: Sequence[int], dropout: RunDropout | None
) -> Iterator[tuple[slice, _Function, dict[str, torch.Tensor]]]:
    """Consecutive runs with one activation, not too many: which they are, their network and their dropout masks.

    ``shape`` is of one run's images, (batch, channels, height, width).
    """
    end = 0
    for name, group in itertools.groupby(activations):
        start, end = end, end + len(list(group))
        model, shapes = _prepared(network, name, dropout is not None, tuple(shape), threading.get_ident())
        together = max(1, _FEATURE_ENTRIES // sum(map(math.prod, shapes)))
        for first in range(start, end, together):
            part = slice(first, min(first + together, end))
            masks = {}
            if dropout is not None:
                masks = {
                    f"{key}.mask": dropout.mask(number, shapes[number], part)
                    for number, (key, child) in enumerate(model.named_children())
                    if isinstance(child, _Masked)
                }
            yield part, _function_of(network, model), masks


@functools.lru_cache
def _prepared(
    network: Network, activation: str, masked: bool, shape: tuple[int, ...], thread: int
) -> tuple[nn.Sequential, list[tuple[int, ...]]]:
    """A network without memory of its own, since its parameters come from outside, and ``_shapes`` of it.

    A call puts them into it for as long as it lasts, so that each ``thread`` has one.
    """
    with torch.device("meta"):
        model = module(network, activation).train(masked)
        if masked:
            for number, layer in enumerate(network.layers):
                if isinstance(layer, Dropout):
                    model[number] = _Masked()
        return model, _shapes(model, shape)


def _shapes(model: nn.Sequential, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Of images of a shape (batch, channels, height, width), and of what each layer makes of them.

    Raises:
        ZoobenchError: images that the network does not take, or what it makes of them is no logits of each.
    """
    batch, *each = shape
    hidden = torch.empty(batch + 1, *each)  # never 1, which a layer may take for something else
    found = [tuple(shape)]
    for part in model:
        try:
            hidden = part(hidden)
        except (RuntimeError, IndexError, ValueError) as error:  # what torch raises for shapes, layer by layer
            reason = str(error).splitlines()[0]
            raise ZoobenchError(f"the network does not take images of shape {tuple(each)}: {reason}") from error
        if len(hidden) != batch + 1:
            raise ZoobenchError(f"{type(part).__name__} does not treat each image of shape {tuple(each)} alone")
        found.append((batch, *hidden.shape[1:]))
    if len(found[-1]) != 2:
        raise ZoobenchError(f"the network gives {found[-1][1:]} for an image; logits are one per class")
    return found


def _function_of(network: Network, model: nn.Sequential) -> _Function:
    tensors = layout_of(network).tensors

    def function(weights: torch.Tensor, images: torch.Tensor, masks: dict[str, torch.Tensor]) -> torch.Tensor:
        parameters = {tensor.name: weights[tensor.slice].view(tensor.shape) for tensor in tensors}
        found: torch.Tensor = functional_call(model, parameters | masks, (images,), strict=True)
        return found

    return function
