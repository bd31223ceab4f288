"""Boards for the terminal: the mean skill and each task's main metric; the page adds the intervals."""

from __future__ import annotations

from rich import box
from rich.table import Table

from zoobench.scoring.results import number

from .ranking import Board, main_value


def board_table(board: Board, ranking: str) -> Table:
    """A board in the order of one ranking, of ``ranking.RANKINGS``; partial submissions come last."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        title=f"{board.zoo}, protocol {board.protocol}, labels {board.labels_sha256[:8]}: R² on the test split",
    )
    table.add_column("#", justify="right")
    table.add_column("submission", no_wrap=True)
    table.add_column("mean\nskill", justify="right")
    for task in board.tasks:
        table.add_column(task.replace("_", "\n"), justify="right", min_width=5, overflow="fold")
    for row in board.rows:
        if ranking not in ("all", row.scored.submission.track):
            continue
        mean = "partial" if row.mean is None else number(row.mean)
        values = [main_value(row.result, task) for task in board.tasks]
        table.add_row(
            str(row.places.get(ranking, "–")),
            row.scored.name,
            mean,
            *("–" if value is None else number(value) for value in values),
        )
    return table
