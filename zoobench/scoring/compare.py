"""Comparing two predictions files: the difference of every score, by a bootstrap that resamples both alike.

Two methods are scored on the same runs, so that an easy resample is easy for both: the difference is known far better
than either score.
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
from .bootstrap import Bootstrap, Sample
from .joining import Joined, join
from .metrics import Metric
from .predictions import Source, read_predictions


@dataclass(frozen=True)
class Difference:
    """Score of A less score of B with its interval, and the probability that A is better; ``None`` where undefined.

    ``probability`` is the share of resamples in which A is better, ties counted half.
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
    bootstrap: Bootstrap | None = None,
    protocol: str = "all",
) -> list[Comparison]:
    """Compare two sets of predictions on the zoos and tasks that both predict.

    Args:
        first: method A: parquet, ``.csv`` or a DataFrame.
        second: method B.
        homes: folders to search for labels before ``ZOOBENCH_DATA`` and the Hub.
        bootstrap: how intervals are made; the same resamples for both.
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
        result.append(_compare(key, pair[0], pair[1], shared, protocol, bootstrap or Bootstrap()))
    return result


def _compare(
    key: tuple[str, str], first: Joined, second: Joined, names: Sequence[str], protocol: str, bootstrap: Bootstrap
) -> Comparison:
    work = [(name, metric) for name in names for metric in metrics.metrics_of(tasks.get(name).kind)]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
        found = list(
            pool.map(lambda job: _difference(job[1], first.samples[job[0]], second.samples[job[0]], bootstrap), work)
        )
    by_task: dict[str, dict[str, Difference]] = {name: {} for name in names}
    for (name, metric), difference in zip(work, found, strict=True):
        by_task[name][metric.name] = difference
    return Comparison(*key, protocol, len(first.labels), first.runs, by_task)


def _difference(metric: Metric, first: Sample, second: Sample, bootstrap: Bootstrap) -> Difference:
    counts = bootstrap.all_and_counts(first.runs)
    differences = metric.compute(first, counts) - metric.compute(second, counts)
    value, resampled = differences[0], differences[1:][np.isfinite(differences[1:])]
    if not np.isfinite(value) or not len(resampled):
        return Difference(None, None, None, None)
    low, high = bootstrap.interval(resampled)
    better = resampled if metric.higher_is_better else -resampled
    return Difference(float(value), low, high, float(np.mean((np.sign(better) + 1) / 2)))
