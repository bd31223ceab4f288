"""What the verbs of the command line share."""

from __future__ import annotations

import json
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
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImportError):
            raise ZoobenchError(f"this needs {error.name}: pip install 'zoobench[{self.extra}]'") from error


def print_json(value: object) -> None:
    """In ASCII, so that neither an encoding nor a control character can change it."""
    typer.echo(json.dumps(value, indent=1))
