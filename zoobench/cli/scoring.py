"""The verbs that score, and the pictures: evaluate, compare, perturb, plot."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ZoobenchError
from .parts import JsonFlag, needs, print_json

app = typer.Typer()
plot_app = typer.Typer(help="Draw pictures.", no_args_is_help=True)
app.add_typer(plot_app, name="plot")


@app.command()
def evaluate(
    predictions: Annotated[list[Path], typer.Option(help="Predictions file: parquet, or .csv; repeatable.")],
    more: Annotated[list[Path] | None, typer.Argument(help="More predictions files.", show_default=False)] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="all, final, relu, tanh, config-disjoint, seed-disjoint, folds, nfn, nfn-relu or nfn-tanh; "
            "repeatable; default all."
        ),
    ] = None,
    against: Annotated[Path | None, typer.Option(help="Predictions of perturbed networks (see perturb).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Folder for pictures: predicted against true, matrices.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the stamped result here.")] = None,
) -> None:
    """Score predictions: of one zoo or of many, in and out of distribution, of one seed or of several.

    Files whose names differ only in the number after "seed" are scored together, as seeds of one method.
    Example: zoobench evaluate --predictions gbm-seed*.parquet --protocol final --json result.json
    """
    from ..scoring import harness
    from . import progress, tables

    with progress.spinner("scoring"):
        scored = harness.score([*predictions, *(more or [])], protocol or ["all"], against)
    # What took long comes first: a file, then the screen; pictures are the least and come last.
    try:
        if json_file:
            _save(json_file, scored.result.to_json())
    finally:
        for table in tables.result_tables(scored.result):
            tables.console().print(table)
    if plot:
        with needs("matplotlib", "plot"), progress.spinner("drawing"):
            scored.draw(plot)


def _save(path: Path, text: str) -> None:
    from ..files import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ZoobenchError(f"cannot write {path}: {error.strerror or error}") from error


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Predictions of method A.")],
    second: Annotated[Path, typer.Argument(help="Predictions of method B.")],
    protocol: Annotated[
        str,
        typer.Option(help="all, final, relu, tanh, config-disjoint, seed-disjoint, folds, nfn, nfn-relu or nfn-tanh."),
    ] = "all",
    as_json: JsonFlag = False,
) -> None:
    """Compare two predictions files by a paired jackknife over runs.

    Example: zoobench compare gbm.parquet linear.parquet --protocol final
    """
    from ..scoring.compare import compare as compare_files
    from . import progress, tables

    with progress.spinner("comparing"):
        found = compare_files(first, second, protocol=protocol)
    if as_json:
        print_json([dataclasses.asdict(comparison) for comparison in found])
        return
    for comparison in found:
        tables.console().print(tables.comparison_table(comparison))


@app.command()
def perturb(
    zoo: Annotated[str, typer.Argument(help="Zoo id, e.g. tetris-zoo/seed.")],
    out: Annotated[Path, typer.Option(help="Folder to write: one perturbed copy of the test split per perturbation.")],
    sample: Annotated[int | None, typer.Option(min=1, help="Networks to draw; default all.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and the perturbations.")] = 0,
) -> None:
    """Write perturbed copies of a test split: some keep the networks' functions, some break them.

    Predict them, add a column "perturbation", and hold the file against your predictions: evaluate --against.
    Example: zoobench perturb small-cnn-zoo/cifar10 --sample 1000 --out perturbed
    """
    from ..weightspace.perturb import perturb as write_copies
    from ..zoos import resolve
    from . import progress

    with progress.spinner("perturbing") as on_step:
        paths = write_copies(resolve(zoo), out, sample, seed, on_step)
    for path in paths:
        typer.echo(path)


@plot_app.command("zoo")
def plot_zoo(
    zoo: Annotated[str, typer.Argument(help="Zoo id, e.g. tetris-zoo/seed.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
) -> None:
    """Draw a zoo: test accuracies, train against test, weights in two dimensions, learning curves.

    Weights are drawn by PCA, and by UMAP too where umap-learn is installed.
    Example: zoobench plot zoo small-cnn-zoo-lite/mnist --out pictures
    """
    from ..data import hub
    from ..zoos import resolve
    from . import progress

    chosen = resolve(zoo)
    files = hub.row_files(chosen)
    with needs("matplotlib", "build"):
        from ..weightspace import plots
    with progress.spinner("drawing"):
        view = plots.view(chosen.id, chosen.spec.images.classes, files)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ZoobenchError(f"cannot write pictures to {out}: {error.strerror or error}") from error
        paths, missing = plots.draw_each(view, out, chosen.spec.config, {**plots.PICTURES, **plots.MORE_PICTURES})
    for path in paths:
        typer.echo(path)
    if missing:
        raise ZoobenchError(f"cannot draw in {out}: " + ", ".join(f"{name} ({why})" for name, why in missing.items()))


@plot_app.command("embeddings")
def plot_embeddings(
    embeddings: Annotated[Path, typer.Argument(help="Parquet file that zoobench encode wrote.")],
    zoo: Annotated[str, typer.Option(help="Zoo of the networks.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures and separation.json.")],
    weights: Annotated[bool, typer.Option("--weights", help="Draw the flat weights, too.")] = False,
    by: Annotated[
        list[str] | None, typer.Option(help="Label to colour by, beside test_accuracy, as init; repeatable.")
    ] = None,
    umap: Annotated[bool, typer.Option("--umap", help="Draw them by UMAP, too, not by PCA alone.")] = False,
) -> None:
    """Draw embeddings in two dimensions and by similarity, and measure how well they separate networks.

    Example: zoobench plot embeddings z.parquet --zoo small-cnn-zoo-lite/mnist --out pictures
    """
    from ..zoos import resolve
    from . import progress, tables

    chosen = resolve(zoo)
    with needs("matplotlib", "plot"):
        from ..weightspace.embeddings import draw_embeddings, labels_of, read_embeddings, weights_of
    with progress.spinner("drawing"):
        ids, vectors = read_embeddings(embeddings)
        vectors |= {"W": weights_of(chosen, ids)} if weights else {}
        labels = labels_of(chosen, ids)
        with needs("umap", "umap"):
            kinds = ["pca", *(["umap"] if umap else []), "similarity"]
            found = draw_embeddings(vectors, labels, chosen.id, out, by or (), kinds)
    tables.console().print(tables.separation_table(chosen.id, found))
