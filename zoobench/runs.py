"""From a declared recipe to the list of its runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass

from .zoos import Zoo
from .zoos.spec import Hyperparameters, SeedSweep


@dataclass(frozen=True)
class Run:
    """One network to train: all that its result depends on, next to the network and the images."""

    run_id: str
    config_id: str
    hyperparameters: Hyperparameters
    seed: int
    initial_bias: float = 0.0
    decoupled_decay: bool = False


def config_id(hyperparameters: Hyperparameters) -> str:
    """A short hash of the hyperparameters: equal for runs that differ in nothing but the seed."""
    text = json.dumps(dataclasses.asdict(hyperparameters), sort_keys=True)
    return f"config-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _seed_sweep(recipe: SeedSweep, runs: int) -> list[Run]:
    config = config_id(recipe.fixed)
    return [
        Run(f"seed-{seed:04d}", config, recipe.fixed, seed, recipe.initial_bias, recipe.decoupled_decay)
        for seed in range(1, runs + 1)
    ]


def runs_of(zoo: Zoo) -> list[Run]:
    """Enumerate the runs of a zoo at its scale, in a fixed order.

    Raises:
        ZoobenchError: this version cannot build the zoo at this scale.
    """
    return _seed_sweep(zoo.size.recipe, zoo.size.runs)
