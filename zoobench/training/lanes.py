"""Sixteen networks at once, which lie side by side in memory: for CPUs, where networks are tiny.

A vector instruction does the same for sixteen networks, so that it is full whatever the numbers of channels and images
are. Forward pass, loss and backward pass of all runs are one call of C code, a few images at a time so that what is
computed stays in the cache: ``native/networks.c``, on the loops of ``native/lanes.c``, in single and double precision.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence

import torch

from ..errors import ZoobenchError
from ..native import Layer, library
from ..zoos.layout import layout_of
from ..zoos.spec import Activation, Conv, Dropout, Flatten, GlobalAveragePool, Linear, MaxPool, Network
from . import streams
from .coverage import MAPS, VECTORS, Coverage
from .dropout import RunDropout

LANES = 16
# As numbered in the C code.
_ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu")
_CONVOLUTION, _POOL, _POINTWISE, _MEAN = range(4)
REALS = {torch.float32: "float", torch.float64: "double"}

_FLATTENED = "flattened maps"
# Maps have their channels last here, so that draws of dropout would be numbered otherwise once they are flattened.
COVERAGE = Coverage(
    "lanes",
    {
        MAPS: {
            Conv: MAPS,
            MaxPool: MAPS,
            Activation: MAPS,
            Dropout: MAPS,
            Flatten: _FLATTENED,
            GlobalAveragePool: VECTORS,
        },
        _FLATTENED: {Linear: VECTORS, Activation: _FLATTENED, Flatten: _FLATTENED},
        VECTORS: {Linear: VECTORS, Activation: VECTORS, Dropout: VECTORS, Flatten: VECTORS},
    },
    frozenset(_ACTIVATIONS),
)


def available() -> bool:
    """Whether this machine compiles the C code."""
    return library("networks", "REAL=float") is not None


def logits(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    activations: Sequence[str],
    dropout: RunDropout | None = None,
    chosen: torch.Tensor | None = None,
) -> torch.Tensor:
    """Logits (runs, batch, classes) of every run; no gradient flows through them.

    Args:
        network: one that is covered.
        weights: (runs, N), float32 or float64.
        images: (n, channels, height, width) of the same precision.
        activations: names, one per run.
        dropout: the masks of a training step; ``None`` for evaluation.
        chosen: (runs, batch) int64, indices of each run's images; ``None`` for all of them.

    Raises:
        ZoobenchError: a network or an activation that is not covered.
        ValueError: arrays that do not fit the network or each other.
    """
    COVERAGE.check(network, activations)
    batch = len(images) if chosen is None else chosen.shape[1]
    found = weights.new_empty(len(weights), batch, _outputs(network, images))
    _call(network, weights.detach(), images, found, activations, batch, chosen=chosen, dropout=dropout)
    return found


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
    """Gradients (runs, N) of each run's mean cross-entropy on its own batch, and how many images of it have their label
    as the most likely class: (runs,) int64.

    Args:
        network: one that is covered.
        weights: (runs, N), float32 or float64.
        images: (n, channels, height, width) of the same precision.
        labels: (n,) int64.
        chosen: (runs, batch) int64, indices of images; behind a run's own batch the rest is padding.
        sizes: (runs, 1) int64, images in each run's batch.
        activations: names, one per run.
        dropout: the masks of this training step, or ``None``.

    Raises:
        ZoobenchError: a network or an activation that is not covered.
        ValueError: arrays that do not fit the network or each other.
    """
    COVERAGE.check(network, activations)
    found = torch.empty_like(weights, memory_format=torch.contiguous_format)
    correct = torch.zeros(len(weights), dtype=torch.int64)
    _call(network, weights, images, found, activations, chosen.shape[1], labels, chosen, sizes, dropout, correct)
    return found, correct


def scores(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    activations: Sequence[str],
    chosen: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of each run's cross-entropies in nats, (runs,) float64, and how many images of each class are predicted,
    are there, and are both: (runs, 3, outputs) int64. Of equal logits the first counts.

    Args:
        network: one that is covered.
        weights: (runs, N), float32 or float64.
        images: (n, channels, height, width) of the same precision.
        labels: (n,) int64.
        activations: names, one per run.
        chosen: (runs, count) int64, indices of each run's images; ``None`` for all of them.

    Raises:
        ZoobenchError: a network or an activation that is not covered.
        ValueError: arrays that do not fit the network or each other, or a label that is no output of the network.
    """
    COVERAGE.check(network, activations)
    losses = torch.zeros(len(weights), dtype=torch.float64)
    outputs = _outputs(network, images)
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < outputs:
        raise ValueError(f"labels are {int(labels.min())} to {int(labels.max())}; the network has {outputs} outputs")
    tallies = torch.zeros(len(weights), 3, outputs, dtype=torch.int64)
    batch = len(images) if chosen is None else chosen.shape[1]
    out = weights.new_empty(0)
    _call(*(network, weights.detach(), images, out, activations, batch, labels, chosen), losses=losses, tallies=tallies)
    return losses, tallies


def _outputs(network: Network, images: torch.Tensor) -> int:
    outputs = (layer.outputs for layer in reversed(network.layers) if isinstance(layer, Conv | Linear))
    return next(outputs, int(images.shape[-3]))


@functools.lru_cache
def _layers(network: Network, shape: tuple[int, ...], masked: bool) -> ctypes.Array[Layer]:
    """The network's layers as the C code has them, for images of a shape (channels, height, width).

    A dense layer is a convolution whose kernel is as large as the map, and dropout behind an activation is one with it.
    Layers of dropout are left out if nothing is ``masked``.

    Raises:
        ValueError: images that the network does not take.
    """
    offsets = {tensor.name: tensor.offset for tensor in layout_of(network).tensors}
    channels, height, width = shape
    found: list[Layer] = []
    masks = 0
    for number, layer in enumerate(network.layers):
        here = Layer(height=height, width=width, inputs=channels, outputs=channels, kernel=1, stride=1, dropout=-1)
        match layer:
            case Flatten():
                continue
            case Conv() | Linear():
                taken = channels if isinstance(layer, Conv) else channels * height * width
                fits = layer.kernel <= min(height, width) if isinstance(layer, Conv) else height == width
                if layer.inputs != taken or not fits:
                    raise ValueError(
                        f"{layer.name} takes {layer.inputs} inputs, and images of shape {shape} come to it as "
                        f"{channels} maps of {height} x {width}; dense layers need square ones, others a kernel's size"
                    )
                here.kind, here.outputs = _CONVOLUTION, layer.outputs
                here.kernel, here.stride = (layer.kernel, layer.stride) if isinstance(layer, Conv) else (height, 1)
                here.offset, here.biased = offsets[f"{layer.name}.weight"], isinstance(layer, Conv) or layer.bias
                height, width = ((side - here.kernel) // here.stride + 1 for side in (height, width))
            case MaxPool():
                if layer.size > min(height, width):
                    raise ValueError(f"a pool of size {layer.size} does not fit maps of {height} x {width}")
                here.kind, here.kernel, here.stride = _POOL, layer.size, layer.size
                height, width = height // layer.size, width // layer.size
            case Activation():
                here.kind, here.activated = _POINTWISE, 1
            case Dropout():
                if not masked:
                    continue
                behind = number and isinstance(network.layers[number - 1], Activation)
                here = found.pop() if behind else here
                here.kind, here.dropout = _POINTWISE, masks
                masks += 1
            case GlobalAveragePool():
                here.kind = _MEAN
                height = width = 1
            case _:
                raise ZoobenchError(f"the C code does not know the layer {type(layer).__name__}")
        channels = here.outputs
        found.append(here)
    return (Layer * len(found))(*found)


def _check(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    activations: Sequence[str],
    labels: torch.Tensor | None,
    chosen: torch.Tensor | None,
    sizes: torch.Tensor | None,
) -> None:
    size = layout_of(network).size
    if weights.ndim != 2 or weights.shape[1] != size or weights.dtype not in REALS:
        raise ValueError(f"weights are {weights.dtype} {tuple(weights.shape)}; the network takes reals (runs, {size})")
    if images.ndim != 4 or images.dtype != weights.dtype:
        raise ValueError(
            f"images are {images.dtype} {tuple(images.shape)}; "
            f"these weights take {weights.dtype} (n, channels, height, width)"
        )
    if len(activations) != len(weights):
        raise ValueError(f"{len(activations)} activations for {len(weights)} runs; give one per run")
    if chosen is not None and chosen.numel():
        low, high = int(chosen.min()), int(chosen.max())
        if len(chosen) != len(weights) or chosen.dtype != torch.int64 or low < 0 or high >= len(images):
            raise ValueError(
                f"chosen is {chosen.dtype} {tuple(chosen.shape)} from {low} to {high}; "
                f"{len(weights)} runs choose by int64 among {len(images)} images"
            )
    for name, whole, count in (("labels", labels, len(images)), ("sizes", sizes, len(weights))):
        if whole is not None and (whole.dtype != torch.int64 or whole.numel() != count):
            raise ValueError(f"{name} are {whole.dtype} {tuple(whole.shape)}; give {count} int64")


def _call(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    out: torch.Tensor,
    activations: Sequence[str],
    batch: int,
    labels: torch.Tensor | None = None,
    chosen: torch.Tensor | None = None,
    sizes: torch.Tensor | None = None,
    dropout: RunDropout | None = None,
    correct: torch.Tensor | None = None,
    losses: torch.Tensor | None = None,
    tallies: torch.Tensor | None = None,
) -> None:
    """Call the C function ``networks``; the interpreter's lock is free meanwhile.

    Raises:
        ValueError: arrays that do not fit the network or each other: the C code reads what it is told to.
        MemoryError: none is left for one group of networks.
    """
    runs = len(weights)
    _check(network, weights, images, activations, labels, chosen, sizes)
    compiled = library("networks", f"REAL={REALS[weights.dtype]}")
    assert compiled is not None
    kinds = torch.tensor([_ACTIVATIONS.index(name) for name in activations], dtype=torch.int32)
    keys = least = scale = None
    numbers = [number for number, layer in enumerate(network.layers) if isinstance(layer, Dropout)]
    if dropout is not None and numbers:
        purposes = map(dropout.purpose, numbers)
        keys = torch.stack([streams.keys(dropout.seeds, purpose, dropout.step) for purpose in purposes])
        least, scale = dropout.thresholds()
        scale = scale.to(weights.dtype)
    layers = _layers(network, tuple(images.shape[-3:]), masked=keys is not None)
    given = (weights, images, out, scale, labels, chosen, sizes, kinds, keys, least, correct, losses, tallies)
    arrays = [None if array is None else array.contiguous() for array in given]
    devices = {array.device.type for array in arrays if array is not None}
    if devices != {"cpu"}:
        raise ValueError(f"arrays are on {', '.join(sorted(devices))}; lanes run on CPUs")
    failed = compiled.networks(
        *(None if array is None else array.data_ptr() for array in arrays),
        runs,
        batch,
        layers,
        len(layers),
    )
    if failed:
        raise MemoryError("no memory is left for a group of networks")
