"""Submissions: a folder with ``submission.yaml`` and one predictions file per zoo.

``submissions/<name>/<zoo repo>/<config>.parquet`` holds the predictions of a method on one zoo; the folder's name is
the submission's name. Data only: nothing in a submission is executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from zoobench.errors import ZoobenchError

FILE_NAME = "submission.yaml"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Description(BaseModel):
    """What ``submission.yaml`` says of a method.

    ``parameters`` counts the numbers the method learns, ``command`` reproduces the predictions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    authors: str
    description: str
    paper: str = ""
    code: str = ""
    parameters: int | None = None
    command: str = ""


@dataclass(frozen=True)
class Submission:
    """A submission on disk: ``predictions`` are its parquet files in a fixed order."""

    name: str
    description: Description
    predictions: tuple[Path, ...]


def read_submission(folder: Path) -> Submission:
    """Read a submission folder.

    Raises:
        ZoobenchError: a bad name, no or invalid ``submission.yaml``, or no predictions.
    """
    if not _NAME.fullmatch(folder.name):
        raise ZoobenchError(f"submission name {folder.name!r} is not lower-case letters, digits, '.', '_' and '-'")
    path = folder / FILE_NAME
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ZoobenchError(f"submission {folder.name!r} has no {FILE_NAME} in {folder}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ZoobenchError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    try:
        description = Description.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        raise ZoobenchError(
            f"{path}: {field}: {first['msg']}; fields: {', '.join(Description.model_fields)}"
        ) from error
    predictions = tuple(sorted(folder.glob("*/*.parquet")))
    if not predictions:
        raise ZoobenchError(
            f"submission {folder.name!r} has no predictions; put them in {folder}/<zoo repo>/<config>.parquet"
        )
    return Submission(folder.name, description, predictions)


def read_submissions(board: Path) -> list[Submission]:
    """All submissions of a leaderboard folder, by name.

    Raises:
        ZoobenchError: the folder has no ``submissions`` or one of them is invalid.
    """
    folder = board / "submissions"
    if not folder.is_dir():
        raise ZoobenchError(
            f"no folder {folder}; --dir takes a leaderboard folder, such as leaderboard/ of the repository"
        )
    return [read_submission(path) for path in sorted(folder.iterdir()) if path.is_dir()]
