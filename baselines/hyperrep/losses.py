"""The losses of Schürholt 2021, sec. 3, and those of its authors' public code, which are others.

In the paper the squared error is summed over a network's N weights, in the code averaged, so that the same beta weighs
it N times less against the contrast. The paper's positive contrast brings the two views of a network together; the
code's (``NT_Xent_pos``) pushes their cosine to 0, and divides by the number of views once more, so that it hardly
weighs. Sums over pairs are divided by their number, as in the code: batches of any size weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional as F


def summed_error(weights: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    """L_MSE: the squared error summed over the N weights of a network, mean over networks (batch, N)."""
    return (weights - rebuilt).square().sum(dim=1).mean()


def mean_error(weights: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    """The squared error, mean over weights and networks (batch, N)."""
    return F.mse_loss(rebuilt, weights)


def contrast(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """L_c, NT-Xent, eq. (2): of two views (batch, D), each view against all 2 batch - 1 others; mean over views."""
    views = F.normalize(torch.cat([first, second]).float(), dim=1)
    similarity = (views @ views.T / temperature).fill_diagonal_(-math.inf)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(similarity, partner)


def positive_contrast(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """L_c+, eq. (3): -sim + log T of the two views of each network, without negatives; mean over networks."""
    return math.log(temperature) - F.cosine_similarity(first.float(), second.float(), dim=1).mean()


def orthogonal_views(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """(sim / T)² of the two views of each network, mean over networks, divided by the 2 batch views."""
    similarity = F.cosine_similarity(first.float(), second.float(), dim=1) / temperature
    return similarity.square().mean() / (2 * len(first))


@dataclass(frozen=True)
class Objective:
    """What a model minimises: beta times the reconstruction plus 1 - beta times a contrast.

    Attributes:
        reconstruction: of views and what they are rebuilt as, (batch, N) each.
        positive: the contrast of Ec+D, of two views (batch, D) at a temperature.
        beta: where nothing else is said; ``None`` for what depends on the networks' size.
    """

    reconstruction: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    positive: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
    beta: float | None = None


# The text gives no beta but the range that it chose from, 0.05 to 0.85; of 0.05 and 0.1 the second validated better.
OBJECTIVES: Mapping[str, Objective] = {
    "paper": Objective(summed_error, positive_contrast, beta=0.1),
    "code": Objective(mean_error, orthogonal_views),
}
