"""The page: one self-contained HTML file, sortable, without external requests."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoobench import metrics, zoos
from zoobench.errors import ZoobenchError
from zoobench.manifest import write_atomically
from zoobench.results import Score

from .ranking import Board, boards, rank_text
from .score import Entry


def _bar(score: Score, scores: list[Score]) -> dict[str, float] | None:
    """Where a value and its interval lie within the range of its column, in percent."""
    known = [s for s in scores if s.low is not None and s.high is not None]
    if score.value is None or score.low is None or score.high is None or not known:
        return None
    lowest, highest = min(s.low for s in known if s.low is not None), max(s.high for s in known if s.high is not None)
    width = (highest - lowest) or 1.0
    return {
        "left": 100 * (score.low - lowest) / width,
        "width": max(100 * (score.high - score.low) / width, 1),
        "value": 100 * (score.value - lowest) / width,
    }


def _cells(board: Board) -> list[dict[str, dict[str, dict[str, object]]]]:
    """Per row: task -> metric -> text, sort value and bar."""
    table: list[dict[str, dict[str, dict[str, object]]]] = [{} for _ in board.rows]
    for task in board.tasks:
        for metric in metrics.METRICS:
            column = [
                row.result.tasks[task].scores.get(metric.name) if task in row.result.tasks else None
                for row in board.rows
            ]
            present = [score for score in column if score is not None]
            for cells, score in zip(table, column, strict=True):
                cells.setdefault(task, {})[metric.name] = {
                    "text": str(score) if score else "–",
                    "value": "" if score is None or score.value is None else score.value,
                    "bar": _bar(score, present) if score else None,
                }
    return table


def render(entries: list[Entry]) -> str:
    """The page for a set of scored submissions; every text of a submission is escaped."""
    environment = Environment(
        loader=PackageLoader("zoobench_leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rank_text"] = rank_text
    listed = boards(entries)
    kinds = {task.kind for board in listed for row in board.rows for task in row.result.tasks.values()}
    return environment.get_template("page.html.j2").render(
        boards=[(board, zoos.resolve(board.zoo), _cells(board)) for board in listed],
        protocols=list(dict.fromkeys(board.protocol for board in listed)),
        metrics=[metric for metric in metrics.METRICS if metric.kind in kinds],
    )


def write_page(entries: list[Entry], path: Path) -> None:
    """Write the page.

    Raises:
        ZoobenchError: the file cannot be written.
    """
    try:
        write_atomically(path, render(entries).encode())
    except OSError as error:
        raise ZoobenchError(f"cannot write {path}: {error.strerror or error}") from error
