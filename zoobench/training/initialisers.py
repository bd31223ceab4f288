"""Initialisers: the untrained weights of many runs, each run from its own random stream.

Definitions and default gains are those of ``torch.nn.init``; ``truncated_normal`` cuts at two standard deviations, as
Keras does, and so do ``xavier_truncated`` and ``kaiming_truncated``, its glorot_normal and he_normal. ``std`` is a
run's ``init_std``; only ``normal`` and ``truncated_normal`` have that freedom.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from ..errors import ZoobenchError, did_you_mean
from ..zoos.layout import Tensor, layout_of
from ..zoos.runs import Run
from ..zoos.spec import Network
from . import streams

# Of the standard normal distribution cut at -2 and 2.
_TRUNCATED_STD = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))

# (seeds (R,) int64, stream purpose, tensor shape, std (R, 1) float64) -> (R, size) float64
Initialiser = Callable[[torch.Tensor, str, tuple[int, ...], torch.Tensor], torch.Tensor]


def _normal(seeds: torch.Tensor, purpose: str, count: int) -> torch.Tensor:
    """Standard normal draws by inversion; the half step keeps 0 out of the uniform draw."""
    return torch.special.ndtri(streams.uniform(seeds, purpose, 0, count) + 2.0**-54)


def _truncated(seeds: torch.Tensor, purpose: str, count: int) -> torch.Tensor:
    """Draws of the standard normal distribution cut at -2 and 2."""
    tail = 0.5 * math.erfc(math.sqrt(2))  # the standard normal distribution function at -2
    return torch.special.ndtri(tail + streams.uniform(seeds, purpose, 0, count) * (1 - 2 * tail))


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan in, fan out) of an (out, in, ...) tensor."""
    positions = math.prod(shape[2:])
    return shape[1] * positions, shape[0] * positions


def uniform(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """U[0, 1): ``torch.nn.init.uniform_`` without arguments, as the Schürholt zoos use it."""
    return streams.uniform(seeds, purpose, 0, math.prod(shape))


def normal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """N(0, std²); without an ``init_std`` N(0, 1), as ``torch.nn.init.normal_``."""
    return _normal(seeds, purpose, math.prod(shape)) * std


def truncated_normal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """N(0, std²) cut at ± 2 std."""
    return _truncated(seeds, purpose, math.prod(shape)) * std


def xavier_uniform(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """U(-a, a), a = sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010)."""
    bound = math.sqrt(6 / sum(_fans(shape)))
    return (2 * streams.uniform(seeds, purpose, 0, math.prod(shape)) - 1) * bound


def xavier_normal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """N(0, 2 / (fan in + fan out)) (Glorot and Bengio 2010)."""
    return _normal(seeds, purpose, math.prod(shape)) * math.sqrt(2 / sum(_fans(shape)))


def xavier_truncated(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """Variance 2 / (fan in + fan out), normal but for a cut at two standard deviations of the uncut distribution."""
    return _truncated(seeds, purpose, math.prod(shape)) * (math.sqrt(2 / sum(_fans(shape))) / _TRUNCATED_STD)


def kaiming_uniform(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """U(-a, a), a = sqrt(6 / fan in) (He et al. 2015, gain for ReLU)."""
    bound = math.sqrt(6 / _fans(shape)[0])
    return (2 * streams.uniform(seeds, purpose, 0, math.prod(shape)) - 1) * bound


def kaiming_normal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """N(0, 2 / fan in) (He et al. 2015, gain for ReLU)."""
    return _normal(seeds, purpose, math.prod(shape)) * math.sqrt(2 / _fans(shape)[0])


def kaiming_truncated(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """Variance 2 / fan in, normal but for a cut at two standard deviations of the uncut distribution."""
    return _truncated(seeds, purpose, math.prod(shape)) * (math.sqrt(2 / _fans(shape)[0]) / _TRUNCATED_STD)


def torch_default(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """U(-a, a), a = 1 / sqrt(fan in): what PyTorch's layers start with, Kaiming's uniform with its slope at sqrt(5)."""
    return (2 * streams.uniform(seeds, purpose, 0, math.prod(shape)) - 1) / math.sqrt(_fans(shape)[0])


def orthogonal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: torch.Tensor) -> torch.Tensor:
    """Orthonormal rows or columns of the (out, in * positions) matrix (Saxe et al. 2014)."""
    rows, columns = shape[0], math.prod(shape[1:])
    draw = _normal(seeds, purpose, rows * columns).view(-1, rows, columns)
    tall = draw if rows >= columns else draw.transpose(1, 2)
    q, r = torch.linalg.qr(tall)
    q = q * torch.diagonal(r, dim1=1, dim2=2).sign()[:, None, :]
    return (q if rows >= columns else q.transpose(1, 2)).reshape(len(seeds), -1)


INITIALISERS: Mapping[str, Initialiser] = {
    "uniform": uniform,
    "normal": normal,
    "truncated_normal": truncated_normal,
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "xavier_truncated": xavier_truncated,
    "kaiming_uniform": kaiming_uniform,
    "kaiming_normal": kaiming_normal,
    "kaiming_truncated": kaiming_truncated,
    "torch_default": torch_default,
    "orthogonal": orthogonal,
}
# The others are of matrices: they ask how many inputs a neuron has.
_OF_ANY_SHAPE = frozenset({"uniform", "normal", "truncated_normal"})


def initial_weights(network: Network, runs: Sequence[Run], device: torch.device) -> torch.Tensor:
    """Draw the untrained weights (R, N) float32: weights by each run's initialiser, biases constant, but for layers
    that start as PyTorch makes them.

    Raises:
        ZoobenchError: unknown initialiser, or one that a tensor's shape does not allow.
    """
    seeds = torch.tensor([run.seed for run in runs], dtype=torch.int64, device=device)
    std = torch.tensor(
        [1.0 if run.hyperparameters.init_std is None else run.hyperparameters.init_std for run in runs],
        dtype=torch.float64,
        device=device,
    )[:, None]
    bias = torch.tensor([run.training.initial_bias for run in runs], dtype=torch.float32, device=device)
    names = [dict(run.training.initialisers).get(run.hyperparameters.init, run.hyperparameters.init) for run in runs]
    parts, shapes = [], {}
    for tensor in layout_of(network).tensors:
        shapes[tensor.name] = tensor.shape
        layer, _, part = tensor.name.rpartition(".")
        default = [layer in run.training.torch_layers for run in runs]
        if part != "bias":
            of = ["torch_default" if own else name for own, name in zip(default, names, strict=True)]
            parts.append(_draw(tensor, of, seeds, std).to(torch.float32))
            continue
        start = bias[:, None].repeat(1, tensor.size)
        if any(default):
            rows = torch.tensor(default, device=device)
            fan_in = _fans(shapes[f"{layer}.weight"])[0]
            draws = 2 * streams.uniform(seeds[rows], f"init/{tensor.name}", 0, tensor.size) - 1
            start[rows] = (draws / math.sqrt(fan_in)).to(torch.float32)
        parts.append(start)
    return torch.cat(parts, dim=1)


def _draw(tensor: Tensor, names: Sequence[str], seeds: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """One tensor of all runs, (R, size) float64, initialiser by initialiser."""
    drawn = torch.empty(len(names), tensor.size, dtype=torch.float64, device=seeds.device)
    for name in dict.fromkeys(names):
        if name not in INITIALISERS:
            raise ZoobenchError(f"unknown init {name!r}{did_you_mean(name, INITIALISERS)}")
        if len(tensor.shape) < 2 and name not in _OF_ANY_SHAPE:
            raise ZoobenchError(
                f"init {name!r} is of matrices, and {tensor.name} has shape {tensor.shape}; "
                f"choose from: {', '.join(sorted(_OF_ANY_SHAPE))}"
            )
        rows = torch.tensor([i for i, other in enumerate(names) if other == name], device=seeds.device)
        drawn[rows] = INITIALISERS[name](seeds[rows], f"init/{tensor.name}", tensor.shape, std[rows])
    return drawn
