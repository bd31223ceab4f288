"""Targets: what the labels of a zoo say by themselves, kept once beside them and not in the result of each submission.

``labels/<repo>/targets/<config>-<start of the labels' sha256>.json`` holds, by protocol, how many networks are scored,
the ceilings of tau, the references' scores, and the targets that the page draws. Results name the labels that they were
scored against, and find them by that.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.files import write_atomically
from zoobench.scoring.columns import first_line
from zoobench.scoring.harness import collapsed, references_of
from zoobench.scoring.metrics import CLASSIFICATION, METRICS
from zoobench.scoring.protocols import rows_of
from zoobench.scoring.ranks import tau_ceiling
from zoobench.scoring.results import Collapsed, Finite, Reference
from zoobench.scoring.scores import rounded
from zoobench.scoring.tasks import Task, classes_of, known_tasks, tasks_of
from zoobench.strict import Strict, first_problem
from zoobench.zoos import Zoo, resolve

from .lines import laid_out, row_of, score_of_row

LABELS = "labels"
TARGETS = "targets"
SCHEMA_VERSION = 1
# Of each zoo.
BOARD_PROTOCOLS = ("all", "final")
# Networks of a zoo whose predictions the page shows, of the first protocol: the same ones for every submission.
SHOWN = 150
# Predictions are drawn over the range of the targets and this share of it on either side.
_MARGIN = 0.08
_SHA256_SHOWN = 12
# What reading a file raises that is not what it should be.
UNREADABLE = (OSError, LookupError, TypeError, AttributeError, ValueError, RecursionError, pa.ArrowException)


class Axis(Finite):
    """The ends of an axis that predictions of a task are drawn on, and the targets of the shown networks on it."""

    low: float
    high: float
    targets: str

    def drawn(self, values: np.ndarray) -> str:
        """One byte for each value, from 0 (at ``low`` or below) to 255 (at ``high`` or above), in base64."""
        scaled = np.clip((_short(values) - self.low) / (self.high - self.low), 0, 1) * 255
        return base64.b64encode(np.round(scaled).astype(np.uint8).tobytes()).decode()


class TaskTargets(Finite):
    """What results say of a task, but for predictions; ``classes`` and ``axis`` where it has any."""

    kind: str
    main_metric: str
    unit: str
    tau_ceiling: float | None = None
    classes: list[str] | None = None
    axis: Axis | None = None


class Targets(Strict):
    """What is scored of a zoo under one protocol; ``references`` are scored on all of ``tasks`` that they predict."""

    runs: int
    rows: int
    collapsed: Collapsed
    tasks: dict[str, TaskTargets]
    references: list[Reference]


def shown_rows(rows: int) -> np.ndarray:
    """Positions of the networks that are shown, of so many."""
    return np.random.RandomState(0).permutation(rows)[:SHOWN]


def labels_of(board: Path) -> hub.Store:
    """Where a leaderboard finds labels: what is pinned in ``board/labels`` before all else."""
    return hub.Store([board / LABELS])


def why(error: BaseException) -> str:
    """What keeps a file from being read, in a few words."""
    match error:
        case OSError(strerror=str(reason)):
            return reason
        case ValidationError():
            return first_problem(error)
        case LookupError():
            return f"it lacks {error}"
        case _:
            return first_line(error)


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """What cannot be read is an error of a submission, and no end of the scoring of others.

    Raises:
        ZoobenchError: with what the system, or the file's format, says.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise ZoobenchError(f"cannot read {getattr(error, 'filename', None) or what}: {why(error)}") from error


def keep_targets(board: Path, zoo: Zoo, store: hub.Store, again: bool = False) -> None:
    """Write the targets of a zoo beside its labels, unless those that are there are of the same inputs.

    Raises:
        ZoobenchError: the zoo cannot be found, or is not what its manifest says.
        OSError: they cannot be written.
    """
    with reading(f"the labels of {zoo.id}"):
        sha256 = hub.load_labels(zoo, "test", store).sha256
        path, inputs = targets_path(board, zoo, sha256), _inputs_of(zoo, store)
        if not again and _content(path).get("inputs_sha256") == inputs:
            return
        content = {
            "schema_version": SCHEMA_VERSION,
            "zoo": zoo.id,
            "labels_sha256": sha256,
            "inputs_sha256": inputs,
            "protocols": {protocol: _stored(_targets(zoo, protocol, store)) for protocol in BOARD_PROTOCOLS},
        }
    write_atomically(path, (laid_out(content) + "\n").encode())


def read_targets(board: Path, zoo: Zoo, sha256: str) -> dict[str, Targets]:
    """The targets in the labels with this sha256, by protocol.

    Raises:
        ZoobenchError: there are none, or of another schema.
    """
    path = targets_path(board, zoo, sha256)
    try:
        content = json.loads(path.read_bytes())
        if content["schema_version"] != SCHEMA_VERSION or content["labels_sha256"] != sha256:
            raise ValueError("of another schema, or of other labels")
        return {protocol: _read(part) for protocol, part in content["protocols"].items()}
    except UNREADABLE as error:
        raise ZoobenchError(
            f"cannot read {path}; run zoobench leaderboard score --dir {board} ({why(error)})"
        ) from error


def targets_path(board: Path, zoo: Zoo, sha256: str) -> Path:
    return board / LABELS / zoo.repo / TARGETS / f"{zoo.spec.config}-{sha256[:_SHA256_SHOWN]}.json"


def remove_targets(board: Path, used: Collection[tuple[str, str]]) -> None:
    """Remove the targets that are not of these zoos, in labels with these sha256."""
    kept = set()
    for zoo, sha256 in used:
        # A result that another version wrote may name what is no zoo.
        with contextlib.suppress(ZoobenchError):
            kept.add(targets_path(board, resolve(zoo), sha256))
    for path in (board / LABELS).glob(f"*/{TARGETS}/*.json"):
        if path not in kept and _content(path).keys() >= {"labels_sha256", "protocols"}:
            path.unlink(missing_ok=True)


def _content(path: Path) -> dict[str, Any]:
    """What is there; nothing, if it cannot be read."""
    try:
        content = json.loads(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _inputs_of(zoo: Zoo, store: hub.Store) -> str:
    """sha256 of everything that targets depend on."""
    facts = {
        "schema": SCHEMA_VERSION,
        "files": sorted((path, sha256) for path, (_, sha256) in hub.scoring_files(zoo, store)[1].items()),
        "majority": hub.majority_rate(zoo, store),
        "tasks": {task.name: task.version for task in tasks_of(zoo.spec)},
        "metrics": {metric.name: metric.version for metric in METRICS},
        "protocols": BOARD_PROTOCOLS,
        "shown": SHOWN,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _targets(zoo: Zoo, protocol: str, store: hub.Store) -> Targets:
    labels = rows_of(protocol, zoo, store).labels
    known = known_tasks(zoo.spec, labels)
    return Targets(
        runs=labels["run_id"].nunique(),
        rows=len(labels),
        collapsed=collapsed(zoo, labels, store),
        tasks={task.name: _of_task(task, zoo, labels, protocol == BOARD_PROTOCOLS[0]) for task in known},
        references=references_of(zoo, protocol, [task.name for task in known], store),
    )


def _of_task(task: Task, zoo: Zoo, labels: pd.DataFrame, shown: bool) -> TaskTargets:
    of_classes = task.kind == CLASSIFICATION
    target = task.target(labels)
    return TaskTargets(
        kind=task.kind,
        main_metric=task.main_metric,
        unit=task.unit,
        tau_ceiling=None if of_classes else rounded(tau_ceiling(target)),
        classes=classes_of(task, zoo.spec, labels) if of_classes else None,
        axis=axis_of(target) if shown and not of_classes else None,
    )


def axis_of(target: np.ndarray) -> Axis:
    """The axis of a task with these targets."""
    values = _short(target[shown_rows(len(target))])
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * ((high - low) or 1.0)
    blank = Axis(low=low - margin, high=high + margin, targets="")
    return blank.model_copy(update={"targets": blank.drawn(values)})


def _short(values: np.ndarray) -> np.ndarray:
    """Four digits, so that the last bits of a machine's arithmetic move no byte."""
    return np.array([float(f"{value:.4g}") for value in values])


def _stored(targets: Targets) -> dict[str, Any]:
    def rows(reference: Reference) -> dict[str, Any]:
        return {
            task: {metric: row_of(score) for metric, score in scores.items()}
            for task, scores in reference.tasks.items()
        }

    return {
        "runs": targets.runs,
        "rows": targets.rows,
        "collapsed": targets.collapsed.model_dump(),
        "tasks": {name: task.model_dump(exclude_none=True) for name, task in targets.tasks.items()},
        "references": [one.model_dump(exclude={"tasks"}) | {"tasks": rows(one)} for one in targets.references],
    }


def _read(content: dict[str, Any]) -> Targets:
    def scores(reference: dict[str, Any]) -> dict[str, Any]:
        return {
            task: {metric: score_of_row(row) for metric, row in rows.items()}
            for task, rows in reference["tasks"].items()
        }

    references = [one | {"tasks": scores(one)} for one in content["references"]]
    return Targets.model_validate(content | {"references": references})
