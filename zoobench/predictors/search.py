"""Choosing a predictor's parameters as Unterthiner 2020 does: random search, judged by cross-validation over runs.

Every trial fits all tasks; each task then has its own best trial. Draws depend on the seed and the trial's number
alone. Trials are kept by Optuna in a database, so that a search that was killed goes on, or is prolonged.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..distributions import Choice, Distribution, LogUniform, Uniform, drawn_value
from ..errors import ZoobenchError, check_known
from .judge import Create, Parameters, judge
from .predictor import Examples

# So long another process may write into the database of trials.
_LOCKED_SECONDS = 20


@dataclass(frozen=True)
class Chosen:
    """The best parameters for a task; ``score`` is the mean over folds of R², or of accuracy for classes."""

    trial: int
    parameters: Parameters
    score: float


@dataclass(frozen=True)
class Trial:
    """One draw of parameters, and its score by task."""

    parameters: Parameters
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Found:
    """What a search chose, task by task, and all its trials by number."""

    chosen: Mapping[str, Chosen]
    trials: tuple[Trial, ...]


def parameters_of(space: Mapping[str, Distribution], seed: int, number: int) -> dict[str, Any]:
    """The parameters of one trial."""
    rng = np.random.RandomState([seed, number])
    return {name: drawn_value(distribution, rng) for name, distribution in space.items()}


def search(
    create: Create,
    space: Mapping[str, Distribution],
    train: Examples,
    validation: Examples,
    trials: int,
    seed: int,
    storage: Path | None = None,
    identity: str = "",
    on_trial: Callable[[int], None] = lambda done: None,
    engine: str = "local",
    workers: int | None = None,
) -> Found:
    """Find the best parameters for every task.

    Args:
        create: makes a predictor from parameters.
        space: what to draw them from.
        train: cross-validated by its folds; without folds, every trial is fitted once and judged on ``validation``.
        validation: for a predictor's early stopping.
        trials: how many draws.
        seed: of the draws.
        storage: an SQLite database to keep the trials in; a finished trial in it is not repeated.
        identity: what else the trials depend on; trials of another identity are others.
        on_trial: told how many trials are done.
        engine: a key of ``ENGINES``; every engine chooses the same.
        workers: how many trials at a time, where the engine can; ``None`` for one per CPU core.

    Returns:
        what was chosen, and from what.

    Raises:
        ZoobenchError: an unknown engine, or one that is not installed; the predictor has nothing to choose, or no
            trial gave a defined score for a task.
    """
    import optuna

    check_known("engine", engine, ENGINES)
    if not space:
        raise ZoobenchError("this predictor has no parameters to search; leave out --trials")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    key = hashlib.sha256(repr((identity, seed, sorted(space.items()), list(train.targets))).encode()).hexdigest()
    with _kept_in(storage):
        study = optuna.create_study(
            storage=_database(storage) if storage else None,
            study_name=key,
            load_if_exists=True,
            direction="maximize",
        )
        done = {
            trial.user_attrs["number"]: json.loads(trial.user_attrs["scores"])
            for trial in study.get_trials(deepcopy=False)
            if trial.state == optuna.trial.TrialState.COMPLETE
        }
    on_trial(len(done))
    missing = {number: parameters_of(space, seed, number) for number in range(trials) if number not in done}
    for number, scores in ENGINES[engine](create, missing, train, validation, workers) if missing else ():
        done[number] = scores
        mean = float(np.mean(list(done[number].values())))
        with _kept_in(storage):
            study.add_trial(
                optuna.trial.create_trial(
                    value=mean if math.isfinite(mean) else -1e9,
                    params=missing[number],
                    distributions={name: _for_optuna(distribution) for name, distribution in space.items()},
                    user_attrs={"number": number, "scores": json.dumps(done[number])},
                )
            )
        on_trial(len(done))
    chosen = {}
    for task in train.targets.columns:
        scored = [(done[number][task], number) for number in range(trials) if math.isfinite(done[number][task])]
        if not scored:
            raise ZoobenchError(f"no trial gave a defined score for {task}; is its target constant in a fold?")
        score, number = max(scored, key=lambda pair: (pair[0], -pair[1]))
        chosen[task] = Chosen(number, parameters_of(space, seed, number), score)
    return Found(chosen, tuple(Trial(parameters_of(space, seed, number), done[number]) for number in range(trials)))


@contextlib.contextmanager
def _kept_in(storage: Path | None) -> Iterator[None]:
    """What SQLAlchemy makes of a file that is no database, is locked, or cannot be written, is one line."""
    try:
        yield
    except Exception as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ZoobenchError(f"cannot keep trials in {storage} ({reason}); name another file") from error


def _database(path: Path) -> Any:
    """An SQLite database at a path, whatever characters it has: in a URL some of them mean something."""
    from optuna.storages import RDBStorage

    connect = functools.partial(sqlite3.connect, path, check_same_thread=False, timeout=_LOCKED_SECONDS)
    return RDBStorage("sqlite:///trials", engine_kwargs={"creator": connect})


def _for_optuna(distribution: Distribution) -> Any:
    """As Optuna calls it, for its own tools."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match distribution:
        case Choice(values):
            return CategoricalDistribution(values)
        case Uniform(int(low), int(high)):
            return IntDistribution(low, high)
        case Uniform(low, high):
            return FloatDistribution(low, high)
        case LogUniform(low, high):
            return FloatDistribution(low, high, log=True)


def _local(
    create: Create, trials: Mapping[int, Parameters], train: Examples, validation: Examples, workers: int | None
) -> Iterator[tuple[int, dict[str, float]]]:
    """One trial after the other, each with all cores."""
    for number, parameters in trials.items():
        yield number, judge(create, parameters, train, validation)


def _ray(
    create: Create, trials: Mapping[int, Parameters], train: Examples, validation: Examples, workers: int | None
) -> Iterator[tuple[int, dict[str, float]]]:
    try:
        from .ray_search import judged
    except ImportError as error:
        raise ZoobenchError(f"--engine ray needs {error.name}: pip install 'zoobench[ray]'") from error
    return judged(create, trials, train, validation, workers)


ENGINES: Mapping[str, Callable[..., Iterator[tuple[int, dict[str, float]]]]] = {"local": _local, "ray": _ray}
