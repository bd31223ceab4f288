"""Comparing two predictions files: the difference of every score, by a bootstrap that resamples both alike.

Two methods are scored on the same runs, so that an easy resample is easy for both: the difference is known far better
than either score.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from . import metrics, tasks
from .errors import ZoobenchError
from .evaluate import Scored, scored
from .metrics import Metric
from .predictions import read_predictions
from .resampling import Bootstrap, Sample


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
    first: Path,
    second: Path,
    homes: Sequence[Path] = (),
    bootstrap: Bootstrap | None = None,
    protocol: str = "all",
) -> list[Comparison]:
    """Compare two predictions files on the zoos and tasks that both predict.

    Args:
        first: method A, parquet or ``.csv``.
        second: method B.
        homes: folders to search for labels before ``ZOOBENCH_DATA`` and the Hub.
        bootstrap: how intervals are made; the same resamples for both.
        protocol: which checkpoints are scored.

    Raises:
        ZoobenchError: a file that the scorer refuses, or nothing that both predict.
    """
    files = [read_predictions(path) for path in (first, second)]
    shared = [name for name in files[0].task_names if name in files[1].task_names]
    rows = [{(zoo.id, origin.id): (zoo, part) for zoo, origin, part in file.groups()} for file in files]
    both = [key for key in rows[0] if key in rows[1]]
    if not shared or not both:
        raise ZoobenchError(
            f"{first} and {second} predict no task of one zoo in common: "
            + " and ".join(
                f"{', '.join(file.task_names)} of {', '.join(dict.fromkeys(zoo for zoo, _ in part))}"
                for file, part in zip(files, rows, strict=True)
            )
        )
    result = []
    for key in both:
        pair = [scored(file, *part[key], protocol, homes) for file, part in zip(files, rows, strict=True)]
        result.append(_compare(key, pair[0], pair[1], shared, protocol, bootstrap or Bootstrap()))
    return result


def _compare(
    key: tuple[str, str], first: Scored, second: Scored, names: Sequence[str], protocol: str, bootstrap: Bootstrap
) -> Comparison:
    work = [(name, metric) for name in names for metric in metrics.metrics_of(tasks.get(name).kind)]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(
            pool.map(lambda job: _difference(job[1], first.samples[job[0]], second.samples[job[0]], bootstrap), work)
        )
    by_task: dict[str, dict[str, Difference]] = {name: {} for name in names}
    for (name, metric), difference in zip(work, found, strict=True):
        by_task[name][metric.name] = difference
    return Comparison(*key, protocol, first.rows, first.runs, by_task)


def _difference(metric: Metric, first: Sample, second: Sample, bootstrap: Bootstrap) -> Difference:
    counts = bootstrap.all_and_counts(first.runs)
    differences = metric.compute(first, counts) - metric.compute(second, counts)
    value, resampled = differences[0], differences[1:][np.isfinite(differences[1:])]
    if not np.isfinite(value) or not len(resampled):
        return Difference(None, None, None, None)
    tail = (1 - bootstrap.level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    better = resampled if metric.higher_is_better else -resampled
    return Difference(float(value), float(low), float(high), float(np.mean((np.sign(better) + 1) / 2)))
