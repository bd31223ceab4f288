"""The form in which scored submissions are stored, and back.

What is the same for all submissions is left out, and found beside the labels (``targets``).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, StringConstraints

from zoobench.scoring.results import Confusion, Finite, OverReference, Score, Stamp, TaskResult
from zoobench.strict import Strict

from .description import Description
from .lines import row_of, score_of_row
from .scored import BoardResult, MeanSkill, Points, ScoredSubmission
from .targets import Targets

INPUTS = b"zoobench.inputs_sha256"
_BULK = pa.schema(
    [
        ("zoo", pa.string()),
        ("protocol", pa.string()),
        ("without", pa.list_(pa.float32())),
        ("points", pa.map_(pa.string(), pa.binary())),
    ]
)
WITHOUT = "without.list.element"


class StoredStamp(Finite):
    """What the stamps of all results of one scoring share; versions of all tasks and metrics that they have."""

    split: str
    jackknife: dict[str, float]
    zoobench: str
    task_versions: dict[str, int]
    metric_versions: dict[str, int]


class StoredMean(Finite):
    seed_variance: float
    seeds: int
    over_hyperparameters: list[Any] | None = None


class StoredResult(Strict):
    """``scores`` by task and metric, each a row of ``lines``; ``confusion`` by task.

    ``over_hyperparameters`` by task: rows of the difference and, in regression, of what is left. ``mean`` as in
    ``MeanSkill``, less what is in the parquet file.
    """

    zoo: str
    trained_on: str
    protocol: str
    labels_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    predictions_sha256: list[str]
    seeds: list[int] | None = None
    scores: dict[str, dict[str, list[Any]]]
    confusion: dict[str, list[list[int]]] = Field(default_factory=dict)
    over_hyperparameters: dict[str, dict[str, list[Any]]] = Field(default_factory=dict)
    mean: StoredMean | None = None


class Stored(Strict):
    schema_version: int
    name: str
    submission: Description
    inputs_sha256: str
    stamp: StoredStamp
    results: list[StoredResult]


def to_stored(scored: ScoredSubmission) -> Stored:
    stamps = [result.stamp for result in scored.results]
    return Stored(
        schema_version=scored.schema_version,
        name=scored.name,
        submission=scored.submission,
        inputs_sha256=scored.inputs_sha256,
        stamp=StoredStamp(
            split=stamps[0].split,
            jackknife=stamps[0].jackknife,
            zoobench=stamps[0].zoobench,
            task_versions={task: version for stamp in stamps for task, version in stamp.task_versions.items()},
            metric_versions={metric: version for stamp in stamps for metric, version in stamp.metric_versions.items()},
        ),
        results=[_result(result) for result in scored.results],
    )


def _result(result: BoardResult) -> StoredResult:
    return StoredResult(
        zoo=result.zoo,
        trained_on=result.trained_on,
        protocol=result.stamp.protocol,
        labels_sha256=result.stamp.labels_sha256,
        predictions_sha256=result.stamp.predictions_sha256,
        seeds=result.seeds,
        scores={
            name: {metric: row_of(score) for metric, score in task.scores.items()}
            for name, task in result.tasks.items()
        },
        confusion={name: task.confusion.counts for name, task in result.tasks.items() if task.confusion is not None},
        over_hyperparameters={
            name: {field: row_of(score) for field, score in over if score is not None}
            for name, task in result.tasks.items()
            if (over := task.over_hyperparameters) is not None
        },
        mean=_mean_stored(result.mean),
    )


def _mean_stored(mean: MeanSkill | None) -> StoredMean | None:
    if mean is None:
        return None
    gain = mean.over_hyperparameters
    return StoredMean(
        seed_variance=mean.seed_variance, seeds=mean.seeds, over_hyperparameters=None if gain is None else row_of(gain)
    )


def bulk_of(scored: ScoredSubmission) -> pa.Table:
    rows = [
        {
            "zoo": result.zoo,
            "protocol": result.stamp.protocol,
            "without": result.mean and result.mean.without,
            "points": [(task, base64.b64decode(points.predicted)) for task, points in result.points.items()],
        }
        for result in scored.results
        if result.zoo == result.trained_on
    ]
    return pa.Table.from_pylist(rows, _BULK.with_metadata({INPUTS: scored.inputs_sha256.encode()}))


def read_bulk(path: Path, inputs: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of the parquet file, by zoo and protocol."""
    with pq.ParquetFile(path) as file:
        if (file.schema_arrow.metadata or {}).get(INPUTS) != inputs.encode():
            raise ValueError("of other inputs than the scores beside it")
        return {(row["zoo"], row["protocol"]): row for row in file.read().to_pylist()}


def whole(
    stored: StoredResult, stamp: StoredStamp, targets: Targets, bulk: Mapping[tuple[str, str], Mapping[str, Any]]
) -> BoardResult:
    """A result as it was when it was scored."""
    tasks = {name: _task(name, stored, targets) for name in stored.scores}
    metrics = {metric for task in tasks.values() for metric in task.scores}
    own: Mapping[str, Any] = {"without": None, "points": ()}
    if stored.zoo == stored.trained_on:
        own = bulk[stored.zoo, stored.protocol]
    return BoardResult(
        zoo=stored.zoo,
        trained_on=stored.trained_on,
        seeds=stored.seeds,
        runs=targets.runs,
        rows=targets.rows,
        collapsed=targets.collapsed,
        tasks=tasks,
        references=[
            one.model_copy(update={"tasks": {name: one.tasks[name] for name in tasks if name in one.tasks}})
            for one in targets.references
        ],
        stamp=Stamp(
            labels_sha256=stored.labels_sha256,
            split=stamp.split,
            protocol=stored.protocol,
            task_versions={name: stamp.task_versions[name] for name in tasks},
            metric_versions={name: version for name, version in stamp.metric_versions.items() if name in metrics},
            jackknife=stamp.jackknife,
            zoobench=stamp.zoobench,
            predictions_sha256=stored.predictions_sha256,
        ),
        mean=_mean(stored.mean, own["without"]),
        points={name: _points(targets, name, drawn) for name, drawn in own["points"]},
    )


def _mean(stored: StoredMean | None, without: list[float] | None) -> MeanSkill | None:
    if stored is None or without is None:
        return None
    gain = stored.over_hyperparameters
    return MeanSkill(
        without=without,
        seed_variance=stored.seed_variance,
        seeds=stored.seeds,
        over_hyperparameters=None if gain is None else score_of_row(gain),
    )


def _task(name: str, stored: StoredResult, targets: Targets) -> TaskResult:
    task = targets.tasks[name]
    if task.main_metric not in stored.scores[name]:
        raise ValueError(f"{name} has no {task.main_metric}")
    scores: dict[str, Score] = {metric: score_of_row(row) for metric, row in stored.scores[name].items()}
    confusion = None
    if name in stored.confusion:
        confusion = Confusion(classes=task.classes or [], counts=stored.confusion[name])
    over = stored.over_hyperparameters.get(name)
    return TaskResult(
        kind=task.kind,
        main_metric=task.main_metric,
        unit=task.unit,
        scores=scores,
        tau_ceiling=task.tau_ceiling,
        confusion=confusion,
        over_hyperparameters=None
        if over is None
        else OverReference(**{field: score_of_row(row) for field, row in over.items()}),
    )


def _points(targets: Targets, name: str, drawn: bytes) -> Points:
    axis = targets.tasks[name].axis
    if axis is None:
        raise ValueError(f"no axis for {name}")
    return Points(axis=axis, predicted=base64.b64encode(drawn).decode())
