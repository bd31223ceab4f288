"""``zoobench quickstart``: from nothing to a leaderboard row on this machine, through the same doors as everyone.

Builds the Tetris seed zoo at full scale, installs it for ``load_dataset``, trains four baselines, scores them, and
writes a leaderboard of its own.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from zoobench import hub, progress
from zoobench.errors import ZoobenchError
from zoobench.tables import console
from zoobench.zoos import Zoo, resolve

from .submission import FILE_NAME

app = typer.Typer(invoke_without_command=True)

ZOO = "tetris-zoo/seed"
# Submission name, baseline, feature set, what submission.yaml says of it.
ENTRIES = (
    ("linear-w", "linear", "W", "Ridge regression on flat weights"),
    ("linear-stats", "linear", "stats", "Ridge regression on per-layer statistics"),
    ("gbm-w", "gbm", "W", "LightGBM on flat weights"),
    ("gbm-stats", "gbm", "stats", "LightGBM on per-layer statistics"),
)


@app.callback()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for predictions, results and the page.")] = Path(
        "zoobench-quickstart"
    ),
) -> None:
    """Build a zoo, train four baselines on it, score them, rank them: minutes on two cores, offline.

    Example: zoobench quickstart --out zoobench-quickstart
    """
    zoo = resolve(ZOO)
    folder = _dataset(zoo)
    typer.echo("[2/5] installing it for load_dataset")
    from zoobench.install import describe, install

    installed = install(folder)
    board = out / "leaderboard"
    for number, (name, baseline, features, method) in enumerate(ENTRIES, start=1):
        typer.echo(f"[3/5] baseline {number} of {len(ENTRIES)}: {name}")
        submit(board, zoo, name, baseline, features, method)
    typer.echo("[4/5] scoring the predictions")
    from .page import write_page
    from .ranking import board_table, boards
    from .score import score_all

    with progress.spinner("scoring") as on_step:
        entries = score_all(board, on_step)
    typer.echo("[5/5] ranking")
    page = board / "index.html"
    write_page(entries, page)
    for listed in boards(entries):
        console().print(board_table(listed))
    tool = "zoobench" if shutil.which("zoobench") else sys.argv[0]
    python = "python" if shutil.which("zoobench") else sys.executable
    example = board / "submissions" / ENTRIES[-1][0] / f"{zoo.id}.parquet"
    typer.echo(
        f"""
dataset      {folder}
predictions  {board / "submissions"}
page         {page.resolve().as_uri()}

Next:
  {tool} evaluate --predictions {example}
  {tool} run linear --zoo {zoo.id} --features stats --param link=logit --out preds.parquet
  {python} -c 'from datasets import load_dataset; print({describe(installed)})'
    (add HF_HUB_OFFLINE=1 if the Hub is out of reach: without it, datasets retries for about 20 s first)"""
    )


def _dataset(zoo: Zoo) -> Path:
    """The zoo's dataset folder, built unless it is there."""
    home = hub.data_home()
    if zoo.id in hub.built_zoos():
        typer.echo(f"[1/5] {zoo.id} is already in {home / zoo.repo}")
        return home / zoo.repo
    typer.echo(f"[1/5] building {zoo.id}: {zoo.size.runs:,} networks, {max(zoo.size.checkpoints)} epochs")
    try:
        from zoobench.build import build
    except ImportError as error:
        raise ZoobenchError(f"quickstart needs {error.name}: pip install 'zoobench[build,baselines]'") from error

    with progress.build_bar(zoo.id) as on_progress:
        return build(zoo, home, on_progress=on_progress)


def submit(board: Path, zoo: Zoo, name: str, baseline: str, features: str, method: str) -> None:
    """Train a baseline and lay its predictions down as a submission."""
    from zoobench.run import run

    folder = board / "submissions" / name
    with progress.spinner(name) as on_step:
        run(baseline, zoo, {"features": features}, folder / f"{zoo.id}.parquet", on_step)
    description = {
        "method": method,
        "authors": "zoobench",
        "description": f"The {baseline!r} baseline with its default parameters.",
        "code": f"baselines/{baseline}",
        "command": f"zoobench run {baseline} --zoo {zoo.id} --features {features} --out {zoo.id}.parquet",
    }
    (folder / FILE_NAME).write_text(yaml.safe_dump(description, sort_keys=False, allow_unicode=True))
