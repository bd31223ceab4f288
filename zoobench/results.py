"""Results: what the harness says of a predictions file, stamped so that only like is compared with like."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 2


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(_Strict):
    """A metric's value with its interval; ``None`` where undefined, and then ``reason`` says why."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


class Confusion(_Strict):
    """``counts[i][j]``: rows of class ``classes[i]`` that are predicted to be of class ``classes[j]``."""

    classes: list[str]
    counts: list[list[int]]


class TaskResult(_Strict):
    """Scores of one task by metric name.

    ``kind`` is regression or classification, ``unit`` the unit of MAE. ``tau_ceiling`` is the highest tau-b that
    predictions without ties can reach, since targets tie; ``None`` in classification and where all do.
    """

    kind: str
    main_metric: str
    unit: str
    scores: dict[str, Score]
    tau_ceiling: float | None = None
    confusion: Confusion | None = None


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
