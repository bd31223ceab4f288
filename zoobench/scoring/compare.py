"""Comparing two predictions files: the difference of every score, by a jackknife that leaves the same runs out of both.

Two methods are scored on the same runs, and what is easy is easy for both: the difference is known far better than
either score.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from ..cores import usable_cores
from ..data.hub import Store
from ..errors import ZoobenchError
from . import metrics, tasks
from .jackknife import Jackknife, enough, halved, likely_above, over_runs
from .joining import Joined, join
from .metrics import Metric
from .predictions import Source, read_predictions
from .sample import Sample


@dataclass(frozen=True)
class Difference:
    """Score of A less score of B with its interval, and the probability that A is better; ``None`` where undefined.

    ``probability`` is Student's, that the difference lies on A's side. It and the interval are ``None`` where there are
    too few runs.
    """

    value: float | None
    low: float | None
    high: float | None
    probability: float | None


@dataclass(frozen=True)
class Comparison:
    """Two methods on one zoo: task name -> metric name -> difference."""

    zoo: str
    trained_on: str
    protocol: str
    rows: int
    runs: int
    tasks: dict[str, dict[str, Difference]]


def compare(
    first: Source,
    second: Source,
    homes: Sequence[Path] = (),
    jackknife: Jackknife | None = None,
    protocol: str = "all",
) -> list[Comparison]:
    """Compare two sets of predictions on the zoos and tasks that both predict.

    Args:
        first: method A: parquet, ``.csv`` or a DataFrame.
        second: method B.
        homes: folders to search for labels before ``ZOOBENCH_DATA`` and the Hub.
        jackknife: how intervals are made.
        protocol: which checkpoints are scored.

    Raises:
        ZoobenchError: predictions that the scorer refuses, or nothing that both predict.
    """
    files = [read_predictions(source, name=f"DataFrame {name}") for source, name in ((first, "A"), (second, "B"))]
    shared = [name for name in files[0].task_names if name in files[1].task_names]
    groups = [{(group.zoo.id, group.trained_on.id): group for group in file.groups} for file in files]
    both = [key for key in groups[0] if key in groups[1]]
    if not shared or not both:
        raise ZoobenchError(
            f"{files[0].source} and {files[1].source} predict no task of one zoo in common: "
            + " and ".join(
                f"{', '.join(file.task_names)} of {', '.join(dict.fromkeys(zoo for zoo, _ in part))}"
                for file, part in zip(files, groups, strict=True)
            )
        )
    store, result = Store(homes), []
    for key in both:
        pair = [join(file, part[key], protocol, store) for file, part in zip(files, groups, strict=True)]
        result.append(_compare(key, pair[0], pair[1], shared, protocol, jackknife or Jackknife()))
    return result


def _compare(
    key: tuple[str, str], first: Joined, second: Joined, names: Sequence[str], protocol: str, jackknife: Jackknife
) -> Comparison:
    work = [(name, metric) for name in names for metric in metrics.metrics_of(tasks.get(name).kind)]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
        found = list(
            pool.map(lambda job: difference(job[1], first.samples[job[0]], second.samples[job[0]], jackknife), work)
        )
    by_task: dict[str, dict[str, Difference]] = {name: {} for name in names}
    for (name, metric), one in zip(work, found, strict=True):
        by_task[name][metric.name] = one
    return Comparison(*key, protocol, len(first.labels), first.runs, by_task)


def difference(metric: Metric, first: Sample, second: Sample, jackknife: Jackknife) -> Difference:
    """Of a metric, on the same runs."""
    counts = jackknife.counts(first.runs)
    values = [metric.bounded(metric.compute(sample, counts)) for sample in (first, second)]
    differences = values[0] - values[1]
    value, spread = float(differences[0]), enough(over_runs(differences[1:]))
    if metric.share:
        spread = halved(spread)
    if not np.isfinite(value):
        return Difference(None, None, None, None)
    ends = jackknife.around(value, spread)
    if ends is None:
        return Difference(value, None, None, None)
    return Difference(value, *ends, likely_above(value if metric.higher_is_better else -value, spread))
