"""Initialisers: the untrained weights of many runs, each run from its own random stream.

Definitions and default gains are those of ``torch.nn.init``; ``truncated_normal`` cuts at two standard deviations, as
Keras does, and so do ``xavier_truncated`` and ``kaiming_truncated``, its glorot_normal and he_normal. ``std`` is a
run's ``init_std``; only ``normal`` and ``truncated_normal`` have that freedom.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from .. import exact
from ..errors import ZoobenchError, did_you_mean
from ..zoos.layout import Tensor, layout_of
from ..zoos.runs import Run
from ..zoos.spec import Network
from . import streams

# Of the standard normal distribution: its distribution function at -2, and the standard deviation once it is cut at
# -2 and 2. mpmath: erfc(sqrt(2)) / 2 and sqrt(1 - 4 exp(-2) / sqrt(2 pi) / erf(sqrt(2))).
_TAIL = 0.02275013194817921
_TRUNCATED_STD = 0.8796256610342398

# (seeds (R,) int64, stream purpose, tensor shape, std (R, 1) float64) -> (R, size) float64
Initialiser = Callable[[torch.Tensor, str, tuple[int, ...], np.ndarray], np.ndarray]


def _uniform(seeds: torch.Tensor, purpose: str, count: int) -> np.ndarray:
    return streams.uniform(seeds, purpose, 0, count).numpy()


def _symmetric(seeds: torch.Tensor, purpose: str, count: int) -> np.ndarray:
    """Draws of U[-1, 1)."""
    return 2 * _uniform(seeds, purpose, count) - 1


def _normal(seeds: torch.Tensor, purpose: str, count: int) -> np.ndarray:
    return exact.normal(_uniform(seeds, purpose, count))


def _truncated(seeds: torch.Tensor, purpose: str, count: int) -> np.ndarray:
    """Draws of the standard normal distribution cut at -2 and 2."""
    return exact.ndtri(_TAIL + _uniform(seeds, purpose, count) * (1 - 2 * _TAIL))


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan in, fan out) of an (out, in, ...) tensor."""
    positions = math.prod(shape[2:])
    return shape[1] * positions, shape[0] * positions


def uniform(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """U[0, 1): ``torch.nn.init.uniform_`` without arguments, as the Schürholt zoos use it."""
    return _uniform(seeds, purpose, math.prod(shape))


def normal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """N(0, std²); without an ``init_std`` N(0, 1), as ``torch.nn.init.normal_``."""
    return _normal(seeds, purpose, math.prod(shape)) * std


def truncated_normal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """N(0, std²) cut at ± 2 std."""
    return _truncated(seeds, purpose, math.prod(shape)) * std


def xavier_uniform(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """U(-a, a), a = sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010)."""
    bound = math.sqrt(6 / sum(_fans(shape)))
    return _symmetric(seeds, purpose, math.prod(shape)) * bound


def xavier_normal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """N(0, 2 / (fan in + fan out)) (Glorot and Bengio 2010)."""
    return _normal(seeds, purpose, math.prod(shape)) * math.sqrt(2 / sum(_fans(shape)))


def xavier_truncated(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """Variance 2 / (fan in + fan out), normal but for a cut at two standard deviations of the uncut distribution."""
    return _truncated(seeds, purpose, math.prod(shape)) * (math.sqrt(2 / sum(_fans(shape))) / _TRUNCATED_STD)


def kaiming_uniform(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """U(-a, a), a = sqrt(6 / fan in) (He et al. 2015, gain for ReLU)."""
    bound = math.sqrt(6 / _fans(shape)[0])
    return _symmetric(seeds, purpose, math.prod(shape)) * bound


def kaiming_normal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """N(0, 2 / fan in) (He et al. 2015, gain for ReLU)."""
    return _normal(seeds, purpose, math.prod(shape)) * math.sqrt(2 / _fans(shape)[0])


def kaiming_truncated(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """Variance 2 / fan in, normal but for a cut at two standard deviations of the uncut distribution."""
    return _truncated(seeds, purpose, math.prod(shape)) * (math.sqrt(2 / _fans(shape)[0]) / _TRUNCATED_STD)


def torch_default(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """U(-a, a), a = 1 / sqrt(fan in): what PyTorch's layers start with, Kaiming's uniform with its slope at sqrt(5)."""
    return _symmetric(seeds, purpose, math.prod(shape)) / math.sqrt(_fans(shape)[0])


def orthogonal(seeds: torch.Tensor, purpose: str, shape: tuple[int, ...], std: np.ndarray) -> np.ndarray:
    """Orthonormal rows or columns of the (out, in * positions) matrix (Saxe et al. 2014)."""
    rows, columns = shape[0], math.prod(shape[1:])
    draws = _normal(seeds, purpose, rows * columns).reshape(-1, rows, columns)
    if rows >= columns:
        return exact.orthonormal(draws).reshape(len(seeds), -1)
    return exact.orthonormal(draws.transpose(0, 2, 1)).transpose(0, 2, 1).reshape(len(seeds), -1)


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
    that start as PyTorch makes them. They are drawn on the CPU, whose bits do not depend on the machine.

    Raises:
        ZoobenchError: unknown initialiser, or one that a tensor's shape does not allow.
    """
    seeds = torch.tensor([run.seed for run in runs], dtype=torch.int64)
    given = [run.hyperparameters.init_std for run in runs]
    std = np.array([1.0 if each is None else each for each in given])[:, None]
    bias = np.array([run.training.initial_bias for run in runs], dtype=np.float32)
    names = [dict(run.training.initialisers).get(run.hyperparameters.init, run.hyperparameters.init) for run in runs]
    parts, shapes = [], {}
    for tensor in layout_of(network).tensors:
        shapes[tensor.name] = tensor.shape
        layer, _, part = tensor.name.rpartition(".")
        default = [layer in run.training.torch_layers for run in runs]
        if part != "bias":
            of = ["torch_default" if own else name for own, name in zip(default, names, strict=True)]
            parts.append(_draw(tensor, of, seeds, std).astype(np.float32))
            continue
        start = bias[:, None].repeat(tensor.size, axis=1)
        if any(default):
            draws = _symmetric(seeds[default], f"init/{tensor.name}", tensor.size)
            start[default] = draws / math.sqrt(_fans(shapes[f"{layer}.weight"])[0])
        parts.append(start)
    return torch.from_numpy(np.concatenate(parts, axis=1)).to(device)


def _draw(tensor: Tensor, names: Sequence[str], seeds: torch.Tensor, std: np.ndarray) -> np.ndarray:
    """One tensor of all runs, (R, size) float64, initialiser by initialiser."""
    drawn = np.empty((len(names), tensor.size))
    for name in dict.fromkeys(names):
        if name not in INITIALISERS:
            raise ZoobenchError(f"unknown init {name!r}{did_you_mean(name, INITIALISERS)}")
        if len(tensor.shape) < 2 and name not in _OF_ANY_SHAPE:
            raise ZoobenchError(
                f"init {name!r} is of matrices, and {tensor.name} has shape {tensor.shape}; "
                f"choose from: {', '.join(sorted(_OF_ANY_SHAPE))}"
            )
        rows = [i for i, other in enumerate(names) if other == name]
        drawn[rows] = INITIALISERS[name](seeds[rows], f"init/{tensor.name}", tensor.shape, std[rows])
    return drawn
