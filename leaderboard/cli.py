"""``zoobench leaderboard``: score submissions, write the page, show the ranking."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Score submissions and show the ranking.", no_args_is_help=True)

Directory = Annotated[Path, typer.Option("--dir", help="Leaderboard folder: submissions/, labels/, results/.")]


@app.command()
def pin(
    zoo: Annotated[list[str], typer.Argument(help="Zoo id, e.g. tetris-zoo/seed; several may be given.")],
    directory: Directory = Path("leaderboard"),
) -> None:
    """Keep the test labels and references of a zoo in labels/, for scoring without the zoo itself.

    Example: zoobench leaderboard pin tetris-zoo/seed --dir leaderboard
    """
    from zoobench.zoos import resolve

    from .pin import pin as pin_zoo

    for name in zoo:
        typer.echo(f"pinned {name} in {pin_zoo(directory, resolve(name))}")


@app.command()
def score(directory: Directory = Path("leaderboard")) -> None:
    """Re-score every submission from its predictions and write results/<name>.json.

    Example: zoobench leaderboard score --dir leaderboard
    """
    from zoobench import progress

    from .score import score_all

    with progress.spinner("scoring") as on_step:
        entries = score_all(directory, on_step)
    typer.echo(f"scored {len(entries)} submissions into {directory / 'results'}")


@app.command()
def page(
    directory: Directory = Path("leaderboard"),
    out: Annotated[Path | None, typer.Option(help="HTML file to write; default DIR/index.html.")] = None,
) -> None:
    """Write the ranking as one self-contained HTML file.

    Example: zoobench leaderboard page --dir leaderboard --out leaderboard.html
    """
    from .page import write_page
    from .score import read_entries

    target = out or directory / "index.html"
    write_page(read_entries(directory), target)
    typer.echo(f"wrote {target}")


@app.command()
def show(directory: Directory = Path("leaderboard")) -> None:
    """Print the ranking.

    Example: zoobench leaderboard show --dir leaderboard
    """
    from zoobench.tables import console

    from .ranking import board_table, boards
    from .score import read_entries

    for board in boards(read_entries(directory)):
        console().print(board_table(board))
