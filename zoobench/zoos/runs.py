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
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..distributions import value_at
from ..errors import ZoobenchError
from . import Zoo
from .hashing import unit_interval
from .spec import Grid, Hyperparameters, RandomSearch, Recipe, SeedSweep, Training
from .splits import SEEDS_APART

# What `config_id` hashes, by version of the scheme. A list is never edited: label hashes and submissions hang on ids.
CONFIG_FIELDS: Mapping[int, tuple[str, ...]] = {
    1: (
        "activation",
        "init",
        "optimizer",
        "learning_rate",
        "batch_size",
        "weight_decay",
        "dropout",
        "train_fraction",
        "init_std",
    )
}
CONFIG_SCHEME = 1


@dataclass(frozen=True)
class Run:
    """One network to train: all that its result depends on, next to the network and the images."""

    run_id: str
    config_id: str
    hyperparameters: Hyperparameters
    seed: int
    training: Training = field(default_factory=Training)


def config_id(hyperparameters: Hyperparameters, varied: Mapping[str, object] | None = None) -> str:
    """A short hash of a configuration: equal for runs that differ in nothing but the seed.

    ``varied`` are the fields of ``Training`` by which a run differs from its recipe. A hyperparameter that is not in
    the scheme counts only where it is known and is not its default, so that a new one leaves all other ids alone.
    """
    values = {name: getattr(hyperparameters, name) for name in CONFIG_FIELDS[CONFIG_SCHEME]}
    for later in dataclasses.fields(hyperparameters):
        value = getattr(hyperparameters, later.name)
        if later.name not in values and value is not None and value != later.default:
            values[later.name] = value
    values |= {f"training.{name}": value for name, value in (varied or {}).items()}
    text = json.dumps(values, sort_keys=True)
    return f"config-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _run(recipe: Recipe, run_id: str, seed: int, values: Mapping[str, Any]) -> Run:
    """The run of a recipe with some values of its own: of hyperparameters, or of fields of ``Training``."""
    own = {name: value for name, value in values.items() if hasattr(recipe.training, name)}
    hyperparameters = dataclasses.replace(
        recipe.fixed, **{name: value for name, value in values.items() if name not in own}
    )
    varied = {name: value for name, value in own.items() if value != getattr(recipe.training, name)}
    training = dataclasses.replace(recipe.training, **own)
    return Run(run_id, config_id(hyperparameters, varied), hyperparameters, seed, training)


def _seed_sweep(recipe: SeedSweep, runs: int) -> list[Run]:
    return [_run(recipe, f"seed-{seed:04d}", seed, {}) for seed in range(1, runs + 1)]


def _grid(recipe: Grid, zoo_id: str, draws: str, runs: int) -> list[Run]:
    """Runs configuration by configuration; ``runs`` / seeds configurations are kept, by a hash of their number.

    Which are kept hangs on the zoo alone; random seeds are of ``draws``.
    """
    names = [name for name, _ in recipe.axes]
    configurations = list(enumerate(itertools.product(*(values for _, values in recipe.axes))))
    kept = sorted(configurations, key=lambda entry: unit_interval("configuration", zoo_id, entry[0]))
    kept = sorted(kept[: math.ceil(runs / recipe.seeds)])
    result = []
    for number, values in kept:
        own = dict(zip(names, values, strict=True))
        for repeat in range(1, recipe.seeds + 1):
            seed = repeat
            if recipe.random_seeds:
                seed = 1 + int(unit_interval("seed", draws, number, repeat) * (2**31 - 1))
            result.append(_run(recipe, f"config-{number:04d}-seed-{repeat:04d}", seed, own))
    return result[:runs]


def _random_search(recipe: RandomSearch, draws: str, runs: int) -> list[Run]:
    result = []
    for number in range(1, runs + 1):
        values = {name: value_at(d, unit_interval("draw", draws, number, name)) for name, d in recipe.ranges}
        seed = number if recipe.seed is None else recipe.seed
        result.append(_run(recipe, f"run-{number:05d}", seed, values))
    return result


def _enumerate(recipe: Recipe, zoo_id: str, draws: str, runs: int) -> list[Run]:
    match recipe:
        case SeedSweep():
            return _seed_sweep(recipe, runs)
        case Grid():
            return _grid(recipe, zoo_id, draws, runs)
        case RandomSearch():
            return _random_search(recipe, draws, runs)


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
    runs = _enumerate(size.recipe, zoo.spec.id, draws, size.runs)
    return [dataclasses.replace(run, seed=run.seed + seed * SEEDS_APART) for run in runs]
