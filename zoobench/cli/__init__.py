"""The command line: thin verbs over the package. Bad input ends in one line on stderr and exit code 2."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..cores import limit_threads
from ..errors import ZoobenchError, shown
from . import output
from .baselines import app as baselines_app
from .parts import JsonFlag, needs, print_json
from .scoring import app as score_app

COMMANDS = "zoobench.commands"
app = typer.Typer(
    help="Model zoos as Hub datasets, one scorer, baselines and a leaderboard for weight-space learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(baselines_app)
app.add_typer(score_app)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"zoobench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


@app.command()
def zoos(as_json: JsonFlag = False) -> None:
    """List all declared zoos: weights, runs, what can be built, what is built here.

    Example: zoobench zoos --json
    """
    from ..data import hub
    from ..zoos import ALL, SCALES, Zoo
    from ..zoos.layout import layout_of
    from . import tables

    built = hub.built_zoos()
    here = [(spec, [zoo.id for scale in SCALES if (zoo := Zoo(spec, scale)).id in built]) for spec in ALL]
    if not as_json:
        tables.console().print(tables.zoo_table(here))
        return
    print_json(
        [
            {
                "zoo": spec.id,
                "also_known_as": spec.also_known_as,
                "summary": spec.summary,
                "weights": layout_of(spec.network).size,
                "published_runs": spec.published_runs,
                "published_rows": spec.published_rows,
                "scales": {scale: size.runs for scale, size in spec.scales},
                "built_here": ids,
            }
            for spec, ids in here
        ]
    )


@app.command()
def tasks(as_json: JsonFlag = False) -> None:
    """List all tasks and the zoos where they make sense.

    Example: zoobench tasks
    """
    from ..scoring.tasks import ALL
    from ..zoos import ALL as ALL_ZOOS
    from . import tables

    described = [(task, [spec.id for spec in ALL_ZOOS if task.applies_to(spec)]) for task in ALL]
    if as_json:
        print_json(
            [
                {
                    "task": task.name,
                    "kind": task.kind,
                    "column": task.column,
                    "transform": task.transform,
                    "description": task.description,
                    "unit": task.unit,
                    "main_metric": task.main_metric,
                    "version": task.version,
                    "zoos": where,
                }
                for task, where in described
            ]
        )
        return
    short = [(task, ["all"] if len(where) == len(ALL_ZOOS) else where) for task, where in described]
    tables.console().print(tables.task_table(short))


@app.command()
def build(
    zoo: Annotated[str, typer.Argument(help="Zoo id, e.g. tetris-zoo/seed; or a repo, for all its zoos.")],
    scale: Annotated[str | None, typer.Option(help="full, lite or tiny; default full.")] = None,
    out: Annotated[Path | None, typer.Option(help="Parent of the dataset folder; default ZOOBENCH_DATA.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of image data sets; default ZOOBENCH_IMAGES.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    engine: Annotated[str, typer.Option(help="local, or ray: this machine or the cluster at RAY_ADDRESS.")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Chunks trained at a time; default one per CPU core, or one per GPU.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Not 0: another population by the same recipe.")] = 0,
    resume: Annotated[
        bool,
        typer.Option("--resume/--no-resume", help="Go on with an interrupted build, or delete what is there of it."),
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Train a zoo, or all zoos of a repo, from scratch and write a dataset folder.

    Of a repo, one that fails does not keep the others from being built; the exit code is 2 then.
    Example: zoobench build mnist-zoo --scale lite --images ../shared/images --workers 2
    """
    from ..data import hub
    from ..zoos import Zoo, resolve_all
    from . import progress, tables

    chosen = resolve_all(zoo, scale)
    for each in chosen:
        each.size  # noqa: B018 - says what cannot be built before torch is imported
    with needs("torch", "build"):
        from ..building.build import build as build_zoo
        from ..building.engines import engine_named
        from ..building.repo import build_each
    with needs("ray", "ray"):
        train_with = engine_named(engine)
    home = out or hub.data_home()

    def build_one(zoo: Zoo) -> Path:
        with progress.build_bar(zoo.id) as on_progress:
            return build_zoo(zoo, home, images, device, on_progress, resume, train_with, workers, seed)

    outcomes = []
    for outcome in build_each(chosen, build_one):
        outcomes.append(outcome)
        if outcome.error and len(chosen) == 1:
            raise ZoobenchError(outcome.error)
        if outcome.error:
            typer.echo(f"error: {outcome.zoo.id}: {outcome.error}", err=True)
        elif not as_json:
            typer.echo(f"built {outcome.zoo.id} in {outcome.folder}")
    if as_json:
        print_json([outcome.to_json() for outcome in outcomes])
    elif len(chosen) > 1:
        tables.console().print(tables.build_table(outcomes))
    if failed := [outcome.zoo.id for outcome in outcomes if outcome.error]:
        raise ZoobenchError(f"{len(failed)} of {len(chosen)} zoos could not be built: {', '.join(failed)}")


@app.command()
def verify(
    target: Annotated[str, typer.Argument(help="A dataset folder, or the id of a zoo in ZOOBENCH_DATA.")],
    sample: Annotated[int, typer.Option(min=0, help="Networks per config to rebuild and measure again.")] = 8,
    images: Annotated[Path | None, typer.Option(help="Folder of image data sets; default ZOOBENCH_IMAGES.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a dataset folder: all that its manifest states, files, rows, splits, and sampled networks.

    Exits with code 1 and a list if something is wrong; says on stderr what could not be checked.
    Example: zoobench verify tetris-zoo/seed --sample 20
    """
    from ..data import hub
    from ..publishing.verify import examine
    from ..zoos import resolve
    from . import progress

    folder, configs = Path(target), None
    if not folder.is_dir():
        zoo = resolve(target)
        folder, configs = hub.data_home() / zoo.repo, [zoo.spec.config]
    with needs("torch", "build"), progress.spinner("verifying"):
        found = examine(folder, configs, sample, images)
    if as_json:
        print_json({"folder": str(folder), "sound": not found.problems, **found.to_json()})
    else:
        for problem in found.problems:
            typer.echo(shown(problem))
        for line in (*(f"note: {note}" for note in found.notes), *found.not_checked_lines()):
            typer.echo(shown(line), err=True)
        if not found.problems:
            typer.echo(f"{folder} is sound")
    if found.problems:
        raise typer.Exit(1)


@app.command()
def serve(
    directory: Annotated[Path, typer.Argument(help="A dataset folder, or a folder of them.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8765,
) -> None:
    """Serve dataset folders on loopback as the Hub does, read-only.

    Example: zoobench serve ~/zoos --port 8765; then HF_ENDPOINT=http://127.0.0.1:8765 python my_script.py
    """
    from ..publishing import serve as server

    for hub_id in server.dataset_folders(directory):
        typer.echo(f"serving {hub_id}")
    direct = "NO_PROXY=127.0.0.1 " if any(os.environ.get(name) for name in ("http_proxy", "HTTP_PROXY")) else ""
    typer.echo(f"use it: {direct}HF_ENDPOINT=http://127.0.0.1:{port}", err=True)
    server.run(directory, port)


@app.command()
def install(directory: Annotated[Path, typer.Argument(help="A dataset folder, or a folder of them.")]) -> None:
    """Make load_dataset("zoobench/...") work on this machine with no Hub in reach.

    Example: zoobench install ~/zoos/tetris-zoo
    """
    from ..publishing import install as installer
    from . import progress

    with progress.spinner("installing"):
        installed = installer.install(directory)
    typer.echo(f"now works on this machine:\n{installer.describe(installed)}")


@app.command()
def publish(
    directory: Annotated[Path, typer.Argument(help="A dataset folder.")],
    repo_id: Annotated[str, typer.Argument(help="Hub dataset, e.g. zoobench/tetris-zoo.")],
    private: Annotated[bool, typer.Option("--private", help="Create it as a private dataset.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and list; send nothing.")] = False,
    sample: Annotated[int, typer.Option(min=0, help="Networks per config that are measured again first.")] = 8,
    images: Annotated[Path | None, typer.Option(help="Folder of image data sets; default ZOOBENCH_IMAGES.")] = None,
) -> None:
    """Publish a dataset folder on the Hub, in one commit; the token is taken from HF_TOKEN.

    Example: HF_TOKEN=... zoobench publish zoos/tetris-zoo zoobench/tetris-zoo --dry-run
    """
    from ..publishing import publish as publisher
    from . import progress

    what = publisher.plan(directory, repo_id)
    with needs("torch", "build"), progress.spinner("verifying"):
        publisher.check(directory, sample, images)
    if dry_run:
        for path in what.paths:
            typer.echo(f"{(directory / path).stat().st_size:>15,} {path}")
        typer.echo(f"would publish {len(what.paths)} files, {what.size:,} bytes, as {repo_id}: {what.message}")
        return
    with progress.spinner(f"publishing {repo_id}") as on_step:
        url = publisher.publish(what, private, on_step)
    typer.echo(f"published {repo_id}: {url}")


@functools.cache
def _mount_commands() -> None:
    """Add the Typer apps of installed packages (leaderboard, quickstart, anyone's)."""
    for point in sorted(importlib.metadata.entry_points(group=COMMANDS), key=lambda point: point.name):
        app.add_typer(point.load(), name=point.name)


def _let_warnings_be_lines() -> None:
    """PYTHONWARNINGS=error would end a verb where some library says what will change."""
    if any(action == "error" for action, *_ in warnings.filters):
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)


def _at_home(argument: str) -> str:
    """``~`` is the user's home in ``--out=~/zoos``, too, which shells leave alone."""
    option, given, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return option + given + os.path.expanduser(value)


def main() -> None:
    """Entry point of the ``zoobench`` command."""
    output.open_standard_files()
    limit_threads()
    if not (sys.stderr and sys.stderr.isatty()):
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    _let_warnings_be_lines()
    for name in ("no_proxy", "NO_PROXY"):
        # A Hub on this machine (see `serve`) is asked without a proxy.
        direct = [host for host in os.environ.get(name, "").split(",") if host]
        if "*" not in direct:
            os.environ[name] = ",".join(dict.fromkeys([*direct, "127.0.0.1", "localhost"]))
    warnings.showwarning = lambda message, *_: typer.echo(f"warning: {shown(str(message))}", err=True)
    with output.shielded():
        _mount_commands()
        try:
            app(args=[_at_home(argument) for argument in sys.argv[1:]])
        except ZoobenchError as error:
            typer.echo(f"error: {error}", err=True)
            sys.exit(2)
        except OSError as error:
            # Of a file: a full disk, say. Others are mistakes of ours.
            if error.filename is None or not error.strerror:
                raise
            typer.echo(f"error: {shown(os.fsdecode(error.filename))}: {error.strerror}", err=True)
            sys.exit(2)
