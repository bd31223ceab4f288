"""Convolutions with kernels of 3x3 by Winograd's minimal filtering F(2x2, 3x3): for CPUs, where channels are many.

A tile of 4x4 inputs and a kernel, both transformed, are multiplied entry by entry: 16 products for 2x2 outputs where
the definition has 36. Over channels the products are sixteen products of matrices, for the output as for both
gradients (Lavin & Gray 2016, Fast Algorithms for Convolutional Neural Networks, sec. 4.1). A few images at a time go
through all of it, so that their tiles stay in the processor's cache; the transforms are ``native/winograd.c``.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from ..native import library
from ..zoos.spec import Conv, Layer
from .lanes import LANES, REALS

# Of fewer, products of matrices are too small: with 32 PyTorch's convolutions are as fast or faster, with 48 slower.
_LEAST_CHANNELS = 48
_TILE_BYTES = 2 << 20
# The kernel's transform, G of the paper.
_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def covers(layer: Layer) -> bool:
    """Whether a layer is a convolution that is computed here."""
    if type(layer) is not Conv:
        return False
    channels = (layer.inputs, layer.outputs)
    shaped = layer.kernel == 3 and layer.stride == 1
    return shaped and min(channels) >= _LEAST_CHANNELS and not any(count % LANES for count in channels)


def available(images: torch.Tensor) -> bool:
    """Whether this machine compiles the C code for the images' precision, and the thread has a core to itself.

    PyTorch's own convolutions are faster on two cores than these, which work on one but for products of matrices.
    """
    alone = images.device.type == "cpu" and torch.get_num_threads() == 1
    return alone and images.dtype in REALS and _compiled(images.dtype) is not None


def convolve(images: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """``torch.nn.functional.conv2d(images, kernel, bias)``, but for rounding; gradients flow, once.

    Args:
        images: (batch, inputs, height, width), fastest with the channels last in memory.
        kernel: (outputs, inputs, 3, 3), of a covered convolution and the images' precision.
        bias: (outputs,).

    Returns:
        (batch, outputs, height - 2, width - 2), channels last in memory.

    Raises:
        ValueError: arrays that do not fit each other.
        RuntimeError: this machine does not compile the C code.
    """
    inputs, (outputs, *_) = images.shape[1], kernel.shape
    same = {images.dtype, kernel.dtype, bias.dtype}
    if len(same) > 1 or kernel.shape[1:] != (inputs, 3, 3) or bias.shape != (outputs,) or min(images.shape[2:]) < 3:
        shapes = ", ".join(f"{part.dtype} {tuple(part.shape)}" for part in (images, kernel, bias))
        raise ValueError(
            f"images, kernel and bias are {shapes}; give 3x3 kernels of as many channels and one precision"
        )
    if inputs % LANES or outputs % LANES:
        raise ValueError(f"{inputs} and {outputs} channels; give multiples of {LANES}")
    devices = {part.device.type for part in (images, kernel, bias)}
    if devices != {"cpu"} or images.dtype not in REALS:
        raise ValueError(
            f"images, kernel and bias are {images.dtype} on {', '.join(sorted(devices))}; give reals on CPU"
        )
    found: torch.Tensor = _Convolution.apply(images, kernel, bias)
    return found


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        maps, spread_kernel, bias = _last(images), _spread(kernel), bias.contiguous()
        ctx.save_for_backward(maps, spread_kernel)
        room = _Room(maps, spread_kernel)
        found = maps.new_empty(len(maps), room.height - 2, room.width - 2, len(kernel))
        for some, out in zip(maps.split(room.together), found.split(room.together), strict=True):
            tiles, products = room.tiles(len(some))
            room.transform("spread", tiles, some)
            torch.bmm(tiles, spread_kernel, out=products)
            room.transform("gather", products, out, bias)
        return found.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor]:
        maps, spread_kernel = ctx.saved_tensors
        given = _last(gradient)
        room = _Room(maps, spread_kernel)
        of_maps, of_kernel = torch.empty_like(maps), torch.zeros_like(spread_kernel)
        parts = (values.split(room.together) for values in (maps, given, of_maps))
        for some, back, out in zip(*parts, strict=True):
            tiles, products = room.tiles(len(some))
            room.transform("spread", tiles, some)
            room.transform("spread_back", products, back)
            of_kernel.baddbmm_(tiles.transpose(1, 2), products)
            if ctx.needs_input_grad[0]:
                torch.bmm(products, spread_kernel.transpose(1, 2), out=tiles)
                room.transform("gather_back", tiles, out)
        of_images = of_maps.permute(0, 3, 1, 2) if ctx.needs_input_grad[0] else None
        return of_images, _gathered(of_kernel), given.sum((0, 1, 2))


class _Room:
    """Tiles of a few images at a time, of what goes into a convolution and of products."""

    def __init__(self, maps: torch.Tensor, spread_kernel: torch.Tensor) -> None:
        _, self.height, self.width, _ = maps.shape
        _, *self.channels = spread_kernel.shape
        self.each = (self.height - 1) // 2 * ((self.width - 1) // 2)
        entries = 16 * self.each * sum(self.channels)
        self.together = max(1, min(len(maps), _TILE_BYTES // (entries * maps.element_size())))
        self.entries = maps.new_empty(self.together * entries)
        compiled = _compiled(maps.dtype)
        if compiled is None:
            raise RuntimeError("the C code cannot be compiled here; ask available() first")
        self.compiled = compiled

    def tiles(self, images: int) -> list[torch.Tensor]:
        """(16, tiles, channels) of what goes in and of products; what was there before is lost."""
        shapes = [(16, images * self.each, channels) for channels in self.channels]
        sizes = list(map(math.prod, shapes))
        parts = self.entries[: sum(sizes)].split(sizes)
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

    def transform(self, name: str, tiles: torch.Tensor, maps: torch.Tensor, *more: torch.Tensor) -> None:
        """Call a function of the C code."""
        images, *_, channels = maps.shape
        pointers = (values.data_ptr() for values in (tiles, maps))
        others = (values.data_ptr() for values in more)
        getattr(self.compiled, name)(*pointers, images, self.height, self.width, channels, *others)


def _compiled(dtype: torch.dtype) -> ctypes.CDLL | None:
    return library("winograd", f"REAL={REALS[dtype]}")


def _last(images: torch.Tensor) -> torch.Tensor:
    """(batch, channels, height, width) -> (batch, height, width, channels)."""
    return images.permute(0, 2, 3, 1).contiguous()


def _spread(kernel: torch.Tensor) -> torch.Tensor:
    """(outputs, inputs, 3, 3) -> (16, inputs, outputs)."""
    parts: torch.Tensor = _both(kernel) @ kernel.permute(2, 3, 1, 0).flatten(0, 1).flatten(1)
    return parts.view(16, *reversed(kernel.shape[:2]))


def _gathered(parts: torch.Tensor) -> torch.Tensor:
    """The gradient of what ``_spread`` gives, to that of what it takes."""
    kernel: torch.Tensor = _both(parts).T @ parts.flatten(1)
    return kernel.view(3, 3, *parts.shape[1:]).permute(3, 2, 0, 1)


def _both(like: torch.Tensor) -> torch.Tensor:
    """The transform of both sides of a kernel: (16, 9)."""
    side = like.new_tensor(_KERNEL)
    return torch.kron(side, side)
