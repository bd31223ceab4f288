"""Macro averages: over the tasks of a zoo, over the zoos of a family, over the families; with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from . import metrics, tasks
from .jackknife import Jackknife, Spread, enough, over_runs, over_seeds, together
from .results import Average
from .scores import given

_Values = TypeVar("_Values", float, np.ndarray)


# A mean, its spread over runs, and what seeds add to it.
_Mean = tuple[float, Spread, Spread]


@dataclass(frozen=True)
class Estimates:
    """Scores on one zoo under one protocol, with and without each group of runs.

    Attributes:
        zoo: id.
        protocol: name.
        values: task name -> metric name -> by seed (seeds, 1 + groups).
        gains: task name -> its ranking metric less that of the hyperparameters' reference, as ``values``.
    """

    zoo: str
    protocol: str
    values: Mapping[str, Mapping[str, np.ndarray]]
    gains: Mapping[str, np.ndarray]

    @property
    def family(self) -> str:
        """The repo, with its scale."""
        return self.zoo.partition("/")[0]

    def joined(self, other: Estimates) -> Estimates:
        """With those of other tasks."""
        return replace(self, values={**self.values, **other.values}, gains={**self.gains, **other.gains})


def averages(estimates: Iterable[Estimates], jackknife: Jackknife) -> list[Average]:
    """Average what was scored in distribution.

    A metric is averaged over the tasks that have it, if it has no unit. Where it is undefined for one of them, so is
    the average. Zoos are independent of each other.
    """
    zoos = list(estimates)
    found = []
    for protocol in dict.fromkeys(zoo.protocol for zoo in zoos):
        for metric in metrics.METRICS:
            having = [zoo for zoo in zoos if zoo.protocol == protocol and _tasks(zoo, metric.name)]
            if metric.has_unit or not having:
                continue
            families = {
                name: [zoo for zoo in having if zoo.family == name] for name in dict.fromkeys(z.family for z in having)
            }
            means = {name: _mean([_of_zoo(zoo, metric.name) for zoo in members]) for name, members in families.items()}
            for name, members in families.items():
                found.append(_average(protocol, name, metric.name, members, means[name], jackknife))
            found.append(_average(protocol, None, metric.name, having, _mean(list(means.values())), jackknife))
    return found


def mean_skill(skills: Mapping[str, _Values]) -> _Values:
    """What rankings go by: the mean over targets, each the mean over the tasks that are counted as it.

    Args:
        skills: by task name, the ranking metric of each, or several of them as arrays of one shape.
    """
    targets: dict[str, list[_Values]] = {}
    for name, values in skills.items():
        task = tasks.get(name)
        if task.ranked:
            targets.setdefault(task.counted_as or name, []).append(values)
    mean: _Values = np.mean([np.mean(counted, axis=0) for counted in targets.values()], axis=0)
    return mean


def _tasks(zoo: Estimates, metric: str) -> list[str]:
    return [task for task, values in zoo.values.items() if metric in values]


def _mean(parts: Sequence[_Mean]) -> _Mean:
    """Of independent estimates."""
    values, runs, seeds = zip(*parts, strict=True)
    share = 1 / len(parts)
    return float(np.mean(values)), together(s.times(share) for s in runs), together(s.times(share) for s in seeds)


def _of_zoo(zoo: Estimates, metric: str) -> _Mean:
    """Over tasks; those that were predicted with as many seeds are of the same seeds."""
    values = [zoo.values[task][metric] for task in _tasks(zoo, metric)]
    mean = np.mean([one.mean(axis=0) for one in values], axis=0)
    by_seeds: dict[int, list[np.ndarray]] = {}
    for one in values:
        by_seeds.setdefault(len(one), []).append(one)
    seeds = [over_seeds(np.sum(alike, axis=0) / len(values)) for alike in by_seeds.values()]
    return float(mean[0]), over_runs(mean[1:]), together(seeds)


def _average(
    protocol: str,
    family: str | None,
    metric: str,
    zoos: Sequence[Estimates],
    mean: _Mean,
    jackknife: Jackknife,
) -> Average:
    undefined = [
        f"{t} of {z.zoo}" for z in zoos for t in _tasks(z, metric) if not math.isfinite(z.values[t][metric][:, 0].sum())
    ]
    value, runs, seeds = mean
    score = given(
        value,
        jackknife.around(value, enough(runs), seeds),
        f"undefined for {undefined[0]}" if undefined else "",
    )
    count = sum(len(_tasks(zoo, metric)) for zoo in zoos)
    return Average(
        protocol=protocol, family=family, metric=metric, zoos=[zoo.zoo for zoo in zoos], tasks=count, score=score
    )
