"""Perturbations of weights: the symmetries of a network, which leave its function alone, and changes that break it.

A symmetry moves or rescales hidden neurons: what goes into one changes, and what the following layer makes of its
output changes back. The others are those of Unterthiner 2020, supplementary C (Table 9). A perturbation is one
declaration; it takes a population, weights (rows, N) in layout order, and draws for each row alone. Needs numpy only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import ZoobenchError, look_up
from ..zoos.layout import Layer, layout_of
from ..zoos.spec import Activation, Conv, Dropout, Flatten, GlobalAveragePool, Linear, MaxPool, Network

Apply = Callable[[np.ndarray, Network, np.random.RandomState], np.ndarray]

_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True)
class Junction:
    """Two weighted layers in a row: the neurons (filters) of ``layer`` are the inputs (channels) of ``following``.

    ``max_pool``: a max-pool lies between. Positive factors commute with it, signs do not.
    """

    layer: Layer
    following: Layer
    max_pool: bool

    @cached_property
    def incoming(self) -> np.ndarray:
        """int64 (neurons, fan-in + 1 with a bias): positions of each neuron's own weights and bias."""
        return self.layer.index

    @cached_property
    def outgoing(self) -> np.ndarray:
        """int64 (neurons, k): positions of the weights that the following layer gives to each neuron's output.

        Flattened images have their channels outermost, so that a channel's weights are one block of a row, like a
        kernel's.
        """
        weight, neurons = self.following.weight, self.layer.weight.shape[0]
        positions = np.arange(weight.offset, weight.offset + weight.size).reshape(weight.shape[0], neurons, -1)
        return positions.swapaxes(0, 1).reshape(neurons, -1)


@functools.cache
def junctions(network: Network) -> tuple[Junction, ...]:
    """The junctions of a network, first to last: one for each hidden layer.

    Raises:
        ZoobenchError: a layer that neurons cannot be followed through.
    """
    layers = {layer.name: layer for layer in layout_of(network).layers}
    found: list[Junction] = []
    before, max_pool = None, False
    for part in network.layers:
        match part:
            case MaxPool():
                max_pool = True
            case Conv() | Linear():
                if before is not None:
                    found.append(Junction(before, layers[part.name], max_pool))
                before, max_pool = layers[part.name], False
            case Activation() | Dropout() | GlobalAveragePool() | Flatten():
                pass
            case _:
                raise ZoobenchError(f"the symmetries of a network with a layer {type(part).__name__} are not known")
    return tuple(found)


@dataclass(frozen=True)
class Perturbation:
    """One way to change weights.

    Attributes:
        name: as in files and on the command line.
        description: what happens to a network.
        preserves: whether the network computes the same function afterwards, up to rounding.
        apply: weights (rows, N) float32 in layout order, their network, a random state -> new weights. Rows draw one
            after the other, so that blocks of rows in turn give what all rows at once do.
        activation: of the rows that it may be applied to; ``None`` for all.
        applies_to: whether it makes sense on a network.
    """

    name: str
    description: str
    preserves: bool
    apply: Apply
    activation: str | None = None
    applies_to: Callable[[Network], bool] = lambda network: True


def _draws(rng: np.random.RandomState, rows: int, counts: Sequence[int]) -> list[np.ndarray]:
    """Uniform numbers in [0, 1), one array (rows, count) for each count, drawn row by row."""
    ends = np.cumsum(counts)
    return np.split(rng.random_sample((rows, ends[-1])), ends[:-1], axis=1)


def _permuting(groups_of: Callable[[Network], Sequence[np.ndarray]]) -> Apply:
    """Bring the things of each group into random order. A group is int64 (things, k): positions of k weights each."""

    def apply(weights: np.ndarray, network: Network, rng: np.random.RandomState) -> np.ndarray:
        permuted = weights.copy()
        groups = groups_of(network)
        for group, draw in zip(groups, _draws(rng, len(weights), [len(group) for group in groups]), strict=True):
            # Stable, so that equal draws do not make the order depend on the processor.
            order = draw.argsort(axis=1, kind="stable")[:, :, None]
            permuted[:, group] = np.take_along_axis(permuted[:, group], order, axis=1)
        return permuted

    return apply


def _rescaling(
    junctions_of: Callable[[Network], Sequence[Junction]], factors_of: Callable[[np.ndarray], np.ndarray]
) -> Apply:
    """Multiply each hidden neuron by a factor, made of a uniform draw, and divide its outgoing weights by it."""

    def apply(weights: np.ndarray, network: Network, rng: np.random.RandomState) -> np.ndarray:
        scaled = weights.copy()
        chosen = junctions_of(network)
        draws = _draws(rng, len(weights), [len(junction.incoming) for junction in chosen])
        for junction, draw in zip(chosen, draws, strict=True):
            factors = factors_of(draw)[:, :, None]
            scaled[:, junction.incoming] = _product(scaled[:, junction.incoming], factors)
            scaled[:, junction.outgoing] = _product(scaled[:, junction.outgoing], 1 / factors)
        return scaled

    return apply


def _scaling(factor: float) -> Apply:
    return lambda weights, network, rng: _product(weights, np.float64(factor))


def _product(weights: np.ndarray, factors: np.ndarray | np.float64) -> np.ndarray:
    """Computed in float64 and rounded once; what float32 cannot hold becomes its largest number, never infinite."""
    return np.clip(weights * factors, -_LARGEST, _LARGEST).astype(np.float32)


def _neurons(network: Network) -> list[np.ndarray]:
    """A group for each hidden layer: neurons, with all weights that go in or out."""
    return [np.hstack([junction.incoming, junction.outgoing]) for junction in junctions(network)]


def _flippable(network: Network) -> list[Junction]:
    return [junction for junction in junctions(network) if not junction.max_pool]


def _within_layers(name: str, layers: str, chosen: slice) -> tuple[Perturbation, Perturbation]:
    """Random order within each of some layers, biases among themselves or mixed with the weights."""

    def apart(network: Network) -> list[np.ndarray]:
        tensors = [tensor for layer in layout_of(network).layers[chosen] for tensor in (layer.weight, layer.bias)]
        return [np.arange(tensor.offset, tensor.offset + tensor.size)[:, None] for tensor in tensors if tensor]

    def mixed(network: Network) -> list[np.ndarray]:
        return [layer.index.reshape(-1, 1) for layer in layout_of(network).layers[chosen]]

    def has_biases(network: Network) -> bool:
        return any(layer.bias for layer in layout_of(network).layers[chosen])

    return (
        Perturbation(name, f"weights within {layers} in random order, biases too", False, _permuting(apart)),
        Perturbation(
            f"{name}-mixed",
            f"weights and biases within {layers} in random order together",
            False,
            _permuting(mixed),
            applies_to=has_biases,
        ),
    )


PERTURBATIONS: tuple[Perturbation, ...] = (
    Perturbation(
        "neuron-permutation",
        "neurons (filters) of every hidden layer in random order, and the inputs of what follows likewise",
        True,
        _permuting(_neurons),
    ),
    Perturbation(
        "relu-scaling",
        "every hidden neuron times a factor, log-uniform in [0.1, 10], and its outgoing weights divided by it",
        True,
        _rescaling(junctions, lambda draws: 10 ** (2 * draws - 1)),
        activation="relu",
    ),
    Perturbation(
        "tanh-sign-flip",
        "every hidden neuron and its outgoing weights times a random sign, where no max-pool lies between",
        True,
        _rescaling(_flippable, lambda draws: np.where(draws < 0.5, -1.0, 1.0)),
        activation="tanh",
        applies_to=lambda network: bool(_flippable(network)),
    ),
    Perturbation(
        "global-permutation",
        "all weights and biases in random order",
        False,
        _permuting(lambda network: [np.arange(layout_of(network).size)[:, None]]),
    ),
    *_within_layers("layer-permutation", "every layer", slice(None)),
    *_within_layers("final-layer-permutation", "the final layer", slice(-1, None)),
    *_within_layers("first-layers-permutation", "every layer but the final one", slice(None, -1)),
    *(
        Perturbation(f"scale-{factor:g}", f"all weights and biases times {factor:g}", False, _scaling(factor))
        for factor in (0.001, 0.1, 2, 10, 100)
    ),
)
BY_NAME: Mapping[str, Perturbation] = {perturbation.name: perturbation for perturbation in PERTURBATIONS}


def perturbations_of(network: Network) -> tuple[Perturbation, ...]:
    """The perturbations that make sense on a network."""
    return tuple(perturbation for perturbation in PERTURBATIONS if perturbation.applies_to(network))


def get(name: str) -> Perturbation:
    """Look a perturbation up by name.

    Raises:
        ZoobenchError: unknown name.
    """
    return look_up("perturbation", name, BY_NAME)
