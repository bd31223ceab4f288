"""Ranking: one board per zoo and stamp, submissions ordered by the mean of their main metric over the zoo's tasks.

Over all zoos, by the mean of these means: over the zoos of a family, then over the families.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoobench import zoos
from zoobench.scoring.tasks import tasks_of

from .description import TRACKS
from .results import LARGEST, BoardResult, ScoredSubmission

# Every track by itself, and all submissions together.
RANKINGS = ("all", *TRACKS)
_ENDS = (0.025, 0.975)


@dataclass(frozen=True)
class Place:
    """A rank, and the interval of ranks that a submission may have.

    The interval lies behind those that are better, and before those that are worse, by a paired bootstrap over runs at
    95 %.
    """

    rank: int
    low: int
    high: int

    def __str__(self) -> str:
        """``2``, or ``2 (1–3)`` where neighbours cannot be told apart."""
        return str(self.rank) if self.low == self.high else f"{self.rank} ({self.low}–{self.high})"


@dataclass(frozen=True)
class Standing:
    """Where a submission stands; ``mean`` is ``None``, and it has no place, where something is missing or undefined.

    ``interval`` is that of the mean, at 95 %. ``places`` are by ranking, of ``RANKINGS``; those of the other track are
    missing.
    """

    scored: ScoredSubmission
    mean: float | None
    interval: tuple[float, float] | None
    places: Mapping[str, Place]


@dataclass(frozen=True)
class Row(Standing):
    """A submission on a board, by the mean over tasks."""

    result: BoardResult


@dataclass(frozen=True)
class Board:
    """Submissions whose scores may be compared: same zoo, labels, split, protocol, task and metric versions."""

    zoo: str
    labels_sha256: str
    protocol: str
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class OverallRow(Standing):
    """A submission over all zoos, by the mean of the means of its rows."""

    by_zoo: Mapping[str, Row]


@dataclass(frozen=True)
class Overall:
    """Submissions on all zoos under one protocol."""

    protocol: str
    zoos: tuple[str, ...]
    rows: tuple[OverallRow, ...]


@dataclass(frozen=True)
class _Contender:
    """What is ranked: a mean, and the same on each resample of the runs, if it is known."""

    scored: ScoredSubmission
    mean: float | None
    drawn: np.ndarray | None

    @property
    def interval(self) -> tuple[float, float] | None:
        if self.mean is None or self.drawn is None or np.abs(self.drawn).max() >= LARGEST:
            return None
        low, high = np.quantile(self.drawn, _ENDS)
        return float(low), float(high)


def boards(submissions: Sequence[ScoredSubmission]) -> list[Board]:
    """Group in-distribution results by what makes them comparable, and rank within each group.

    A result that lacks a task joins the board of the complete results that it agrees with otherwise.
    """
    results = [(one, result) for one in submissions for result in one.results if result.zoo == result.trained_on]
    groups: list[list[tuple[ScoredSubmission, BoardResult]]] = []
    for scored, result in sorted(results, key=lambda pair: (pair[1].zoo, -len(pair[1].tasks), pair[0].name)):
        home = next((group for group in groups if _comparable(group[0][1], result)), None)
        if home is None:
            groups.append([(scored, result)])
        else:
            home.append((scored, result))
    return [_board(group) for group in groups]


def overall(listed: Sequence[Board]) -> list[Overall]:
    """Over all zoos, protocol by protocol; where a zoo has several boards, the one with the most submissions counts."""
    found = []
    for protocol in dict.fromkeys(board.protocol for board in listed):
        of_zoo: dict[str, Board] = {}
        for board in listed:
            known = of_zoo.get(board.zoo)
            if board.protocol == protocol and (known is None or len(board.rows) > len(known.rows)):
                of_zoo[board.zoo] = board
        rows: dict[str, dict[str, Row]] = {}
        for zoo, board in of_zoo.items():
            for row in board.rows:
                rows.setdefault(row.scored.name, {})[zoo] = row
        ordered = _ordered([_over_zoos(by_zoo, tuple(of_zoo)) for by_zoo in rows.values()])
        listed_rows = [
            OverallRow(one.scored, one.mean, one.interval, place, rows[one.scored.name])
            for one, place in zip(ordered, _places(ordered), strict=True)
        ]
        found.append(Overall(protocol, tuple(of_zoo), tuple(listed_rows)))
    return found


def main_value(result: BoardResult, task: str) -> float | None:
    """The main metric of a task, ``None`` where it is missing or undefined."""
    found = result.tasks.get(task)
    return found.scores[found.main_metric].value if found else None


def _comparable(one: BoardResult, other: BoardResult) -> bool:
    shared = sorted(one.tasks.keys() & other.tasks.keys())
    return one.zoo == other.zoo and one.stamp.comparable(shared) == other.stamp.comparable(shared)


def _board(group: list[tuple[ScoredSubmission, BoardResult]]) -> Board:
    first = group[0][1]
    declared = [task.name for task in tasks_of(zoos.resolve(first.zoo).spec)]
    # A task whose target is constant, as the epoch is of final checkpoints, is predicted and has no score for anyone.
    predicted = {task for _, result in group for task in result.tasks}
    scored_by_someone = {task for task in predicted for _, result in group if main_value(result, task) is not None}
    tasks = tuple(task for task in declared if task not in predicted - scored_by_someone)
    results = {scored.name: result for scored, result in group}
    ordered = _ordered([_over_tasks(scored, result, tasks) for scored, result in group])
    rows = tuple(
        Row(one.scored, one.mean, one.interval, place, results[one.scored.name])
        for one, place in zip(ordered, _places(ordered), strict=True)
    )
    return Board(first.zoo, first.stamp.labels_sha256, first.stamp.protocol, tasks, rows)


def _over_tasks(scored: ScoredSubmission, result: BoardResult, tasks: tuple[str, ...]) -> _Contender:
    values = [main_value(result, task) for task in tasks]
    defined = [value for value in values if value is not None]
    mean = _mean(defined) if defined and len(defined) == len(tasks) else None
    return _Contender(scored, mean, np.array(result.mean_resamples) if result.mean_resamples else None)


def _mean(values: Sequence[float | None]) -> float | None:
    """None of what is undefined, or too large to be added up."""
    known = [value for value in values if value is not None]
    mean = sum(known) / len(known)
    return mean if len(known) == len(values) and math.isfinite(mean) else None


def _over_zoos(rows: Mapping[str, Row], wanted: tuple[str, ...]) -> _Contender:
    scored = next(iter(rows.values())).scored
    if any(zoo not in rows or rows[zoo].mean is None for zoo in wanted):
        return _Contender(scored, None, None)
    families: dict[str, list[Row]] = {}
    for zoo in wanted:
        families.setdefault(zoo.partition("/")[0], []).append(rows[zoo])
    mean = _mean([_mean([row.mean for row in members]) for members in families.values()])
    drawn = [[row.result.mean_resamples or [] for row in members] for members in families.values()]
    # None where one is unknown, or they are of other resamples.
    if len(lengths := {len(values) for members in drawn for values in members}) > 1 or 0 in lengths:
        return _Contender(scored, mean, None)
    return _Contender(scored, mean, np.mean([np.mean(members, axis=0) for members in drawn], axis=0))


def _ordered(contenders: Sequence[_Contender]) -> list[_Contender]:
    """Best first, those without a mean last."""
    return sorted(contenders, key=lambda one: (one.mean is None, -(one.mean or 0), one.scored.name))


def _places(ordered: Sequence[_Contender]) -> list[dict[str, Place]]:
    """Of each, its place in every ranking that it belongs to."""
    ranked = [one for one in ordered if one.mean is not None]
    better = _better([one.drawn for one in ranked])
    places: list[dict[str, Place]] = [{} for _ in ordered]
    for ranking in RANKINGS:
        members = [k for k, one in enumerate(ranked) if ranking in ("all", one.scored.submission.track)]
        among = better[np.ix_(members, members)]
        for position, k in enumerate(members):
            low, high = 1 + int(among[:, position].sum()), len(members) - int(among[position].sum())
            places[k][ranking] = Place(position + 1, low, high)
    return places


def _better(drawn: Sequence[np.ndarray | None]) -> np.ndarray:
    """Which (row) is better than which (column), where the resamples tell them apart."""
    count = len(drawn)
    better = np.zeros((count, count), bool)
    for k, one in enumerate(drawn):
        if one is None:
            continue
        others = {j: other for j, other in enumerate(drawn) if j > k and other is not None and len(other) == len(one)}
        if not others:
            continue
        low, high = np.quantile(one - np.stack(list(others.values())), _ENDS, axis=1)
        better[k, list(others)], better[list(others), k] = low > 0, high < 0
    return better
