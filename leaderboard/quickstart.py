"""``zoobench quickstart``: from nothing to a leaderboard row on this machine, through the same doors as everyone.

Builds the Tetris seed zoo at full scale, installs it for ``load_dataset``, trains four baselines, scores them, and
writes a leaderboard of its own.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from zoobench.errors import ZoobenchError
from zoobench.zoos import Zoo, resolve

app = typer.Typer(invoke_without_command=True)

ZOO = "tetris-zoo/seed"
ENTRIES = ("linear-w", "linear-stats", "gbm-w", "gbm-stats")


@app.callback()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for predictions, results and the page.")] = Path(
        "zoobench-quickstart"
    ),
) -> None:
    """Build a zoo, train four baselines on it, score them, rank them: minutes on two cores, offline.

    Example: zoobench quickstart --out zoobench-quickstart
    """
    from zoobench.cli import progress
    from zoobench.cli.tables import console

    zoo = resolve(ZOO)
    folder = _dataset(zoo)
    _say_whether_declared(zoo, folder)
    typer.echo("[2/5] installing it for load_dataset")
    from zoobench.publishing.install import describe, install

    install(folder)
    board = out / "leaderboard"
    from .entries import BY_NAME, lay_down

    for number, name in enumerate(ENTRIES, start=1):
        typer.echo(f"[3/5] baseline {number} of {len(ENTRIES)}: {name}")
        with progress.spinner(name):
            lay_down(board, BY_NAME[name], [zoo])
    typer.echo("[4/5] scoring the predictions")
    from .page import write_page
    from .ranking import boards
    from .score import score_all
    from .terminal import board_table

    with progress.spinner("scoring") as on_step:
        scored = score_all(board, on_step)
    typer.echo("[5/5] ranking")
    page = board / "index.html"
    write_page(scored, page)
    console().print(board_table(boards(scored)[0], "all"))
    tool = "zoobench" if shutil.which("zoobench") else shlex.quote(sys.argv[0])
    python = "python" if shutil.which("zoobench") else shlex.quote(sys.executable)
    example = shlex.quote(str(board / "submissions" / ENTRIES[-1] / f"{zoo.id}.parquet"))
    typer.echo(
        f"""
dataset      {folder}
predictions  {board / "submissions"}
page         {page.resolve().as_uri()}

Next:
  {tool} evaluate --predictions {example}
  {tool} run linear --zoo {zoo.id} --features stats --param link=logit --out preds.parquet
  {python} -c 'from datasets import load_dataset; print({describe({zoo.hub_id: [zoo.spec.config]})})'
    (add HF_HUB_OFFLINE=1 if the Hub is out of reach: without it, datasets retries for about 20 s first)"""
    )


def _dataset(zoo: Zoo) -> Path:
    """The zoo's dataset folder, built unless it is there."""
    from zoobench.cli import progress
    from zoobench.data import hub

    home = hub.data_home()
    if zoo.id in hub.built_zoos():
        typer.echo(f"[1/5] {zoo.id} is already in {home / zoo.repo}")
        return home / zoo.repo
    typer.echo(f"[1/5] building {zoo.id}: {zoo.size.runs:,} networks, {max(zoo.size.checkpoints)} epochs")
    try:
        from zoobench.building.build import build
    except ImportError as error:
        raise ZoobenchError(f"quickstart needs {error.name}: pip install 'zoobench[build,baselines]'") from error

    with progress.build_bar(zoo.id) as on_progress:
        return build(zoo, home, on_progress=on_progress)


def _say_whether_declared(zoo: Zoo, folder: Path) -> None:
    """Whether these are the rows that every build of the zoo has."""
    from zoobench.data.manifest import read_manifest

    config, declared = read_manifest(folder).configs[zoo.spec.config], zoo.size.rows_sha256
    if config.rows_sha256 == declared:
        typer.echo(f"      its rows are those of every build of {zoo.id}: sha256 {declared[:12]}…")
    else:
        found = config.rows_sha256 or "not stated"
        typer.echo(
            f"      its rows are not those of every build of {zoo.id} (sha256 {found[:12]}…, not {declared[:12]}…; "
            f"arithmetic {config.arithmetic}): scores here are not comparable with others'"
        )
