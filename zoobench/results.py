"""Results: what the harness says of a predictions file, stamped so that only like is compared with like."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(_Strict):
    """A metric's value with its interval; ``None`` where undefined, and then ``reason`` says why."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


class TaskResult(_Strict):
    """Scores of one task by metric name; ``unit`` is the unit of MAE."""

    main_metric: str
    unit: str
    scores: dict[str, Score]


class Stamp(_Strict):
    """What a score depends on. Results whose ``comparable`` parts differ are never ranked together."""

    labels_sha256: str
    split: str
    protocol: str
    task_versions: dict[str, int]
    metric_versions: dict[str, int]
    bootstrap: dict[str, float]
    zoobench: str
    predictions_sha256: str

    def comparable(self, tasks: Sequence[str]) -> tuple[object, ...]:
        """The part that must agree before scores of ``tasks`` are ranked together."""
        versions = tuple((task, self.task_versions[task]) for task in tasks if task in self.task_versions)
        metrics = tuple(sorted(self.metric_versions.items()))
        return (self.labels_sha256, self.split, self.protocol, versions, metrics)


class ZooResult(_Strict):
    """Scores on one zoo of predictions by a method trained on ``trained_on``."""

    zoo: str
    trained_on: str
    runs: int
    rows: int
    tasks: dict[str, TaskResult]
    stamp: Stamp


class Result(_Strict):
    schema_version: int
    results: list[ZooResult]
