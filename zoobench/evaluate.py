"""The harness: predictions in, stamped scores out.

Needs the labels of the test split only (kilobytes), and neither torch nor transformers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from . import __version__, hub, metrics, tasks
from .metrics import Bootstrap, Sample
from .predictions import Predictions, join, read_predictions
from .results import SCHEMA_VERSION, Result, Score, Stamp, TaskResult, ZooResult
from .zoos import Zoo

SPLIT = "test"
PROTOCOL = "all"


def evaluate(path: Path, homes: Sequence[Path] = (), bootstrap: Bootstrap | None = None) -> Result:
    """Score a predictions file on every zoo it covers.

    Args:
        path: parquet or ``.csv`` (see ``predictions``).
        homes: folders to search for labels before ``ZOOBENCH_DATA`` and the Hub.
        bootstrap: how intervals are made.

    Raises:
        ZoobenchError: the file is not a complete, finite set of predictions for known zoos and tasks.
    """
    predictions = read_predictions(path)
    return Result(
        schema_version=SCHEMA_VERSION,
        results=[
            _evaluate_zoo(predictions, zoo, trained_on, rows, homes, bootstrap or Bootstrap())
            for zoo, trained_on, rows in predictions.groups()
        ],
    )


def _evaluate_zoo(
    predictions: Predictions,
    zoo: Zoo,
    trained_on: Zoo,
    rows: pd.DataFrame,
    homes: Sequence[Path],
    bootstrap: Bootstrap,
) -> ZooResult:
    labels = hub.load_labels(zoo, SPLIT, homes)
    predicted = join(zoo, rows, labels.frame, predictions.task_names, predictions.source)
    run, run_ids = pd.factorize(labels.frame["run_id"])
    return ZooResult(
        zoo=zoo.id,
        trained_on=trained_on.id,
        runs=len(run_ids),
        rows=len(run),
        tasks={
            name: _score_task(
                tasks.get(name),
                Sample(tasks.get(name).target(labels.frame), predicted[name].to_numpy(), np.asarray(run)),
                bootstrap,
            )
            for name in predictions.task_names
        },
        stamp=Stamp(
            labels_sha256=labels.sha256,
            split=SPLIT,
            protocol=PROTOCOL,
            task_versions={name: tasks.get(name).version for name in predictions.task_names},
            metric_versions={metric.name: metric.version for metric in metrics.METRICS},
            bootstrap={"resamples": bootstrap.resamples, "level": bootstrap.level, "seed": bootstrap.seed},
            zoobench=__version__,
            predictions_sha256=predictions.sha256,
        ),
    )


def _score_task(task: tasks.Task, sample: Sample, bootstrap: Bootstrap) -> TaskResult:
    scores = {}
    for metric in metrics.METRICS:
        value, low, high = (_defined(x) for x in metrics.estimate(metric, sample, bootstrap))
        reason = _why_undefined(sample) if value is None else None
        scores[metric.name] = Score(value=value, low=low, high=high, reason=reason)
    return TaskResult(main_metric=task.main_metric, unit=task.unit, scores=scores)


def _defined(value: float) -> float | None:
    """Ten significant digits: the rest depends on the machine's order of summation and would make results differ."""
    return float(f"{value:.10g}") if math.isfinite(value) else None


def _why_undefined(sample: Sample) -> str:
    if len(np.unique(sample.target)) == 1:
        return "the target is constant on the test split"
    if len(np.unique(sample.prediction)) == 1:
        return "the predictions are constant"
    return "the value is not finite"
