"""``zoobench import``: one verb per format of an original release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoobench import cli
from zoobench.errors import ZoobenchError
from zoobench.zoos import Zoo, resolve

if TYPE_CHECKING:
    from zoobench.data.manifest import ConfigManifest

app = typer.Typer(help="Import an original release as a dataset folder.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option(help="Parent of the dataset folder; default ZOOBENCH_DATA.")]
ZooId = Annotated[str, typer.Option(help="Which zoo the release is of, e.g. mnist-zoo/seed; the files do not say.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace an import of other files of the same zoo.")]
_LISTED = 5


@app.command("small-cnn-zoo")
def small_cnn_zoo(
    source: Annotated[Path, typer.Argument(help="DATASET.tar.xz, or the folder extracted from it.")],
    out: Out = None,
    nfn_split: Annotated[Path | None, typer.Option(help="Permutation CSV of later papers: protocol nfn.")] = None,
    replace: Replace = False,
) -> None:
    """Import weights.npy, metrics.csv.gz and layout.csv of Unterthiner et al. 2020.

    Example: zoobench import small-cnn-zoo mnist.tar.xz --out zoos --nfn-split mnist_split.csv
    """
    from zoobench.cli import progress
    from zoobench.data import hub

    with cli.needs("torch", "build"):
        from .small_cnn_release import import_small_cnn_zoo
    with progress.bar("small-cnn-zoo", "checkpoints") as on_rows:
        _report(*import_small_cnn_zoo(source, out or hub.data_home(), nfn_split, on_rows, replace=replace))


@app.command()
def schurholt(
    source: Annotated[Path, typer.Argument(help="A .pt file, or a folder with NN_* folders.")],
    zoo: ZooId,
    out: Out = None,
    replace: Replace = False,
) -> None:
    """Import a .pt dataset or the raw checkpoints of Schürholt et al. 2021 and 2022.

    Nothing in a .pt file is run: tensors, containers and known dataset classes are read, anything else is refused.
    Example: zoobench import schurholt dataset.pt --zoo tetris-zoo/seed --out zoos
    """
    from zoobench.cli import progress
    from zoobench.data import hub

    chosen = _full(zoo)
    with cli.needs("torch", "build"):
        from .schurholt_release import import_schurholt
    with progress.bar(chosen.id, "checkpoints") as on_rows:
        _report(*import_schurholt(source, chosen, out or hub.data_home(), on_rows, replace=replace))


@app.command()
def comvex(
    source: Annotated[list[Path], typer.Argument(help="Files with w1 ... w4 and test_acc, or collected checkpoints.")],
    zoo: ZooId,
    out: Out = None,
    checkpoints_per_run: Annotated[int, typer.Option(min=1, help="Consecutive rows that are one run.")] = 100,
    replace: Replace = False,
) -> None:
    """Import the tensors that Liu's ComVeX is trained on, or a folder of the checkpoints they are made of.

    All files of a zoo are given at once; a number of checkpoints per run that the weights deny is refused.
    Example: zoobench import comvex train.pt val.pt test.pt --zoo cnn-zoo-2/cifar10 --out zoos
    """
    from zoobench.cli import progress
    from zoobench.data import hub

    chosen = _full(zoo)
    with cli.needs("torch", "build"):
        from .comvex_release import import_comvex
    with progress.bar(chosen.id, "checkpoints") as on_rows:
        _report(*import_comvex(source, chosen, out or hub.data_home(), checkpoints_per_run, on_rows, replace=replace))


def _full(name: str) -> Zoo:
    zoo = resolve(name)
    if zoo.scale != "full":
        raise ZoobenchError(f"{zoo.id} is a zoo of our own; a release is of {zoo.spec.id}")
    return zoo


def _report(folder: Path, config: ConfigManifest) -> None:
    from zoobench.data.folder import MANIFEST

    read = config.release.rows if config.release else config.rows
    typer.echo(
        f"imported {config.zoo} into {folder}: {config.rows:,} of {read:,} checkpoints, {config.runs:,} runs, "
        f"{len(config.dropped)} dropped"
    )
    for note in config.release.notes if config.release else ():
        if note.startswith("Left out: "):
            typer.echo(note)
    for run in config.dropped[:_LISTED]:
        typer.echo(f"dropped {run.run_id}: {run.reason} (epoch {run.epoch})")
    if len(config.dropped) > _LISTED:
        typer.echo(f"... and {len(config.dropped) - _LISTED} more, in {folder / MANIFEST}")
