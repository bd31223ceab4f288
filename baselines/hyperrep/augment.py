"""Augmentations of weights (Schürholt 2021, sec. 2), drawn anew for every network of every batch, on its device.

The permutation brings the hidden neurons or filters of each layer into random order, with all weights that go in or
out, so that the network computes the same function. Erasing sets one block of the weight vector to zero, noise adds
normal numbers.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from zoobench.weightspace.symmetry import Junction
from zoobench.zoos.layout import Layout

# Shares of the weight vector that erasing may take (sec. 2).
ERASED = (0.03, 0.3)


class Augmentation(nn.Module):
    """Random views of networks.

    Args:
        layout: of the weights.
        permute: whether hidden neurons are permuted.
        erase: probability that a block is erased.
        noise: standard deviation of the noise.
    """

    def __init__(self, layout: Layout, permute: bool, erase: float, noise: float) -> None:
        super().__init__()
        self.permute, self.erase, self.noise = permute, erase, noise
        # Inputs of a layer are the outputs of the one before, also where a convolution's channels are flattened.
        self.junctions = [Junction(layer, after, False) for layer, after in itertools.pairwise(layout.layers)]
        self.groups: dict[torch.device, list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def forward(self, weights: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """A view of each network: (batch, N) -> (batch, N)."""
        if self.permute:
            weights = self._permuted(weights, generator)
        if self.erase:
            weights = weights.masked_fill(self._block(weights, generator), 0)
        if self.noise:
            drawn = torch.randn(weights.shape, generator=generator, device=weights.device, dtype=weights.dtype)
            weights = weights + self.noise * drawn
        return weights

    def _permuted(self, weights: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        weights = weights.clone()
        for incoming, outgoing in self._groups_on(weights.device):
            order = torch.rand(len(weights), len(incoming), generator=generator, device=weights.device).argsort(dim=1)
            for group in (incoming, outgoing):
                moved = weights[:, group].gather(1, order[:, :, None].expand(-1, -1, group.shape[1]))
                weights[:, group.flatten()] = moved.flatten(1)
        return weights

    def _groups_on(self, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Of each hidden layer the positions of weights that go into a neuron, and out: (neurons, k) each."""
        if device not in self.groups:
            self.groups[device] = [
                (torch.from_numpy(j.incoming).to(device), torch.from_numpy(j.outgoing).to(device))
                for j in self.junctions
            ]
        return self.groups[device]

    def _block(self, weights: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        rows, size = weights.shape
        hit, share, place = torch.rand(3, rows, 1, generator=generator, device=weights.device)
        length = size * (ERASED[0] + (ERASED[1] - ERASED[0]) * share)
        start = place * (size - length)
        position = torch.arange(size, device=weights.device)
        return (hit < self.erase) & (position >= start) & (position < start + length)
