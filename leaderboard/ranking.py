"""Ranking: one board per zoo and stamp, submissions ordered by the mean of their main metric over the zoo's tasks."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.table import Table

from zoobench import zoos
from zoobench.results import ZooResult, number
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
    """A board for the terminal: the value of each task's main metric; the page adds the intervals."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        title=f"{board.zoo}, protocol {board.protocol}, labels {board.labels_sha256[:8]}: R² on the test split",
    )
    table.add_column("#", justify="right")
    table.add_column("submission", no_wrap=True)
    table.add_column("mean", justify="right")
    for task in board.tasks:
        table.add_column(task.replace("_", "\n"), justify="right", min_width=5, overflow="fold")
    for row in board.rows:
        mean = "partial" if row.mean is None else number(row.mean)
        table.add_row(
            str(row.rank or "–"), row.entry.name, mean, *(_main_value(row.result, task) for task in board.tasks)
        )
    return table


def _main_value(result: ZooResult, task: str) -> str:
    scored = result.tasks.get(task)
    value = scored.scores[scored.main_metric].value if scored else None
    return "–" if value is None else number(value)
