"""Gradients of networks that have dense layers only, sixteen networks at a time: for CPUs (see ``lanes``).

A network of 100 weights is so small that each of PyTorch's calls for a whole population takes longer than its
arithmetic; here one call of C code (``native/dense.c``) does forward pass, loss and backward pass.
"""

from __future__ import annotations

import ctypes

import torch

from . import lanes
from .zoos.spec import Activation, Flatten, Linear, Network


class _Layer(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int) for name in ("inputs", "outputs", "biased", "activated"))


def only_dense(network: Network) -> bool:
    """Whether a network is ``Flatten`` and then ``Linear`` layers, each with at most one activation behind it."""
    first, *rest = network.layers
    kinds = [type(layer) for layer in rest]
    fine = all(
        kind is Linear or (kind is Activation and before is Linear)
        for kind, before in zip(kinds, [None, *kinds], strict=False)
    )
    return isinstance(first, Flatten) and bool(rest) and fine


def gradient(
    network: Network,
    weights: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    chosen: torch.Tensor,
    sizes: torch.Tensor,
    activations: tuple[str, ...],
) -> torch.Tensor:
    """Gradients (runs, N) of each run's mean cross-entropy on its own batch.

    Args:
        network: one for which ``only_dense`` holds.
        weights: (runs, N), float32 or float64.
        images: (n, ...) of the same precision.
        labels: (n,) int64.
        chosen: (runs, batch) int64, indices of images; behind a run's own batch the rest is padding.
        sizes: (runs, 1) int64, images in each run's batch.
        activations: names, one per run.

    Raises:
        MemoryError: none is left for one group of networks.
    """
    behind = {
        id(before)
        for before, layer in zip(network.layers, network.layers[1:], strict=False)
        if isinstance(layer, Activation)
    }
    stack = [
        _Layer(layer.inputs, layer.outputs, layer.bias, id(layer) in behind)
        for layer in network.layers
        if isinstance(layer, Linear)
    ]
    kinds = torch.tensor([lanes.KINDS.index(name) for name in activations], dtype=torch.int32)
    found = torch.empty_like(weights, memory_format=torch.contiguous_format)
    parts = [part.contiguous() for part in (labels, chosen, sizes, kinds)]
    failed = lanes.call(
        "dense",
        "dense_gradient",
        (weights.contiguous(), images.contiguous(), found),
        *map(lanes.address, parts),
        ctypes.c_int64(chosen.shape[0]),
        ctypes.c_int64(chosen.shape[1]),
        (_Layer * len(stack))(*stack),
        len(stack),
    )
    if failed:
        raise MemoryError("no memory is left for a group of networks")
    return found
