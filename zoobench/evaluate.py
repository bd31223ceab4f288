"""The harness: predictions in, stamped scores out.

Needs the labels of the test split only (kilobytes), and neither torch nor transformers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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


def _evaluate_zoo(
    predictions: Predictions,
    zoo: Zoo,
    trained_on: Zoo,
    rows: pd.DataFrame,
    protocol: str,
    homes: Sequence[Path],
    bootstrap: Bootstrap,
) -> ZooResult:
    scored_rows = rows_of(protocol, zoo, homes)
    labels = scored_rows.labels
    needed = rows[~rows["example_id"].isin(scored_rows.others)]
    predicted = join(zoo, needed, labels, predictions.task_names, predictions.source)
    run, run_ids = pd.factorize(labels["run_id"])
    scored = [tasks.get(name) for name in predictions.task_names]
    # One task per core; the linear algebra inside would only compete for the same cores.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda task: _score_task(task, zoo, labels, predicted, np.asarray(run), bootstrap), scored)
        by_task = {task.name: result for task, result in zip(scored, results, strict=True)}
    return ZooResult(
        zoo=zoo.id,
        trained_on=trained_on.id,
        runs=len(run_ids),
        rows=len(run),
        tasks=by_task,
        stamp=Stamp(
            labels_sha256=scored_rows.sha256,
            split=SPLIT,
            protocol=protocol,
            task_versions={task.name: task.version for task in scored},
            metric_versions={
                metric.name: metric.version
                for metric in metrics.METRICS
                if metric.kind in {task.kind for task in scored}
            },
            bootstrap={"resamples": bootstrap.resamples, "level": bootstrap.level, "seed": bootstrap.seed},
            zoobench=__version__,
            predictions_sha256=predictions.sha256,
        ),
    )


def _score_task(
    task: tasks.Task, zoo: Zoo, labels: pd.DataFrame, predicted: pd.DataFrame, run: np.ndarray, bootstrap: Bootstrap
) -> TaskResult:
    target, prediction = task.target(labels), predicted[task.name].to_numpy()
    ceiling, confusion = None, None
    if task.kind == CLASSIFICATION:
        classes = tasks.classes_of(task, zoo.spec, labels)
        number = {name: position for position, name in enumerate(classes)}
        target, prediction = (np.array([number[name] for name in names]) for names in (target, prediction))
        sample = Sample(target, prediction, run)
        confusion = Confusion(classes=classes, counts=count_confusion(sample, len(classes)))
    else:
        sample = Sample(target, prediction, run)
        ceiling = _defined(tau_ceiling(target))
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
        tau_ceiling=ceiling,
        confusion=confusion,
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
