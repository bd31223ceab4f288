"""What a fast formulation knows: a whitelist of layers, of where they may stand, and of activations.

Whatever is not on it is refused with a reason, so that no layer is ever left out or taken for another one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import ZoobenchError
from ..zoos.spec import Layer, Network

MAPS, VECTORS = "maps", "vectors"


@dataclass(frozen=True, eq=False)
class Coverage:
    """The networks of one formulation.

    Attributes:
        formulation: its name.
        layers: by what comes to a layer, from ``MAPS`` on: each type of layer that is known there, no subtypes, and
            what comes out of it. A network ends in ``VECTORS``.
        activations: the names of those that are known.
    """

    formulation: str
    layers: Mapping[str, Mapping[type[Layer], str]]
    activations: frozenset[str]

    def refusal(self, network: Network, activations: Iterable[str]) -> str | None:
        """What is not known of a network and its runs' activations, or ``None``."""
        unknown = sorted(set(activations) - self.activations)
        return f"activation {unknown[0]!r}" if unknown else _refused(self, network)

    def covers(self, network: Network, activations: Iterable[str]) -> bool:
        """Whether runs of a network, with these activations, are computed."""
        return self.refusal(network, activations) is None

    def check(self, network: Network, activations: Iterable[str]) -> None:
        """Refuse what is not covered.

        Raises:
            ZoobenchError: a layer, its place or an activation is not known.
        """
        if refused := self.refusal(network, activations):
            raise ZoobenchError(
                f"the formulation {self.formulation!r} does not know {refused}; 'functional' computes every network"
            )


@functools.lru_cache
def _refused(coverage: Coverage, network: Network) -> str | None:
    here = MAPS
    for layer in network.layers:
        kind = type(layer)
        if kind not in coverage.layers[here]:
            known = any(kind in kinds for kinds in coverage.layers.values())
            return f"layer {kind.__name__}" + (f" on {here}" if known else "")
        here = coverage.layers[here][kind]
    return None if here == VECTORS else f"a network that ends in {here}"
