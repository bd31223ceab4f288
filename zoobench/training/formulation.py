"""Which way a population is computed, and how many runs at a time; logits and gradients by the chosen one.

"lanes", "grouped" and "per_run" are fast and know the networks of their ``Coverage`` only. "functional" knows all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch

from ..errors import ZoobenchError
from ..zoos.layout import layout_of
from ..zoos.spec import Activation, Conv, Dropout, Flatten, GlobalAveragePool, MaxPool, Network
from . import batched, functional, lanes
from .activations import RunActivations
from .coverage import Coverage
from .dropout import RunDropout

# One convolution for all runs or one per run, runs side by side in vector instructions, or modules mapped over runs.
Formulation = Literal["grouped", "per_run", "lanes", "functional"]
FAST: Mapping[Formulation, Coverage] = {
    "grouped": batched.GROUPED,
    "per_run": batched.PER_RUN,
    "lanes": lanes.COVERAGE,
}
CANONICAL = "canonical-1"
_PER_RUN_MULTIPLY_ADDS = 1_900_000
_LANE_WEIGHTS = 40_000
# Entries of feature maps that are made before they are used again in the backward pass.
_FEATURE_ENTRIES = 1 << 22


def _convolutions(network: Network, shape: Sequence[int]) -> Iterator[tuple[Conv, int]]:
    """Each convolution and the positions of its output, for images of a shape (channels, height, width)."""
    _, height, width = shape
    for layer in network.layers:
        match layer:
            case Conv():
                height, width = ((side - layer.kernel) // layer.stride + 1 for side in (height, width))
                yield layer, height * width
            case MaxPool():
                height, width = height // layer.size, width // layer.size
            case Activation() | Dropout():
                pass
            case Flatten() | GlobalAveragePool():
                return
            case _:
                raise ZoobenchError(f"the multiply-adds of a layer {type(layer).__name__} are not known")


def conv_multiply_adds(network: Network, shape: Sequence[int]) -> int:
    """Multiply-adds of the convolutions of one network on one image of a shape (channels, height, width).

    Raises:
        ZoobenchError: a layer before the maps are flattened that no fast formulation knows.
    """
    return sum(
        positions * layer.outputs * layer.inputs * layer.kernel**2 for layer, positions in _convolutions(network, shape)
    )


def conv_outputs(network: Network, shape: Sequence[int]) -> int:
    """Entries of all convolutions' outputs for one image of a shape (channels, height, width).

    Raises:
        ZoobenchError: a layer before the maps are flattened that no fast formulation knows.
    """
    return sum(positions * layer.outputs for layer, positions in _convolutions(network, shape))


def formulation_for(
    network: Network, shape: Sequence[int], batch: int, activations: Sequence[str], device: torch.device
) -> Formulation:
    """Choose the fastest formulation that covers a population: by what ``benchmarks/population.py`` shows.

    On CPU, networks whose weights stay near the processor for all lanes (fully-connected ones of 39,000: 2.5 times as
    fast as grouped, of 78,000: slower) train fastest in lanes, if there is a compiler. They do so however few they are,
    since PyTorch rounds otherwise. Otherwise one convolution per run overtakes the grouped one where a step of one run
    takes about 1.9 million multiply-adds: near batch 10 for the network of 2,464 weights, between 16 and 32 for 4,970,
    at any batch for 75,146. On a GPU one launch for all runs is the point of a population.

    Args:
        network: the declared network.
        shape: of an image, (channels, height, width).
        batch: images of each run in a step.
        activations: names, one per run.
        device: of the weights.
    """
    covered = {name for name, coverage in FAST.items() if coverage.covers(network, activations)}
    small, square = layout_of(network).size <= _LANE_WEIGHTS, shape[-2] == shape[-1]
    if device.type == "cpu" and small and square and "lanes" in covered and lanes.available():
        return "lanes"
    if not {"grouped", "per_run"} <= covered:
        return "functional"
    if device.type != "cpu":
        return "grouped"
    return "per_run" if batch * conv_multiply_adds(network, shape) > _PER_RUN_MULTIPLY_ADDS else "grouped"


def arithmetic_of(formulation: Formulation, device: torch.device) -> str:
    """In which arithmetic a formulation computes, by name: what the bits of a zoo depend on beside its declaration.

    ``canonical-1`` is that of ``native/exact.c``, which is the same on every machine. PyTorch's differs between its
    versions, and between processors.
    """
    if formulation == "lanes":
        return CANONICAL
    return f"torch-{torch.__version__.partition('+')[0]}-{device.type}"


def at_once(formulation: Formulation, network: Network, shape: Sequence[int], batch: int, device: torch.device) -> int:
    """How many runs share a backward pass.

    On CPU with a convolution per run, no more than whose feature maps stay in the cache; together they would only push
    each other out. Lanes and modules see to that themselves.
    """
    if device.type != "cpu" or formulation != "per_run":
        return 1 << 30
    return max(1, _FEATURE_ENTRIES // (batch * conv_outputs(network, shape) or 1))


def forward(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    activations: RunActivations,
    formulation: Formulation,
    dropout: RunDropout | None = None,
) -> torch.Tensor:
    """Logits of every run.

    Args:
        network: the declared network.
        weights: (runs, N).
        images: (runs, batch, channels, height, width), or (1, batch, ...) for images that all runs share.
        activations: one per run.
        formulation: with "lanes" no gradient flows (for that, ``gradient``).
        dropout: the masks of a training step; ``None`` for evaluation.

    Returns:
        (runs, batch, classes).

    Raises:
        ZoobenchError: the formulation does not cover the network or an activation.
    """
    match formulation:
        case "lanes":
            runs, batch = images.shape[:2]
            chosen = None if runs == 1 else torch.arange(runs * batch).view(runs, batch)
            return lanes.logits(network, weights, images.flatten(0, 1), activations.names, dropout, chosen)
        case "functional":
            return functional.logits(network, weights, images, activations.names, dropout)
        case "grouped" | "per_run":
            return batched.forward(network, weights, images, activations, formulation, dropout)


def gradient(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    chosen: torch.Tensor,
    sizes: torch.Tensor,
    activations: RunActivations,
    formulation: Formulation,
    dropout: RunDropout | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients (runs, N) of each run's mean cross-entropy on its own batch, and how many images of it have their label
    as the most likely class: (runs,) int64.

    Args:
        network: the declared network.
        weights: (runs, N).
        images: (n, channels, height, width).
        labels: (n,) int64.
        chosen: (runs, batch) int64, indices of images; behind a run's own batch the rest is padding.
        sizes: (runs, 1) int64, images in each run's batch.
        activations: one per run.
        formulation: how it is computed.
        dropout: the masks of this training step, or ``None``.

    Raises:
        ZoobenchError: the formulation does not cover the network or an activation.
    """
    data = images, labels, chosen, sizes
    match formulation:
        case "lanes":
            return lanes.gradient(network, weights, *data, activations.names, dropout)
        case "functional":
            return functional.gradient(network, weights, *data, activations.names, dropout)
        case "grouped" | "per_run":
            return batched.gradient(network, weights, *data, activations, formulation, dropout)
