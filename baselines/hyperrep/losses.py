"""The losses of Schürholt 2021, sec. 3. Sums over pairs are divided by their number, so that batches of any size weigh
the same against the reconstruction."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F


def reconstruction(weights: torch.Tensor, reconstructed: torch.Tensor) -> torch.Tensor:
    """L_MSE: the squared error summed over the N weights of a network, mean over networks (batch, N)."""
    return (weights - reconstructed).square().sum(dim=1).mean()


def contrast(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """L_c, NT-Xent, eq. (2): of two views (batch, D), each view against all 2 batch - 1 others; mean over views."""
    views = F.normalize(torch.cat([first, second]).float(), dim=1)
    similarity = (views @ views.T / temperature).fill_diagonal_(-math.inf)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(similarity, partner)


def positive_contrast(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """L_c+, eq. (3): -sim + log T of the two views of each network, without negatives; mean over networks."""
    return math.log(temperature) - F.cosine_similarity(first.float(), second.float(), dim=1).mean()
