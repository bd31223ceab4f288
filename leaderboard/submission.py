"""Submissions: a folder with ``submission.yaml`` and predictions. Data only: nothing in a submission is executed.

``submissions/<name>/<zoo repo>/<config>.parquet`` holds the predictions of a method on one zoo, or
``<config>-seed<k>.parquet`` for each seed of a random method; the folder's name is the submission's name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoobench import zoos
from zoobench.errors import ZoobenchError

from .description import FILE_NAME, TEMPLATE, Description, read_description

# Predictions of all tasks of the largest test split are some megabytes.
MOST_BYTES = 100_000_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PREDICTIONS = re.compile(r"(?P<config>[^/]+?)(-seed(?P<seed>\d{1,6}))?\.parquet")
README = "README.md"


@dataclass(frozen=True)
class Submission:
    """A submission on disk: ``predictions`` are its files in a fixed order, each with the zoo that it is about."""

    name: str
    folder: Path
    description: Description
    predictions: tuple[tuple[Path, zoos.Zoo], ...]


def read_submission(folder: Path) -> Submission:
    """Read a submission folder, as far as that needs neither labels nor predictions.

    Raises:
        ZoobenchError: a bad name, a file that does not belong there, a link, a file that is too large, no or invalid
            ``submission.yaml``, no predictions, or other seeds than it says.
    """
    if not _NAME.fullmatch(folder.name):
        raise ZoobenchError(
            f"submission name {folder.name!r} is not lower-case letters, digits, '.', '_' and '-', 64 at most"
        )
    seeds: dict[str, set[int | None]] = {}
    predictions = []
    for path in _plain_files(folder):
        inside = path.relative_to(folder)
        if str(inside) in (FILE_NAME, README):
            continue
        zoo, seed = _about(folder, inside)
        seeds.setdefault(zoo.id, set()).add(seed)
        predictions.append((path, zoo))
    description = read_description(folder / FILE_NAME)
    if not predictions:
        raise ZoobenchError(
            f"submission {folder.name!r} has no predictions; put them in {folder}/<zoo repo>/<config>.parquet"
        )
    expected: set[int | None] = set(description.seeds) or {None}
    for zoo_id, found in seeds.items():
        if found != expected:
            said = f"seeds {description.seeds}" if description.seeds else "no seeds"
            there = sorted(seed for seed in found if seed is not None)
            files = [f"files of seeds {there}"] * bool(there) + ["a file without a seed"] * (None in found)
            raise ZoobenchError(f"{folder / FILE_NAME}: seeds: it says {said}, but {zoo_id} has {' and '.join(files)}")
    return Submission(folder.name, folder, description, tuple(sorted(predictions, key=lambda pair: str(pair[0]))))


def _plain_files(folder: Path) -> Iterator[Path]:
    """All files below a folder that is no link, in order.

    Raises:
        ZoobenchError: a link, a device, or a file that is too large.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise ZoobenchError(f"{folder} is no folder; a submission is one, with {FILE_NAME} in it")
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path, mode = Path(entry.path), entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                raise ZoobenchError(f"{path} is a link; a submission holds plain files only")
            if stat.S_ISDIR(mode):
                yield from _plain_files(path)
            elif not stat.S_ISREG(mode):
                raise ZoobenchError(f"{path} is no plain file; a submission holds plain files only")
            elif entry.stat(follow_symlinks=False).st_size > MOST_BYTES:
                size = entry.stat(follow_symlinks=False).st_size
                raise ZoobenchError(
                    f"{path} has {size / 1e6:,.0f} MB; predictions of one zoo have {MOST_BYTES / 1e6:,.0f} MB at most"
                )
            else:
                yield path
    except OSError as error:
        raise ZoobenchError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error


def _about(folder: Path, inside: Path) -> tuple[zoos.Zoo, int | None]:
    """Which zoo a predictions file is about, and which seed it is, by its place and name."""
    named = _PREDICTIONS.fullmatch(inside.name)
    if len(inside.parts) != 2 or named is None:
        raise ZoobenchError(
            f"{folder / inside} does not belong in a submission: that is {FILE_NAME}, a {README}, "
            "and <zoo repo>/<config>.parquet or <zoo repo>/<config>-seed<k>.parquet"
        )
    zoo = zoos.resolve(f"{inside.parts[0]}/{named['config']}")
    return zoo, None if named["seed"] is None else int(named["seed"])


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
    return [read_submission(path) for path in sorted(folder.iterdir())]


def new_submission(board: Path, name: str) -> Path:
    """Make a submission folder with a description to fill in.

    Raises:
        ZoobenchError: a bad name, or one that is taken.
    """
    folder = board / "submissions" / name
    if not _NAME.fullmatch(name):
        raise ZoobenchError(f"submission name {name!r} is not lower-case letters, digits, '.', '_' and '-', 64 at most")
    try:
        folder.mkdir(parents=True)
        (folder / FILE_NAME).write_bytes(TEMPLATE.format(name=name).encode())
    except FileExistsError:
        raise ZoobenchError(f"{folder} is there already; choose another name, or edit it") from None
    except OSError as error:
        raise ZoobenchError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder
