"""The harness: predictions in, stamped scores out.

Needs the labels of the test split only (kilobytes), and neither torch nor transformers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from . import __version__, metrics, tasks
from .classification import confusion as count_confusion
from .metrics import CLASSIFICATION
from .predictions import Predictions, join, read_predictions
from .protocols import rows_of
from .ranks import tau_ceiling
from .resampling import Bootstrap, Sample
from .results import SCHEMA_VERSION, Confusion, Result, Score, Stamp, TaskResult, ZooResult
from .zoos import Zoo

SPLIT = "test"


def evaluate(
    path: Path,
    homes: Sequence[Path] = (),
    bootstrap: Bootstrap | None = None,
    protocols: Sequence[str] = ("all",),
) -> Result:
    """Score a predictions file on every zoo it covers.

    Args:
        path: parquet or ``.csv`` (see ``predictions``).
        homes: folders to search for labels before ``ZOOBENCH_DATA`` and the Hub.
        bootstrap: how intervals are made.
        protocols: which checkpoints are scored, one result per zoo and protocol (see ``protocols``).

    Raises:
        ZoobenchError: the file is not a complete, finite set of predictions for known zoos and tasks, or a protocol
            leaves nothing of a zoo.
    """
    predictions = read_predictions(path)
    return Result(
        schema_version=SCHEMA_VERSION,
        results=[
            _evaluate_zoo(predictions, zoo, trained_on, rows, protocol, homes, bootstrap or Bootstrap())
            for zoo, trained_on, rows in predictions.groups()
            for protocol in protocols
        ],
    )


@dataclass(frozen=True)
class Scored:
    """Predictions of one zoo beside their targets.

    Attributes:
        samples: by task name.
        classes: of the classification tasks, in the order of the class numbers in their samples.
        rows: how many are scored.
        runs: how many runs they are of.
        labels_sha256: of what says which rows are scored, and their targets.
    """

    samples: dict[str, Sample]
    classes: dict[str, list[str]]
    rows: int
    runs: int
    labels_sha256: str


def scored(predictions: Predictions, zoo: Zoo, rows: pd.DataFrame, protocol: str, homes: Sequence[Path]) -> Scored:
    """Join one zoo's rows of a predictions file to the labels that a protocol scores.

    Raises:
        ZoobenchError: a protocol that leaves nothing, a task that makes no sense on the zoo, or ids, or class names,
            that are not those of the labels.
    """
    chosen = rows_of(protocol, zoo, homes)
    needed = rows[~rows["example_id"].isin(chosen.others)]
    predicted = join(zoo, needed, chosen.labels, predictions.task_names, predictions.source)
    run, run_ids = pd.factorize(chosen.labels["run_id"])
    samples, classes = {}, {}
    for task in map(tasks.get, predictions.task_names):
        values = [task.target(chosen.labels), predicted[task.name].to_numpy()]
        if task.kind == CLASSIFICATION:
            classes[task.name] = tasks.classes_of(task, zoo.spec, chosen.labels)
            number = {name: position for position, name in enumerate(classes[task.name])}
            values = [np.array([number[name] for name in names]) for names in values]
        samples[task.name] = Sample(values[0], values[1], np.asarray(run))
    return Scored(samples, classes, len(run), len(run_ids), chosen.sha256)


def _evaluate_zoo(
    predictions: Predictions,
    zoo: Zoo,
    trained_on: Zoo,
    rows: pd.DataFrame,
    protocol: str,
    homes: Sequence[Path],
    bootstrap: Bootstrap,
) -> ZooResult:
    data = scored(predictions, zoo, rows, protocol, homes)
    chosen = [tasks.get(name) for name in data.samples]
    # One task per core; the linear algebra inside would only compete for the same cores.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda task: _score_task(task, data, bootstrap), chosen)
        by_task = {task.name: result for task, result in zip(chosen, results, strict=True)}
    kinds = {task.kind for task in chosen}
    return ZooResult(
        zoo=zoo.id,
        trained_on=trained_on.id,
        runs=data.runs,
        rows=data.rows,
        tasks=by_task,
        stamp=Stamp(
            labels_sha256=data.labels_sha256,
            split=SPLIT,
            protocol=protocol,
            task_versions={task.name: task.version for task in chosen},
            metric_versions={metric.name: metric.version for metric in metrics.METRICS if metric.kind in kinds},
            bootstrap={"resamples": bootstrap.resamples, "level": bootstrap.level, "seed": bootstrap.seed},
            zoobench=__version__,
            predictions_sha256=predictions.sha256,
        ),
    )


def _score_task(task: tasks.Task, data: Scored, bootstrap: Bootstrap) -> TaskResult:
    sample, classes = data.samples[task.name], data.classes.get(task.name)
    scores = {}
    for metric in metrics.metrics_of(task.kind):
        value, low, high = (_defined(x) for x in metrics.estimate(metric, sample, bootstrap))
        reason = _why_undefined(sample) if value is None else None
        scores[metric.name] = Score(value=value, low=low, high=high, reason=reason)
    return TaskResult(
        kind=task.kind,
        main_metric=task.main_metric,
        unit=task.unit,
        scores=scores,
        tau_ceiling=None if classes else _defined(tau_ceiling(sample.target)),
        confusion=Confusion(classes=classes, counts=count_confusion(sample, len(classes))) if classes else None,
    )


def _defined(value: float) -> float | None:
    """Ten significant digits: the rest depends on the machine's order of summation and would make results differ."""
    return float(f"{value:.10g}") if math.isfinite(value) else None


def _why_undefined(sample: Sample) -> str:
    if len(np.unique(sample.target)) == 1:
        return "the target is constant on the test split"
    if len(np.unique(sample.prediction)) == 1:
        return "the predictions are constant"
    return "the value is not finite"
