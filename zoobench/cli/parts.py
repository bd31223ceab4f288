"""What the verbs of the command line share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ZoobenchError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


class needs:  # noqa: N801 - reads as a statement
    """Turn a missing optional library into one line that says which extra has it."""

    def __init__(self, library: str, extra: str) -> None:
        self.library = library
        self.extra = extra

    def __enter__(self) -> None:
        if self.library == "torch":
            check_current_folder()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImportError):
            raise ZoobenchError(f"this needs {error.name}: pip install 'zoobench[{self.extra}]'") from error


def check_current_folder() -> None:
    """Refuse to compute in a folder that was removed: oneMKL, which PyTorch is built on, would end the process there.

    Raises:
        ZoobenchError: the current folder is gone.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise ZoobenchError(
            f"the current folder cannot be used ({error.strerror}); change to one that is there"
        ) from error


def print_json(value: object) -> None:
    """In ASCII, so that neither an encoding nor a control character can change it."""
    typer.echo(json.dumps(value, indent=1))
