"""Ranking: one board per zoo and stamp, submissions ordered by their mean skill over the zoo's targets.

Over all zoos, by the mean of these means: over the zoos of a family, then over the families. A zoo counts there once
half of the submissions are ranked on it, and with nothing, as for the constant, for those that are not: another zoo
takes nobody's rank away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoobench import zoos
from zoobench.scoring import protocols, tasks
from zoobench.scoring.averages import mean_skill
from zoobench.scoring.tasks import tasks_of

from .contenders import Contender, better, detectable, part_of
from .description import TRACKS
from .scored import BoardResult, ScoredSubmission

# Every track by itself, and all submissions together.
RANKINGS = ("all", *TRACKS)


@dataclass(frozen=True)
class Place:
    """A rank, and the interval of ranks that a submission may have.

    The interval lies behind those that are better, and before those that are worse, as all pairs together tell (see
    ``contenders``).
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
    """Submissions whose scores may be compared: same zoo, labels, split, protocol, task and metric versions.

    Not all boards are ``ranked`` (see ``protocols``): the places of the others are empty. Differences below
    ``detectable`` are mostly missed there (see ``contenders``).
    """

    zoo: str
    labels_sha256: str
    protocol: str
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]
    ranked: bool = True
    detectable: float | None = None


@dataclass(frozen=True)
class OverallRow(Standing):
    """A submission over all zoos, by the mean of the means of its rows; what it is not ranked on counts 0."""

    by_zoo: Mapping[str, Row]


@dataclass(frozen=True)
class Overall:
    """Submissions on all zoos under one protocol; ``zoos`` are those that count."""

    protocol: str
    zoos: tuple[str, ...]
    rows: tuple[OverallRow, ...]


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
            if board.protocol == protocol and board.ranked and (known is None or len(board.rows) > len(known.rows)):
                of_zoo[board.zoo] = board
        rows: dict[str, dict[str, Row]] = {}
        for zoo, board in of_zoo.items():
            for row in board.rows:
                rows.setdefault(row.scored.name, {})[zoo] = row
        counting = tuple(zoo for zoo, board in of_zoo.items() if 2 * _ranked(board) >= len(rows))
        ordered = _ordered([_over_zoos(by_zoo, counting) for by_zoo in rows.values()])
        listed_rows = [
            OverallRow(one.scored, one.mean, one.interval, place, rows[one.scored.name])
            for one, place in zip(ordered, _places(ordered), strict=True)
        ]
        found.append(Overall(protocol, counting, tuple(listed_rows)))
    return found


def _ranked(board: Board) -> int:
    return sum(row.mean is not None for row in board.rows)


def main_value(result: BoardResult, task: str) -> float | None:
    """The main metric of a task, ``None`` where it is missing or undefined."""
    return _value(result, task, tasks.get(task).main_metric)


def _value(result: BoardResult, task: str, metric: str) -> float | None:
    found = result.tasks.get(task)
    return found.scores[metric].value if found else None


def _comparable(one: BoardResult, other: BoardResult) -> bool:
    shared = sorted(one.tasks.keys() & other.tasks.keys())
    return one.zoo == other.zoo and one.stamp.comparable(shared) == other.stamp.comparable(shared)


def _board(group: list[tuple[ScoredSubmission, BoardResult]]) -> Board:
    first = group[0][1]
    declared = [task.name for task in tasks_of(zoos.resolve(first.zoo).spec)]
    # A task whose target is constant, as the epoch is of final checkpoints, is predicted and has no score for anyone.
    predicted = {task for _, result in group for task in result.tasks}
    scored_by_someone = {task for task in predicted for _, result in group if main_value(result, task) is not None}
    names = tuple(task for task in declared if task not in predicted - scored_by_someone)
    results = {scored.name: result for scored, result in group}
    ordered = _ordered([_over_tasks(scored, result, names) for scored, result in group])
    ranked = protocols.get(first.stamp.protocol).ranked(zoos.resolve(first.zoo).spec)
    rows = tuple(
        Row(one.scored, one.mean, one.interval, place, results[one.scored.name])
        for one, place in zip(ordered, _places(ordered) if ranked else [{}] * len(ordered), strict=True)
    )
    smallest = detectable([one for one in ordered if one.mean is not None])
    return Board(first.zoo, first.stamp.labels_sha256, first.stamp.protocol, names, rows, ranked, smallest)


def _over_tasks(scored: ScoredSubmission, result: BoardResult, names: tuple[str, ...]) -> Contender:
    wanted = [task for task in map(tasks.get, names) if task.ranked]
    skills = {task.name: _value(result, task.name, task.ranking_metric) for task in wanted}
    defined = {name: skill for name, skill in skills.items() if skill is not None}
    mean = float(mean_skill(defined)) if defined and len(defined) == len(skills) else None
    return Contender(scored, mean, None if result.mean is None else {result.zoo: part_of(result.mean)})


def _over_zoos(rows: Mapping[str, Row], wanted: tuple[str, ...]) -> Contender:
    scored = next(iter(rows.values())).scored
    known = {zoo: rows[zoo] for zoo in wanted if zoo in rows and rows[zoo].mean is not None}
    if not known:
        return Contender(scored, None, None)
    families: dict[str, int] = {}
    for zoo in wanted:
        family = zoo.partition("/")[0]
        families[family] = families.get(family, 0) + 1
    shares = {zoo: 1 / len(families) / families[zoo.partition("/")[0]] for zoo in wanted}
    mean = sum(shares[zoo] * (row.mean or 0) for zoo, row in known.items())
    parts = {zoo: part_of(row.result.mean, shares[zoo]) for zoo, row in known.items() if row.result.mean is not None}
    return Contender(scored, mean, parts if len(parts) == len(known) else None)


def _ordered(contenders: Sequence[Contender]) -> list[Contender]:
    """Best first, those without a mean last."""
    return sorted(contenders, key=lambda one: (one.mean is None, -(one.mean or 0), one.scored.name))


def _places(ordered: Sequence[Contender]) -> list[dict[str, Place]]:
    """Of each, its place in every ranking that it belongs to."""
    ranked = [one for one in ordered if one.mean is not None]
    places: list[dict[str, Place]] = [{} for _ in ordered]
    for ranking in RANKINGS:
        members = [k for k, one in enumerate(ranked) if ranking in ("all", one.scored.submission.track)]
        among = better([ranked[k] for k in members])
        for position, k in enumerate(members):
            low, high = 1 + int(among[:, position].sum()), len(members) - int(among[position].sum())
            places[k][ranking] = Place(position + 1, low, high)
    return places
