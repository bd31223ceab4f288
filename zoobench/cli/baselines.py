"""The verbs of baselines: run, predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ZoobenchError
from .parts import check_current_folder

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    baseline: Annotated[str, typer.Argument(help="Name of an installed predictor.")],
    zoo: Annotated[str, typer.Option(help="Zoo to train on and predict.")],
    out: Annotated[Path, typer.Option(help="Predictions file to write (parquet).")],
    features: Annotated[
        str | None, typer.Option(help="Feature sets joined by +: W, W1, stats, stats-last, l2, lambda, ...")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the predictor, where it has one.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="name=value, any other parameter, or --name value; repeatable.")
    ] = None,
    on: Annotated[
        list[str] | None, typer.Option(help="Zoo to predict; repeatable; default the zoo trained on.")
    ] = None,
    perturbed: Annotated[
        Path | None,
        typer.Option(help="Folder of perturbed copies (see perturb); writes OUT-perturbed.parquet."),
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task to learn; repeatable; default all.")] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Search the predictor's own ranges by so many random draws.")
    ] = None,
    storage: Annotated[Path | None, typer.Option(help="SQLite file that keeps trials, to resume a search.")] = None,
    engine: Annotated[str, typer.Option(help="Of the search: local, or ray: this machine or RAY_ADDRESS.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Trials at a time with ray; default one per core.")] = None,
    save: Annotated[Path | None, typer.Option(help="Folder to save the fitted baseline in (see predict).")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Learn and predict its rows, as nfn, relu or folds (see evaluate); default all."),
    ] = None,
) -> None:
    """Train a baseline on a zoo and predict every task of its test split, or of others' with the same network.

    Example: zoobench run gbm --zoo tetris-zoo/seed --features stats --out preds.parquet
    """
    from ..predictors.run import Selection
    from ..predictors.run import run as run_baseline
    from ..zoos import resolve
    from . import progress

    check_current_folder()
    parameters = {"features": features, "seed": None if seed is None else str(seed), **_more(context.args)}
    for text in param or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ZoobenchError(f"--param takes name=value, not {text!r}")
        parameters[name] = value
    given = {name: value for name, value in parameters.items() if value is not None}
    if trials is None and (storage or workers or engine != "local"):
        raise ZoobenchError("--storage, --engine and --workers are of a search; add --trials")
    with progress.spinner(f"{baseline} on {zoo}") as on_step:
        others = [resolve(name) for name in on or []]
        selection = Selection(trials, storage, engine, workers) if trials else None
        frame = run_baseline(
            baseline, resolve(zoo), given, out, on_step, others, perturbed, task, selection, save, protocol
        )
    _say_written(frame, out)
    if protocol:
        typer.echo(f"they are of protocol {protocol}: zoobench evaluate --predictions {out} --protocol {protocol}")


def _more(words: list[str]) -> dict[str, str]:
    """Parameters of the baseline that were given as options: --name value, or --name=value."""
    found, waiting = {}, iter(words)
    for word in waiting:
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            raise ZoobenchError(f"unexpected argument {word!r}; parameters of a baseline are --name value")
        given = value if equals else next(waiting, None)
        if given is None or given.startswith("--"):
            raise ZoobenchError(f"option {name} needs a value: {name} value")
        found[name.removeprefix("--").replace("-", "_")] = given
    return found


@app.command()
def predict(
    model: Annotated[Path, typer.Option(help="Folder that zoobench run --save wrote.")],
    out: Annotated[Path, typer.Option(help="Predictions file to write (parquet).")],
    on: Annotated[
        list[str] | None, typer.Option(help="Zoo to predict; repeatable; default the zoo trained on.")
    ] = None,
) -> None:
    """Predict the test split of a zoo, or of several, by a saved baseline.

    Example: zoobench predict --model gbm --on tetris-zoo/seed --out preds.parquet
    """
    from ..predictors.fitted import predict as predict_by
    from ..zoos import resolve
    from . import progress

    check_current_folder()
    with progress.spinner(f"predicting by {model}"):
        frame = predict_by(model, [resolve(name) for name in on or []], out)
    _say_written(frame, out)


def _say_written(frame: pd.DataFrame, out: Path) -> None:
    predicted = [name for name in frame.columns if name not in ("zoo", "example_id", "trained_on")]
    typer.echo(f"wrote {len(frame):,} predictions of {', '.join(predicted)} to {out}")
