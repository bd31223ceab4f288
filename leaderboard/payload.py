"""What the page shows, as JSON: it is drawn in the browser from this alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoobench import zoos
from zoobench.scoring import metrics, tasks
from zoobench.scoring.results import Score, TaskResult

from .literature import reported
from .ranking import Board, Overall, Place, Row, Standing, boards, overall
from .scored import ScoredSubmission

_DIGITS = 5


def payload(submissions: Sequence[ScoredSubmission]) -> dict[str, Any]:
    """Everything on the page, from scored submissions.

    ``submissions`` are by name. Each of ``boards`` holds the scores of its rows by task and metric, each score a list:
    value, low, high, spread over seeds (``null`` where undefined); a row's ``over`` has what it gains over the
    hyperparameters' reference, by task and in the mean of these; its ``places`` are by ranking: rank and the ends of
    its interval. ``overall`` holds the means of each board of a protocol, ``transfers`` what was scored out of
    distribution, ``literature`` what papers report, by zoo.
    """
    listed = boards(submissions)
    names = dict.fromkeys(task for scored in submissions for result in scored.results for task in result.tasks)
    declared = [tasks.get(name) for name in names]
    kinds = {task.kind for task in declared}
    return {
        "submissions": {scored.name: _submission(scored) for scored in submissions},
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
                "submission": scored.name,
                "trained_on": result.trained_on,
                "zoo": result.zoo,
                "protocol": result.stamp.protocol,
                "scores": _scores(result.tasks),
            }
            for scored in submissions
            for result in scored.results
            if result.zoo != result.trained_on
        ],
    }


def embedded(content: object) -> str:
    """JSON to stand inside a ``<script>`` element: no text of a submission can end it."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _submission(scored: ScoredSubmission) -> dict[str, Any]:
    return scored.submission.model_dump(exclude={"authors"}) | {
        "authors": scored.submission.names,
        "track": scored.submission.track,
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
    return {
        "zoo": board.zoo,
        "protocol": board.protocol,
        "labels": board.labels_sha256,
        "runs": first.runs,
        "rows": first.rows,
        "tasks": list(board.tasks),
        "ranked": board.ranked,
        "detectable": _short(board.detectable),
        "entries": [_row(row) for row in board.rows],
        "references": {
            reference.name: {
                task: {name: _score(score) for name, score in scores.items()}
                for task, scores in reference.tasks.items()
            }
            for reference in first.references
        },
        "points": {task: points.axis.model_dump() for row in board.rows for task, points in row.result.points.items()},
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "submission": row.scored.name,
        "mean": _mean(row),
        "places": _places(row.places),
        "parameters": row.scored.submission.parameters_on(row.result.zoo),
        "scores": _scores(row.result.tasks),
        "over": _over(row),
        "points": {task: points.predicted for task, points in row.result.points.items()},
        "confusion": {
            name: task.confusion.model_dump() for name, task in row.result.tasks.items() if task.confusion is not None
        },
    }


def _over(row: Row) -> dict[str, Any]:
    by_task = {
        name: {"difference": _score(over.difference)} | ({} if over.left_r2 is None else {"left": _score(over.left_r2)})
        for name, task in row.result.tasks.items()
        if (over := task.over_hyperparameters) is not None
    }
    gain = row.result.mean and row.result.mean.over_hyperparameters
    return {"mean": _score(gain) if gain else [], "tasks": by_task}


def _overall(ranked: Overall) -> dict[str, Any]:
    return {
        "protocol": ranked.protocol,
        "zoos": list(ranked.zoos),
        "entries": [
            {
                "submission": row.scored.name,
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
    short = math.nan if value is None else float(f"{value:.{_DIGITS}g}")
    return short if math.isfinite(short) else None
