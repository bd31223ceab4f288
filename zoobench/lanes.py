"""Convolutions of sixteen networks at once, which lie side by side in memory: for CPUs, where networks are tiny.

A vector instruction does the same for sixteen networks, so that it is full whatever the numbers of channels and images
are. Tensors have the run last and the channels before it: (batch, height, width, channels, runs). The loops are C code
(``native/lanes.c``), in single and double precision.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from . import streams
from .native import library
from .zoos.spec import Activation, Conv, Dropout, GlobalAveragePool, Layer, MaxPool

if TYPE_CHECKING:
    from .nets import RunActivations, RunDropout

LANES = 16
# As numbered in the C code.
KINDS = ("relu", "tanh", "sigmoid", "gelu", "identity")
_REALS = {torch.float32: "float", torch.float64: "double"}


class _Shape(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int) for name in ("images", "height", "width", "inputs", "outputs", "kernel", "stride")
    )


def available() -> bool:
    """Whether this machine compiles the C code."""
    return library("lanes", "REAL=float") is not None


def call(source: str, function: str, tensors: Sequence[torch.Tensor], *further: object) -> int:
    """Call a C function with the addresses of contiguous tensors of one precision. The interpreter's lock is free."""
    compiled = library(source, f"REAL={_REALS[tensors[0].dtype]}")
    assert compiled is not None
    assert all(tensor.is_contiguous() for tensor in tensors)
    returned: int = getattr(compiled, function)(*map(address, tensors), *further)
    return returned


_call = functools.partial(call, "lanes")


def address(tensor: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


class _Convolution(torch.autograd.Function):
    """(batch, height, width, inputs, runs), kernel (kernel, kernel, inputs, outputs, runs), bias (outputs, runs)."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor, stride: int) -> torch.Tensor:
        batch, height, width, inputs, _ = images.shape
        size, outputs = kernel.shape[0], kernel.shape[3]
        high, wide = ((side - size) // stride + 1 for side in (height, width))
        ctx.save_for_backward(images, kernel)
        ctx.shape = _Shape(batch, height, width, inputs, outputs, size, stride)
        found = images.new_empty(batch, high, wide, outputs, LANES)
        _call("conv_forward", (images, kernel, bias, found), ctypes.byref(ctx.shape))
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, kernel = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        of_kernel, of_bias = torch.zeros_like(kernel), gradient.new_zeros(kernel.shape[3:])
        _call("conv_backward_weights", (images, gradient, of_kernel, of_bias), ctypes.byref(ctx.shape))
        of_images = None
        if ctx.needs_input_grad[0]:
            of_images = torch.empty_like(images)
            _call("conv_backward_inputs", (gradient, kernel, of_images), ctypes.byref(ctx.shape))
        return of_images, of_kernel, of_bias, None


class _MaxPool(torch.autograd.Function):
    """(batch, height, width, channels, runs); of equal entries the first gets the gradient, as in PyTorch."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, size: int) -> torch.Tensor:
        batch, height, width, channels, _ = images.shape
        found = images.new_empty(batch, height // size, width // size, channels, LANES)
        ctx.which = torch.empty(found.shape, dtype=torch.int32)
        ctx.like = images.shape
        ctx.shape = _Shape(batch, height, width, channels, channels, size, size)
        _call("pool_forward", (images, found), address(ctx.which), ctypes.byref(ctx.shape))
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        of_images = gradient.new_empty(ctx.like)
        _call("pool_backward", (gradient, of_images), address(ctx.which), ctypes.byref(ctx.shape))
        return of_images, None


class _Activation(torch.autograd.Function):
    """Activation and dropout of (batch, ..., runs); the further arguments are those of the C functions."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, kinds: torch.Tensor, masks: _Masks | None) -> torch.Tensor:
        ctx.save_for_backward(hidden)
        features = hidden[0].numel() // LANES
        ctx.further = (
            ctypes.c_int64(len(hidden) * features),
            address(kinds),
            ctypes.c_int64(masks.first * features if masks else 0),
            *(map(address, masks.tensors) if masks else (None, None, None)),
        )
        ctx.alive = kinds, masks
        found = torch.empty_like(hidden)
        _call("activation_forward", (hidden, found), *ctx.further)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (hidden,) = ctx.saved_tensors
        of_hidden = torch.empty_like(hidden)
        _call("activation_backward", (hidden, gradients[0].contiguous(), of_hidden), *ctx.further)
        return of_hidden, None, None


@dataclass(frozen=True)
class _Masks:
    """Dropout of the lanes in one layer: key, least draw that is kept, and scale (``RunDropout``) of each lane."""

    first: int
    tensors: tuple[torch.Tensor, ...]


def _masks(dropout: RunDropout, layer: int, dtype: torch.dtype) -> _Masks:
    keys = torch.zeros(LANES, dtype=torch.int64)
    least, scale = torch.zeros(LANES, dtype=torch.int16), torch.zeros(LANES, dtype=dtype)
    runs = len(dropout.seeds)
    keys[:runs] = streams.keys(dropout.seeds, dropout.purpose(layer), dropout.step)
    least[:runs], scale[:runs] = dropout.thresholds()
    return _Masks(dropout.first, (keys, least, scale))


def _padded(values: torch.Tensor) -> torch.Tensor:
    """(runs, ...) to (..., lanes), with zeros for the lanes that are left over."""
    last = values.movedim(0, -1)
    return F.pad(last, (0, LANES - last.shape[-1])).contiguous()


def trunk(
    layers: Sequence[tuple[int, Layer]],
    params: dict[str, torch.Tensor],
    images: torch.Tensor,
    activations: RunActivations,
    dropout: RunDropout | None,
) -> torch.Tensor:
    """Convolutional layers of at most ``LANES`` runs, then (runs, batch, features).

    Args:
        layers: numbered as in the network.
        params: (runs, *shape) each.
        images: (runs or 1, batch, channels, height, width).
        activations: one per run.
        dropout: masks of these runs, or ``None``.
    """
    runs = len(activations.names)
    identity = torch.full((LANES,), KINDS.index("identity"), dtype=torch.int32)
    kinds = identity.clone()
    kinds[:runs] = torch.tensor([KINDS.index(name) for name in activations.names])
    by_number = dict(layers)
    # One after the other, so that what is copied to lanes is the transpose of a matrix, which PyTorch does fast.
    rows = images.permute(0, 1, 3, 4, 2).expand(runs, *(-1,) * 4)
    hidden = F.pad(rows.reshape(runs, -1).t(), (0, LANES - runs)).contiguous().view(*rows.shape[1:], LANES)
    for number, layer in layers:
        match layer:
            case Conv():
                kernel = _padded(params[f"{layer.name}.weight"].permute(0, 3, 4, 2, 1))
                hidden = _Convolution.apply(hidden, kernel, _padded(params[f"{layer.name}.bias"]), layer.stride)
            case MaxPool():
                hidden = _MaxPool.apply(hidden, layer.size)
            case Activation():
                # What is dropped behind an activation is dropped in one pass with it.
                dropped = dropout if isinstance(by_number.get(number + 1), Dropout) else None
                masks = dropped and _masks(dropped, number + 1, hidden.dtype)
                hidden = _Activation.apply(hidden, kinds, masks)
            case Dropout() if dropout is not None and not isinstance(by_number.get(number - 1), Activation):
                hidden = _Activation.apply(hidden, identity, _masks(dropout, number, hidden.dtype))
            case GlobalAveragePool():
                hidden = hidden.mean((1, 2))
    if hidden.ndim == 5:
        hidden = hidden.permute(0, 3, 1, 2, 4)
    return hidden[..., :runs].movedim(-1, 0).flatten(2)
