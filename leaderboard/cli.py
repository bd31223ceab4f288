"""``zoobench leaderboard``: score submissions, write the page, show the ranking."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.parts import JsonFlag, print_json

app = typer.Typer(help="Score submissions and show the ranking.", no_args_is_help=True)

Directory = Annotated[Path, typer.Option("--dir", help="Leaderboard folder: submissions/, labels/, results/.")]


@app.command()
def pin(
    zoo: Annotated[list[str], typer.Argument(help="Zoo id, e.g. tetris-zoo/seed; several may be given.")],
    directory: Directory = Path("leaderboard"),
) -> None:
    """Keep the test labels and references of a zoo in labels/, for scoring without the zoo itself.

    Of several, one that cannot be had does not keep the others from being pinned; the exit code is 2 then.

    Example: zoobench leaderboard pin tetris-zoo/seed --dir leaderboard
    """
    from zoobench.errors import ZoobenchError
    from zoobench.zoos import resolve

    from .pin import pin as pin_zoo

    refused = []
    for name in zoo:
        try:
            typer.echo(f"pinned {name} in {pin_zoo(directory, resolve(name))}")
        except ZoobenchError as error:
            refused.append(str(error))
    if refused:
        raise ZoobenchError("; ".join(refused))


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the submission: lower-case letters, digits, '.', '_', '-'.")],
    directory: Directory = Path("leaderboard"),
) -> None:
    """Make a submission folder with a description to fill in.

    Example: zoobench leaderboard new my-method
    """
    from .submission import new_submission

    folder = new_submission(directory, name)
    typer.echo(
        f"wrote {folder / 'submission.yaml'}: fill it in, and put your predictions beside it, as "
        f"{folder / '<zoo repo>' / '<config>.parquet'} or <config>-seed<k>.parquet; then: "
        f"zoobench leaderboard validate {folder}"
    )


@app.command()
def validate(
    path: Annotated[Path, typer.Argument(help="A submission folder.")],
    directory: Directory = Path("leaderboard"),
    as_json: JsonFlag = False,
) -> None:
    """Check a submission as the scorer does, and print the scores that it will get; nothing is written.

    Example: zoobench leaderboard validate leaderboard/submissions/my-method
    """
    from zoobench.cli import progress, tables
    from zoobench.errors import shown
    from zoobench.scoring.results import SCHEMA_VERSION, Result

    from .score import score_submission
    from .submission import read_submission
    from .targets import labels_of

    with progress.spinner(f"scoring {shown(path.name)}"):
        scored = score_submission(read_submission(path.absolute()), labels_of(directory))
    if as_json:
        print_json(scored.model_dump())
        return
    for table in tables.result_tables(Result(schema_version=SCHEMA_VERSION, results=list(scored.results), averages=[])):
        tables.console().print(table)
    zoos = ", ".join(dict.fromkeys(result.zoo for result in scored.results))
    typer.echo(f"{scored.name} is valid: {zoos}; track {scored.submission.track}")


@app.command()
def review(
    base: Annotated[str, typer.Argument(help="The commit that is checked out: its code and labels are trusted.")],
    head: Annotated[str, typer.Argument(help="The commit that is proposed: data only.")],
    comment: Annotated[Path | None, typer.Option(help="Write the comment here, and print nothing.")] = None,
) -> None:
    """Check the submissions that a pull request adds, changes or withdraws, in a checkout of the repository.

    Prints a comment in Markdown: what is refused and why, what is withdrawn, the scores of the others. Exit code 1 if
    something is refused, anything else is changed, or there is nothing to check.

    Example: zoobench leaderboard review main submitted --comment comment.md
    """
    from zoobench.files import write_atomically

    from . import pull_request

    found = pull_request.review(base, head)
    text = pull_request.comment(found)
    if comment is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(comment, text.encode())
    if found.refused:
        raise typer.Exit(1)


@app.command()
def submit(
    path: Annotated[Path, typer.Argument(help="A submission folder.")],
    repo: Annotated[str, typer.Option(help="Hub dataset of the leaderboard.")] = "zoobench/leaderboard",
    directory: Directory = Path("leaderboard"),
) -> None:
    """Check a submission, and open a pull request with it on the Hub.

    Example: zoobench leaderboard submit leaderboard/submissions/my-method
    """
    from zoobench.cli import progress
    from zoobench.errors import shown

    from .submit import submit as propose

    with progress.spinner(f"submitting {shown(path.name)}") as on_step:
        url = propose(directory, path.absolute(), repo, on_step)
    typer.echo(f"opened {url}")


@app.command()
def score(
    directory: Directory = Path("leaderboard"),
    everything: Annotated[bool, typer.Option("--all", help="Score what has not changed, too.")] = False,
) -> None:
    """Re-score every submission that changed from its predictions and write results/<name>.json.

    What is no submission is warned about; one that is invalid does not keep the others from being scored, and the exit
    code is 2 then. Example: zoobench leaderboard score --dir leaderboard
    """
    from zoobench.cli import progress

    from .score import score_all

    names: list[str] = []
    with progress.spinner("scoring") as on_step:

        def on_submission(name: str) -> None:
            names.append(name)
            on_step(name)

        scored = score_all(directory, on_submission, everything)
    typer.echo(f"scored {len(names)} of {len(scored)} submissions into {directory / 'results'}")


@app.command()
def check(directory: Directory = Path("leaderboard")) -> None:
    """Score every submission again and compare with results/, value by value; nothing is written.

    Exit code 1, and a line for each difference, where they are not the same.

    Example: zoobench leaderboard check --dir leaderboard
    """
    from zoobench.cli import progress

    from .check import check as compare

    with progress.spinner("scoring") as on_step:
        differences = compare(directory, on_step)
    for line in differences:
        typer.echo(line)
    if differences:
        raise typer.Exit(1)
    typer.echo(f"{directory / 'results'} is what scoring gives")


def _left_out(why: str) -> None:
    typer.echo(f"warning: a submission is left out: {why}", err=True)


@app.command()
def page(
    directory: Directory = Path("leaderboard"),
    out: Annotated[Path | None, typer.Option(help="HTML file to write; default DIR/index.html.")] = None,
    space: Annotated[Path | None, typer.Option(help="Folder to make a static Space of the Hub in.")] = None,
) -> None:
    """Write the ranking as one self-contained HTML file.

    Example: zoobench leaderboard page --dir leaderboard --out leaderboard.html
    """
    from .page import write_page, write_space
    from .results import read_all

    scored = read_all(directory, _left_out)
    if space is not None:
        write_space(scored, space)
        typer.echo(f"wrote {space}; to publish it: hf upload --repo-type space OWNER/NAME {space} .")
    if out is not None or space is None:
        target = out or directory / "index.html"
        write_page(scored, target)
        typer.echo(f"wrote {target}")


@app.command()
def show(
    directory: Directory = Path("leaderboard"),
    track: Annotated[str, typer.Option(help="standard, open, or all.")] = "all",
) -> None:
    """Print the ranking.

    Example: zoobench leaderboard show --dir leaderboard
    """
    from zoobench.cli.tables import console
    from zoobench.errors import check_known

    from .ranking import RANKINGS, boards
    from .results import read_all
    from .terminal import board_table

    check_known("track", track, RANKINGS)
    for board in boards(read_all(directory, _left_out)):
        console().print(board_table(board, track))
