"""Dropout masks of many runs at a training step: each run draws from its own stream, whatever computes its network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from . import streams


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
