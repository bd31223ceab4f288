"""Which way convolutions over the run axis are computed, and how many runs and images at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch

from ..zoos.layout import layout_of
from ..zoos.spec import Conv, MaxPool, Network
from . import lanes

# One call for all runs, one convolution per run, or runs side by side in vector instructions.
ConvFormulation = Literal["grouped", "per_run", "lanes"]
_PER_RUN_MULTIPLY_ADDS = 1_900_000
_LANE_WEIGHTS = 40_000
# Entries of feature maps that are made before they are used again in the backward pass.
_FEATURE_ENTRIES = 1 << 22


def _convolutions(network: Network, side: int) -> Iterator[tuple[Conv, int]]:
    """Each convolution and the side of its output, for images of ``side`` x ``side`` pixels."""
    for layer in network.layers:
        match layer:
            case Conv():
                side = (side - layer.kernel) // layer.stride + 1
                yield layer, side
            case MaxPool():
                side //= layer.size


def conv_multiply_adds(network: Network, side: int) -> int:
    """Multiply-adds of the convolutions of one network on one image of ``side`` x ``side`` pixels."""
    return sum(
        out * out * layer.outputs * layer.inputs * layer.kernel**2 for layer, out in _convolutions(network, side)
    )


def conv_outputs(network: Network, side: int) -> int:
    """Entries of all convolutions' outputs for one image."""
    return sum(out * out * layer.outputs for layer, out in _convolutions(network, side))


def conv_formulation(network: Network, side: int, batch: int, runs: int, device: torch.device) -> ConvFormulation:
    """Choose how convolutions over the run axis are computed: by what ``benchmarks/population.py`` shows.

    On CPU, networks whose weights stay near the processor for all lanes (fully-connected ones of 39,000: 2.5 times as
    fast as grouped, of 78,000: slower) train fastest in lanes, if half of them are filled and there is a compiler.
    Otherwise one convolution per run overtakes the grouped one where a step of one run takes about 1.9 million
    multiply-adds: near batch 10 for the network of 2,464 weights, between 16 and 32 for 4,970, at
    any batch for 75,146. On a GPU one launch for all runs is the point of a population.
    """
    if device.type != "cpu":
        return "grouped"
    small = layout_of(network).size <= _LANE_WEIGHTS
    if 2 * runs >= lanes.LANES and small and lanes.covers(network) and lanes.available():
        return "lanes"
    work = batch * conv_multiply_adds(network, side)
    return "per_run" if work > _PER_RUN_MULTIPLY_ADDS else "grouped"


def at_once(conv: ConvFormulation, network: Network, side: int, batch: int, device: torch.device) -> int:
    """How many runs share a backward pass.

    On CPU with a convolution per run, no more than whose feature maps stay in the cache; together they would only push
    each other out. Lanes see to that themselves.
    """
    outputs = conv_outputs(network, side)
    if device.type != "cpu" or conv != "per_run" or not outputs:
        return 1 << 30
    return max(1, _FEATURE_ENTRIES // (batch * outputs))
