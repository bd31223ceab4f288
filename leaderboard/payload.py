"""What the page shows, as JSON: it is drawn in the browser from this alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoobench import zoos
from zoobench.scoring import metrics, tasks
from zoobench.scoring.results import Score, TaskResult

from .literature import reported
from .ranking import Board, Overall, Place, Row, Standing, boards, overall
from .score import Entry

# Predictions are drawn with one byte each, over the range of the targets and this share of it on either side.
_MARGIN = 0.08
_DIGITS = 5


def payload(entries: Sequence[Entry]) -> dict[str, Any]:
    """Everything on the page, from scored submissions.

    ``submissions`` are by name. Each of ``boards`` holds the scores of its rows by task and metric, each score a list:
    value, low, high, spread over seeds (``null`` where undefined); a row's ``places`` are by ranking: rank and the
    ends of its interval. ``overall`` holds the means of each board of a protocol, ``transfers`` what was scored out of
    distribution, ``literature`` what papers report, by zoo.
    """
    listed = boards(entries)
    names = dict.fromkeys(task for entry in entries for result in entry.results for task in result.tasks)
    declared = [tasks.get(name) for name in names]
    kinds = {task.kind for task in declared}
    return {
        "submissions": {entry.name: _submission(entry) for entry in entries},
        "metrics": {
            metric.name: {"label": metric.label, "higher": metric.higher_is_better, "kind": metric.kind}
            for metric in metrics.METRICS
            if metric.kind in kinds
        },
        "tasks": {
            task.name: {
                "kind": task.kind,
                "main": task.main_metric,
                "unit": task.unit,
                "description": task.description,
            }
            for task in declared
        },
        "zoos": {name: _zoo(name) for name in dict.fromkeys(board.zoo for board in listed)},
        "boards": [_board(board) for board in listed],
        "overall": [_overall(one) for one in overall(listed)],
        "transfers": [
            {
                "submission": entry.name,
                "trained_on": result.trained_on,
                "zoo": result.zoo,
                "protocol": result.stamp.protocol,
                "scores": _scores(result.tasks),
            }
            for entry in entries
            for result in entry.results
            if result.zoo != result.trained_on
        ],
    }


def embedded(content: object) -> str:
    """JSON to stand inside a ``<script>`` element: no text of a submission can end it."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _submission(entry: Entry) -> dict[str, Any]:
    return entry.submission.model_dump(exclude={"authors"}) | {
        "authors": entry.submission.names,
        "track": entry.submission.track,
    }


def _zoo(name: str) -> dict[str, Any]:
    zoo = zoos.resolve(name)
    return {
        "summary": zoo.spec.summary,
        "scale": zoo.scale,
        "literature": [
            [one.method, one.task, one.metric, one.value, one.source.name, one.source.link, one.where]
            for one in reported(zoo.spec.id)
        ],
    }


def _board(board: Board) -> dict[str, Any]:
    first = board.rows[0].result
    frames = _frames(board)
    return {
        "zoo": board.zoo,
        "protocol": board.protocol,
        "labels": board.labels_sha256,
        "runs": first.runs,
        "rows": first.rows,
        "tasks": list(board.tasks),
        "entries": [_row(row, frames) for row in board.rows],
        "references": {
            reference.name: {
                task: {name: _score(score) for name, score in scores.items()}
                for task, scores in reference.tasks.items()
            }
            for reference in first.references
        },
        "points": {
            task: {"low": low, "high": high, "targets": _bytes(targets, low, high)}
            for task, (low, high, targets) in frames.items()
        },
    }


def _row(row: Row, frames: Mapping[str, tuple[float, float, list[float]]]) -> dict[str, Any]:
    return {
        "submission": row.entry.name,
        "mean": _mean(row),
        "places": _places(row.places),
        "parameters": row.entry.submission.parameters_on(row.result.zoo),
        "scores": _scores(row.result.tasks),
        "points": {task: _bytes(points.predicted, *frames[task][:2]) for task, points in row.result.points.items()},
        "confusion": {
            name: task.confusion.model_dump() for name, task in row.result.tasks.items() if task.confusion is not None
        },
    }


def _frames(board: Board) -> dict[str, tuple[float, float, list[float]]]:
    """Per task the ends of the axes, and the targets of the networks that are drawn: the same for all rows."""
    frames: dict[str, tuple[float, float, list[float]]] = {}
    for row in board.rows:
        for task, points in row.result.points.items():
            low, high = min(points.target), max(points.target)
            margin = _MARGIN * ((high - low) or 1.0)
            frames.setdefault(task, (low - margin, high + margin, points.target))
    return frames


def _overall(ranked: Overall) -> dict[str, Any]:
    return {
        "protocol": ranked.protocol,
        "zoos": list(ranked.zoos),
        "entries": [
            {
                "submission": row.entry.name,
                "mean": _mean(row),
                "places": _places(row.places),
                "means": {zoo: _mean(one) for zoo, one in row.by_zoo.items()},
            }
            for row in ranked.rows
        ],
    }


def _scores(results: Mapping[str, TaskResult]) -> dict[str, dict[str, list[float | None]]]:
    return {
        task: {metric: _score(score) for metric, score in result.scores.items()} for task, result in results.items()
    }


def _score(score: Score) -> list[float | None]:
    return _ends(score.value, score.low, score.high, score.spread)


def _ends(*values: float | None) -> list[float | None]:
    """Short numbers, without what is undefined at the end."""
    found = [_short(value) for value in values]
    while found and found[-1] is None:
        found.pop()
    return found


def _mean(row: Standing) -> list[float | None]:
    return _ends(row.mean, *(row.interval or ()))


def _places(places: Mapping[str, Place]) -> dict[str, list[int]]:
    return {ranking: [place.rank, place.low, place.high] for ranking, place in places.items()}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _bytes(values: Sequence[float], low: float, high: float) -> str:
    """One byte each from 0 (at ``low`` or below) to 255 (at ``high`` or above), in base64."""
    scaled = np.clip((np.array(values) - low) / (high - low), 0, 1) * 255
    return base64.b64encode(np.round(scaled).astype(np.uint8).tobytes()).decode()
