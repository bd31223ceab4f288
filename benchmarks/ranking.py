"""What each change of the ranking does to the boards, on the committed results.

    python -m benchmarks.ranking

Orders every board that is ranked by the mean that the leaderboard had before, then with one change more at a time, and
counts the pairs that are told apart, each tested by itself and all together. Writes ``docs/ranking.md``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zoobench.publishing.documents import table
from zoobench.scoring import metrics, tasks
from zoobench.scoring.averages import mean_skill
from zoobench_leaderboard import contenders
from zoobench_leaderboard.contenders import Contender
from zoobench_leaderboard.ranking import Board, Row, boards, overall
from zoobench_leaderboard.results import read_all

BOARD = Path("leaderboard")
OUT = Path("docs") / "ranking.md"


def unbounded(row: Row, names: Sequence[str]) -> float:
    """The mean that ranked before: of R², or accuracy, over all tasks."""
    return float(np.mean([_score(row, name, tasks.get(name).main_metric) for name in names]))


def clipped(row: Row, names: Sequence[str]) -> float:
    """R² at least 0."""
    return float(np.mean([max(_score(row, name, tasks.get(name).main_metric), 0.0) for name in names]))


def skilled(row: Row, names: Sequence[str]) -> float:
    """Classes, too, by what is gained over the best constant."""
    return float(np.mean([_score(row, name, tasks.get(name).ranking_metric) for name in names]))


def once(row: Row, names: Sequence[str]) -> float:
    """One target once, and no task that cannot be solved: what ranks now."""
    return float(mean_skill({name: _score(row, name, tasks.get(name).ranking_metric) for name in names}))


CHANGES = (unbounded, clipped, skilled, once)
HEADS = ("before", "R² at least 0", "classes by skill", "one target once (now)")


def _score(row: Row, name: str, metric: str) -> float:
    value = row.result.tasks[name].scores[metric].value
    assert value is not None
    return value


def ordered(board: Board) -> list[list[str]]:
    """The names of a board's methods, best first, by each rule; those that lack a task are left out."""
    rows = [row for row in board.rows if row.mean is not None]
    names = [name for name in board.tasks if all(_defined(row, name) for row in rows)]
    return [[row.scored.name for row in sorted(rows, key=lambda row: -rule(row, names))] for rule in CHANGES]


def _defined(row: Row, name: str) -> bool:
    task = tasks.get(name)
    return all(row.result.tasks[name].scores[m].value is not None for m in (task.main_metric, task.ranking_metric))


def apart(board: Board) -> tuple[int, int, int]:
    """How many pairs of methods there are, how many differ each by itself at 5 %, and how many all together."""
    listed = [
        Contender(row.scored, row.mean, {board.zoo: contenders.part_of(row.result.mean)})
        for row in board.rows
        if row.mean is not None and row.result.mean is not None
    ]
    single = sum(contenders.better([one, other]).any() for k, one in enumerate(listed) for other in listed[:k])
    return len(listed) * (len(listed) - 1) // 2, int(single), int(contenders.better(listed).sum())


def lowest(board: Board) -> str:
    """The lowest R² of the board, which one mean of all tasks had in it."""
    found: Mapping[str, float] = {
        f"{row.scored.name}, {name}": value
        for row in board.rows
        for name in board.tasks
        if tasks.get(name).kind == metrics.REGRESSION and name in row.result.tasks
        for value in [row.result.tasks[name].scores["r2"].value]
        if value is not None
    }
    worst = min(found, key=lambda name: found[name])
    return f"{found[worst]:.1f} ({worst})"


def main() -> None:
    listed = boards(read_all(BOARD, print))
    ranked = [board for board in listed if board.ranked and board.protocol == "all"]
    orders = []
    for board in ranked:
        by_rule = ordered(board)
        texts = [", ".join(by_rule[0])]
        texts += ["same" if names == before else ", ".join(names) for before, names in itertools.pairwise(by_rule)]
        orders.append([f"`{board.zoo}`", *texts])
    pairs = [[f"`{board.zoo}`", *map(str, apart(board)), lowest(board)] for board in ranked]
    (total,) = (one for one in overall(listed) if one.protocol == "all")
    places = [
        [row.scored.name, "–" if row.mean is None else f"{row.mean:.3f}", str(row.places.get("all", "–"))]
        for row in total.rows
    ]
    complete = sum(
        all(zoo in row.by_zoo and row.by_zoo[zoo].mean is not None for zoo in total.zoos) for row in total.rows
    )
    parts = [
        "# What ranks, before and now",
        "Made by `python -m benchmarks.ranking` from the committed results: the same predictions under each rule. "
        "Protocol `all`; best first. *Same*: as the column to the left.",
        table(["zoo", *HEADS], orders),
        "## Pairs that are told apart",
        "Of all pairs of a board: those that a test of each by itself finds at 5 %, as the leaderboard did, and those "
        "that Holm's test of all together finds, as it does. The lowest R² was in the mean of its method as it is.",
        table(["zoo", "pairs", "each by itself", "all together", "lowest R²"], pairs),
        "## Over all zoos",
        f"{complete} of {len(total.rows)} methods are on all {len(total.zoos)} zoos; before, the others had no place.",
        table(["method", "mean skill", "places"], places),
    ]
    OUT.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
