"""Macro averages: over the tasks of a zoo, over the zoos of a family, over the families; with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from . import metrics
from .bootstrap import Bootstrap
from .results import Average
from .scores import score_of


@dataclass(frozen=True)
class Resampled:
    """Scores on one zoo under one protocol: task name -> metric name -> value and resamples (1 + resamples,)."""

    zoo: str
    protocol: str
    values: Mapping[str, Mapping[str, np.ndarray]]

    @property
    def family(self) -> str:
        """The repo, with its scale."""
        return self.zoo.partition("/")[0]


def averages(resampled: Iterable[Resampled], bootstrap: Bootstrap) -> list[Average]:
    """Average what was scored in distribution.

    A metric is averaged over the tasks that have it, if it has no unit. Where it is undefined for one of them, so is
    the average. Intervals come from averaging the resamples of the runs, zoo by zoo.
    """
    zoos = list(resampled)
    found = []
    for protocol in dict.fromkeys(zoo.protocol for zoo in zoos):
        for metric in metrics.METRICS:
            having = [zoo for zoo in zoos if zoo.protocol == protocol and _tasks(zoo, metric.name)]
            if metric.has_unit or not having:
                continue
            families = {
                name: [zoo for zoo in having if zoo.family == name] for name in dict.fromkeys(z.family for z in having)
            }
            means = {
                name: np.mean([_mean(zoo, metric.name) for zoo in members], 0) for name, members in families.items()
            }
            for name, members in families.items():
                found.append(_average(protocol, name, metric.name, members, means[name], bootstrap))
            overall = np.mean(list(means.values()), 0)
            found.append(_average(protocol, None, metric.name, having, overall, bootstrap))
    return found


def _tasks(zoo: Resampled, metric: str) -> list[str]:
    return [task for task, values in zoo.values.items() if metric in values]


def _mean(zoo: Resampled, metric: str) -> np.ndarray:
    return np.mean([zoo.values[task][metric] for task in _tasks(zoo, metric)], 0)


def _average(
    protocol: str, family: str | None, metric: str, zoos: Sequence[Resampled], mean: np.ndarray, bootstrap: Bootstrap
) -> Average:
    undefined = [
        f"{t} of {z.zoo}" for z in zoos for t in _tasks(z, metric) if not math.isfinite(z.values[t][metric][0])
    ]
    score = score_of(mean, bootstrap, f"undefined for {undefined[0]}" if undefined else "")
    count = sum(len(_tasks(zoo, metric)) for zoo in zoos)
    return Average(
        protocol=protocol, family=family, metric=metric, zoos=[zoo.zoo for zoo in zoos], tasks=count, score=score
    )
