"""Results: what the harness says of predictions, stamped so that only like is compared with like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ConfigDict, Field

from ..strict import Strict, read_versioned

SCHEMA_VERSION = 4


def number(value: float) -> str:
    """Three decimals, or two or three significant digits where that would be nothing, or endless."""
    if abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


class Finite(Strict):
    """A record whose numbers are finite, so that it can be JSON: what has no value is ``None``."""

    model_config = ConfigDict(allow_inf_nan=False)


class Score(Finite):
    """A value with its interval; ``None`` where undefined, and then ``reason`` says why: also why there is no interval.

    Of several seeds, ``value`` is the mean of ``by_seed``, ``spread`` their standard deviation (n - 1), and the
    interval covers seeds and test runs both. A reference has no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    by_seed: list[float | None] | None = None
    spread: float | None = None

    def __str__(self) -> str:
        """``0.912 [0.905, 0.919]``, or a dash where undefined."""
        if self.value is None:
            return "–"
        if self.low is None or self.high is None:
            return number(self.value)
        return f"{number(self.value)} [{number(self.low)}, {number(self.high)}]"


class Confusion(Strict):
    """``counts[i][j]``: rows of class ``classes[i]`` that are predicted to be ``classes[j]``, over all seeds."""

    classes: list[str]
    counts: list[list[int]]


class OverReference(Finite):
    """What predictions gain over a reference, on the same runs.

    ``difference`` is of the main metric. ``left_r2`` is, in regression, R² of what the reference leaves: of the targets
    less what it predicts, as the predictions less that; 0 for the reference itself.
    """

    difference: Score
    left_r2: Score | None = None


class TauBeside(Finite):
    """What tau-b is read beside; mean over seeds.

    ``rounded``: of predictions to three digits after the point, where the unit is a fraction: predictions that hardly
    differ are no order. ``not_collapsed``: among networks that are better than naming the most frequent class. ``None``
    where it is not defined or not known.
    """

    rounded: float | None = None
    not_collapsed: float | None = None


class TaskResult(Finite):
    """Scores of one task by metric name.

    ``kind`` is regression or classification, ``unit`` the unit of MAE. ``tau_ceiling`` is the highest tau-b that
    predictions without ties can reach, since targets tie; ``None`` in classification and where all do.
    ``tau_beside`` is of regression, and not stored on leaderboards. ``over_hyperparameters`` holds the predictions
    against the reference that knows how networks were trained, and nothing of their weights, where the zoo carries one
    for the task.
    """

    kind: str
    main_metric: str
    unit: str
    scores: dict[str, Score]
    tau_ceiling: float | None = None
    tau_beside: TauBeside | None = None
    confusion: Confusion | None = None
    over_hyperparameters: OverReference | None = None


class Collapsed(Finite):
    """The share of the scored networks that are no better than naming the most frequent class of the test images.

    ``majority_rate`` is that class's share of the images; ``reason`` says why it is unknown.
    """

    share: float | None
    majority_rate: float | None
    reason: str | None = None


class Reference(Strict):
    """Predictions that are published with the zoo (see ``references``), scored alike: task name -> metric -> score."""

    name: str
    predictions_sha256: str
    tasks: dict[str, dict[str, Score]]


class Change(Strict):
    """How predictions of perturbed networks differ from those of the networks themselves.

    ``changes``: task name -> mean absolute difference, or share of networks whose predicted class differs.
    ``preserves``: the perturbation leaves the networks' functions as they are.
    """

    perturbation: str
    preserves: bool
    rows: int
    runs: int
    predictions_sha256: str
    changes: dict[str, Score]


class Stamp(Finite):
    """What a score depends on. Results whose ``comparable`` parts differ are never ranked together."""

    labels_sha256: str
    split: str
    protocol: str
    task_versions: dict[str, int]
    metric_versions: dict[str, int]
    jackknife: dict[str, float]
    zoobench: str
    predictions_sha256: list[str]

    def comparable(self, tasks: Sequence[str]) -> tuple[object, ...]:
        """The part that must agree before scores of ``tasks`` are ranked together."""
        versions = tuple((task, self.task_versions[task]) for task in tasks if task in self.task_versions)
        metrics = tuple(sorted(self.metric_versions.items()))
        return (self.labels_sha256, self.split, self.protocol, versions, metrics)


class ZooResult(Strict):
    """Scores on one zoo of predictions by a method trained on ``trained_on``; ``seeds`` of several files of it."""

    zoo: str
    trained_on: str
    seeds: list[int] | None = None
    runs: int
    rows: int
    collapsed: Collapsed
    tasks: dict[str, TaskResult]
    references: list[Reference]
    perturbed: list[Change] = Field(default=[])
    stamp: Stamp


class Average(Strict):
    """Mean of a metric over the tasks of each zoo, over the zoos of a family (``None``: then over families).

    In distribution only. ``tasks`` counts the tasks, of all ``zoos`` together.
    """

    protocol: str
    family: str | None
    metric: str
    zoos: list[str]
    tasks: int
    score: Score


@dataclass(frozen=True)
class Matrix:
    """A metric of one task over zoos trained on (rows) and zoos tested on (columns); ``None`` where not predicted."""

    task: str
    protocol: str
    metric: str
    trained_on: tuple[str, ...]
    zoos: tuple[str, ...]
    scores: tuple[tuple[Score | None, ...], ...]


class Result(Strict):
    """What ``evaluate`` returns: ``print(result)`` lists the scores, a notebook shows them as a table."""

    schema_version: int
    results: list[ZooResult]
    averages: list[Average]

    def to_json(self) -> str:
        """The stamped result; its schema is ``docs/result.schema.json``."""
        return self.model_dump_json(indent=1) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """One row per zoo, protocol, task and metric: value, interval, spread over seeds."""
        return pd.DataFrame(
            {
                "zoo": part.zoo,
                "trained_on": part.trained_on,
                "protocol": part.stamp.protocol,
                "task": name,
                "metric": metric,
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "spread": score.spread,
            }
            for part in self.results
            for name, task in part.tasks.items()
            for metric, score in task.scores.items()
        )

    def matrices(self) -> Iterator[Matrix]:
        """Train x test matrices of Kendall's tau (accuracy in classification), where something is out of distribution.

        As Table 3 of Unterthiner 2020 and Table 7 of Schürholt 2021.
        """
        for protocol in dict.fromkeys(part.stamp.protocol for part in self.results):
            parts = [part for part in self.results if part.stamp.protocol == protocol]
            for task in dict.fromkeys(name for part in parts for name in part.tasks):
                kinds = {part.tasks[task].kind for part in parts if task in part.tasks}
                metric = "kendall_tau" if kinds == {"regression"} else "accuracy"
                cells = {(p.trained_on, p.zoo): p.tasks[task].scores[metric] for p in parts if task in p.tasks}
                if all(trained_on == zoo for trained_on, zoo in cells):
                    continue
                columns = tuple(dict.fromkeys(zoo for _, zoo in cells))
                origins = dict.fromkeys(trained_on for trained_on, _ in cells)
                # In the order of the columns, so that the diagonal is in distribution.
                rows = tuple(sorted(origins, key=lambda zoo: columns.index(zoo) if zoo in columns else len(columns)))
                scores = tuple(tuple(cells.get((row, column)) for column in columns) for row in rows)
                yield Matrix(task, protocol, metric, rows, columns, scores)

    def __str__(self) -> str:
        return self._wide().to_string(index=False)

    def _repr_html_(self) -> str:
        return self._wide().to_html(index=False)

    def _wide(self) -> pd.DataFrame:
        rows = [
            {"zoo": part.zoo, "trained on": part.trained_on, "protocol": part.stamp.protocol, "task": name}
            | {metric: str(score) for metric, score in task.scores.items()}
            for part in self.results
            for name, task in part.tasks.items()
        ]
        return pd.DataFrame(rows).fillna("")


def read_result(path: Path) -> Result:
    """Read a result file.

    Raises:
        ZoobenchError: unreadable, or of another schema version: what is kept are predictions, to be scored again.
    """
    way_out = "score its predictions again: zoobench evaluate --predictions ... --json ..."
    return read_versioned(
        Result, path, SCHEMA_VERSION, f"result {path}", f", this zoobench reads {SCHEMA_VERSION}; {way_out}"
    )
