"""Ranking: one board per zoo and stamp, submissions ordered by the mean of their main metric over the zoo's tasks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table

from zoobench import zoos
from zoobench.results import number
from zoobench.tasks import tasks_of

from .score import BoardResult, Entry


@dataclass(frozen=True)
class Row:
    """A submission on a board; ``mean`` is ``None``, and it is not ranked, if a task is missing or undefined.

    ``ranks`` is the interval of ranks that it may have: behind those that are better, and before those that are worse,
    by a paired bootstrap over runs at 95 %.
    """

    entry: Entry
    result: BoardResult
    mean: float | None
    rank: int | None
    ranks: tuple[int, int] | None


@dataclass(frozen=True)
class Board:
    """Submissions whose scores may be compared: same zoo, labels, split, protocol, task and metric versions."""

    zoo: str
    labels_sha256: str
    protocol: str
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]


def _main_metric(result: BoardResult, task: str) -> float | None:
    scored = result.tasks.get(task)
    return scored.scores[scored.main_metric].value if scored else None


def _mean_main_metric(result: BoardResult, tasks: tuple[str, ...]) -> float | None:
    values = [_main_metric(result, task) for task in tasks]
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined and len(defined) == len(tasks) else None


def boards(entries: list[Entry]) -> list[Board]:
    """Group in-distribution results by what makes them comparable, and rank within each group.

    A result that lacks a task joins the board of the complete results that it agrees with otherwise.
    """
    results = [(entry, result) for entry in entries for result in entry.results if result.zoo == result.trained_on]
    groups: list[list[tuple[Entry, BoardResult]]] = []
    for entry, result in sorted(results, key=lambda pair: (pair[1].zoo, -len(pair[1].tasks), pair[0].name)):
        home = next((group for group in groups if _comparable(group[0][1], result)), None)
        if home is None:
            groups.append([(entry, result)])
        else:
            home.append((entry, result))
    return [_board(group) for group in groups]


def _comparable(one: BoardResult, other: BoardResult) -> bool:
    shared = sorted(one.tasks.keys() & other.tasks.keys())
    return one.zoo == other.zoo and one.stamp.comparable(shared) == other.stamp.comparable(shared)


def _board(group: list[tuple[Entry, BoardResult]]) -> Board:
    first = group[0][1]
    declared = [task.name for task in tasks_of(zoos.resolve(first.zoo).spec)]
    # A task whose target is constant, as the epoch is of final checkpoints, is predicted and has no score for anyone.
    predicted = {task for _, result in group for task in result.tasks}
    scored_by_someone = {task for task in predicted for _, result in group if _main_metric(result, task) is not None}
    tasks = tuple(task for task in declared if task not in predicted - scored_by_someone)
    scored = [(entry, result, _mean_main_metric(result, tasks)) for entry, result in group]
    ranked = sorted((s for s in scored if s[2] is not None), key=lambda s: (-(s[2] or 0), s[0].name))
    partial = sorted((s for s in scored if s[2] is None), key=lambda s: s[0].name)
    intervals = _rank_intervals([result for _, result, _ in ranked])
    rows = [
        Row(entry, result, mean, rank, ranks)
        for rank, ((entry, result, mean), ranks) in enumerate(zip(ranked, intervals, strict=True), start=1)
    ]
    rows += [Row(entry, result, None, None, None) for entry, result, _ in partial]
    return Board(first.zoo, first.stamp.labels_sha256, first.stamp.protocol, tasks, tuple(rows))


def _rank_intervals(ranked: list[BoardResult]) -> list[tuple[int, int]]:
    """Of each result, 1 + how many are better, and how many are not worse, where resamples tell them apart."""
    count = len(ranked)
    drawn = [np.array(result.mean_resamples) if result.mean_resamples else None for result in ranked]
    better = np.zeros((count, count), bool)
    for i, j in itertools.combinations(range(count), 2):
        one, other = drawn[i], drawn[j]
        if one is not None and other is not None and len(one) == len(other):
            low, high = np.quantile(one - other, [0.025, 0.975])
            better[i, j], better[j, i] = low > 0, high < 0
    return [(1 + int(better[:, k].sum()), count - int(better[k].sum())) for k in range(count)]


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
        table.add_row(rank_text(row), row.entry.name, mean, *(_main_value(row.result, task) for task in board.tasks))
    return table


def rank_text(row: Row) -> str:
    """``2``, or ``2 (1–3)`` where neighbours cannot be told apart."""
    if row.rank is None or row.ranks is None:
        return "–"
    low, high = row.ranks
    return str(row.rank) if low == high else f"{row.rank} ({low}–{high})"


def _main_value(result: BoardResult, task: str) -> str:
    value = _main_metric(result, task)
    return "–" if value is None else number(value)
