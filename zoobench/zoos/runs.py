"""From a declared recipe to the list of its runs.

What a run is, its id and its hyperparameters, depends on the recipe and its number alone, never on how many runs a
scale has.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import ZoobenchError
from . import Zoo
from .hashing import unit_interval
from .spec import Choice, Grid, Hyperparameters, LogUniform, RandomSearch, Recipe, SeedSweep, Training, Uniform

_SEEDS_APART = 10**10  # more than any seed of a recipe


@dataclass(frozen=True)
class Run:
    """One network to train: all that its result depends on, next to the network and the images."""

    run_id: str
    config_id: str
    hyperparameters: Hyperparameters
    seed: int
    training: Training = field(default_factory=Training)


def config_id(hyperparameters: Hyperparameters) -> str:
    """A short hash of the hyperparameters: equal for runs that differ in nothing but the seed."""
    text = json.dumps(dataclasses.asdict(hyperparameters), sort_keys=True)
    return f"config-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _seed_sweep(recipe: SeedSweep, zoo_id: str, runs: int) -> list[Run]:
    config = config_id(recipe.fixed)
    return [Run(f"seed-{seed:04d}", config, recipe.fixed, seed, recipe.training) for seed in range(1, runs + 1)]


def _grid(recipe: Grid, zoo_id: str, runs: int) -> list[Run]:
    """Runs configuration by configuration; ``runs`` / seeds configurations are kept, by a hash of their number."""
    names = [name for name, _ in recipe.axes]
    configurations = list(enumerate(itertools.product(*(values for _, values in recipe.axes))))
    kept = sorted(configurations, key=lambda entry: unit_interval("configuration", zoo_id, entry[0]))
    kept = sorted(kept[: math.ceil(runs / recipe.seeds)])
    result = []
    for number, values in kept:
        hyperparameters = dataclasses.replace(recipe.fixed, **dict(zip(names, values, strict=True)))  # type: ignore[arg-type]
        for repeat in range(1, recipe.seeds + 1):
            seed = repeat
            if recipe.random_seeds:
                seed = 1 + int(unit_interval("seed", zoo_id, number, repeat) * (2**31 - 1))
            run_id = f"config-{number:04d}-seed-{repeat:04d}"
            result.append(Run(run_id, config_id(hyperparameters), hyperparameters, seed, recipe.training))
    return result[:runs]


def _draw(distribution: Choice | Uniform | LogUniform, position: float) -> str | float:
    """The value at a position in [0, 1) of a distribution."""
    match distribution:
        case Choice(values):
            return values[int(position * len(values))]
        case Uniform(low, high):
            return low + position * (high - low)
        case LogUniform(low, high):
            return low * (high / low) ** position


def _random_search(recipe: RandomSearch, zoo_id: str, runs: int) -> list[Run]:
    result = []
    for number in range(1, runs + 1):
        values = {name: _draw(d, unit_interval("draw", zoo_id, number, name)) for name, d in recipe.ranges}
        hyperparameters = dataclasses.replace(recipe.fixed, **values)  # type: ignore[arg-type]
        seed = number if recipe.seed is None else recipe.seed
        run_id = f"run-{number:05d}"
        result.append(Run(run_id, config_id(hyperparameters), hyperparameters, seed, recipe.training))
    return result


_ENUMERATE: dict[type[Recipe], Callable[[Any, str, int], list[Run]]] = {
    SeedSweep: _seed_sweep,
    Grid: _grid,
    RandomSearch: _random_search,
}


def runs_of(zoo: Zoo, seed: int = 0) -> list[Run]:
    """Enumerate the runs of a zoo at its scale, in a fixed order.

    A ``seed`` other than 0 gives another population of the same recipe, under the same run ids: every run's own seed
    is moved by ``seed`` times ten billion, and a random search draws other hyperparameters.

    Raises:
        ZoobenchError: this version cannot build the zoo at this scale, or the seed is not in 0 ... 1000.
    """
    if not 0 <= seed <= 1000:
        raise ZoobenchError(f"seed {seed} is out of range; choose from 0 (the zoo itself) to 1000")
    size = zoo.size
    draws = f"{zoo.spec.id}/{seed}" if seed else zoo.spec.id
    runs = _ENUMERATE[type(size.recipe)](size.recipe, draws, size.runs)
    return [dataclasses.replace(run, seed=run.seed + seed * _SEEDS_APART) for run in runs]
