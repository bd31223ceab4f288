"""Ranking: one board per zoo and stamp, submissions ordered by the mean of their main metric over the zoo's tasks."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from zoobench import zoos
from zoobench.results import ZooResult
from zoobench.tables import score_text
from zoobench.tasks import tasks_of

from .score import Entry


@dataclass(frozen=True)
class Row:
    """A submission on a board; ``mean`` is ``None``, and it is not ranked, if a task is missing or undefined."""

    entry: Entry
    result: ZooResult
    mean: float | None
    rank: int | None


@dataclass(frozen=True)
class Board:
    """Submissions whose scores may be compared: same zoo, labels, split, protocol, task and metric versions."""

    zoo: str
    labels_sha256: str
    protocol: str
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]


def _mean_main_metric(result: ZooResult, tasks: tuple[str, ...]) -> float | None:
    values = [result.tasks[t].scores[result.tasks[t].main_metric].value for t in tasks if t in result.tasks]
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if len(defined) == len(tasks) else None


def boards(entries: list[Entry]) -> list[Board]:
    """Group in-distribution results by what makes them comparable, and rank within each group.

    A result that lacks a task joins the board of the complete results that it agrees with otherwise.
    """
    results = [(entry, result) for entry in entries for result in entry.results if result.zoo == result.trained_on]
    groups: list[list[tuple[Entry, ZooResult]]] = []
    for entry, result in sorted(results, key=lambda pair: (pair[1].zoo, -len(pair[1].tasks), pair[0].name)):
        home = next((group for group in groups if _comparable(group[0][1], result)), None)
        if home is None:
            groups.append([(entry, result)])
        else:
            home.append((entry, result))
    return [_board(group) for group in groups]


def _comparable(one: ZooResult, other: ZooResult) -> bool:
    shared = sorted(one.tasks.keys() & other.tasks.keys())
    return one.zoo == other.zoo and one.stamp.comparable(shared) == other.stamp.comparable(shared)


def _board(group: list[tuple[Entry, ZooResult]]) -> Board:
    first = group[0][1]
    tasks = tuple(task.name for task in tasks_of(zoos.resolve(first.zoo).spec))
    scored = [(entry, result, _mean_main_metric(result, tasks)) for entry, result in group]
    ranked = sorted((s for s in scored if s[2] is not None), key=lambda s: (-(s[2] or 0), s[0].name))
    partial = sorted((s for s in scored if s[2] is None), key=lambda s: s[0].name)
    rows = [Row(entry, result, mean, rank) for rank, (entry, result, mean) in enumerate(ranked, start=1)]
    rows += [Row(entry, result, None, None) for entry, result, _ in partial]
    return Board(first.zoo, first.stamp.labels_sha256, first.stamp.protocol, tasks, tuple(rows))


def board_table(board: Board) -> Table:
    """A board for the terminal: main metric with its interval per task."""
    table = Table(title=f"{board.zoo}, protocol {board.protocol}, labels {board.labels_sha256[:8]}: R² per task")
    table.add_column("#", justify="right")
    table.add_column("submission", no_wrap=True)
    table.add_column("mean", justify="right")
    for task in board.tasks:
        table.add_column(task, justify="right")
    for row in board.rows:
        cells = []
        for task in board.tasks:
            result = row.result.tasks.get(task)
            text = score_text(result.scores[result.main_metric]) if result else "–"
            cells.append(text.replace(" ", "\n", 1))
        mean = "partial" if row.mean is None else f"{row.mean:.3f}"
        table.add_row(str(row.rank or "–"), row.entry.name, mean, *cells)
    return table
