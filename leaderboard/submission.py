"""Submissions: a folder with ``submission.yaml`` and predictions. Data only: nothing in a submission is executed.

``submissions/<name>/<zoo repo>/<config>.parquet`` holds the predictions of a method on one zoo, or
``<config>-seed<k>.parquet`` for each seed of a random method; the folder's name is the submission's name.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoobench import zoos
from zoobench.errors import ZoobenchError

from .description import FILE_NAME, TEMPLATE, Description, read_description

SUBMISSIONS = "submissions"
# Predictions of all tasks of the largest test split are some megabytes; every zoo at every scale, with ten seeds each,
# is some hundred files.
MOST_BYTES, MOST_FILES = 100_000_000, 2_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PREDICTIONS = re.compile(r"(?P<config>[^/]+?)(-seed(?P<seed>0|[1-9][0-9]{0,5}))?\.parquet")
README = "README.md"


@dataclass(frozen=True)
class Submission:
    """A submission on disk: ``predictions`` are its files in a fixed order, each with the zoo that it is about."""

    name: str
    folder: Path
    description: Description
    predictions: tuple[tuple[Path, zoos.Zoo], ...]


@dataclass(frozen=True)
class Listing:
    """What lies in ``submissions``: those that can be scored, and by name why the others cannot."""

    submissions: tuple[Submission, ...]
    refused: dict[str, ZoobenchError]


def is_name(name: str) -> bool:
    """Whether a submission may be called so."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Refuse what a submission cannot be called.

    Raises:
        ZoobenchError: a bad name.
    """
    if not is_name(name):
        raise ZoobenchError(f"submission name {name!r} is not lower-case letters, digits, '.', '_' and '-', 64 at most")


def check_place(folder: str, inside: str) -> None:
    """Refuse a file that has no place in a submission, by its path in the submission's folder.

    Raises:
        ZoobenchError: neither a text of a submission nor predictions of a known zoo.
    """
    if inside not in (FILE_NAME, README):
        _about(folder, inside)


def check_size(path: str, size: int) -> None:
    """Refuse a file that is larger than predictions are.

    Raises:
        ZoobenchError: it is.
    """
    if size > MOST_BYTES:
        raise ZoobenchError(
            f"{path} has {size / 1e6:,.0f} MB; predictions of one zoo have {MOST_BYTES / 1e6:,.0f} MB at most"
        )


def check_count(folder: str, files: int) -> None:
    """Refuse more files than there are zoos and seeds.

    Raises:
        ZoobenchError: there are more.
    """
    if files > MOST_FILES:
        raise ZoobenchError(
            f"{folder} has more than {MOST_FILES:,} files, which is more than one for each zoo and seed"
        )


def read_submission(folder: Path) -> Submission:
    """Read a submission folder, as far as that needs neither labels nor predictions.

    Hidden files, which systems and editors leave, are warned about and are no part of it.

    Raises:
        ZoobenchError: a bad name, a file that does not belong there, a link, a file that is too large, no or invalid
            ``submission.yaml``, no predictions, or other seeds than it says.
    """
    check_name(folder.name)
    seeds: dict[str, set[int | None]] = {}
    predictions = []
    for count, path in enumerate(_plain_files(folder), start=1):
        check_count(str(folder), count)
        inside = path.relative_to(folder).as_posix()
        if inside in (FILE_NAME, README):
            continue
        if path.name.startswith("."):
            warnings.warn(f"{path} is skipped: a hidden file is no part of a submission", stacklevel=2)
            continue
        zoo, seed = _about(str(folder), inside)
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


def _plain_files(folder: Path, inside: tuple[str, ...] = ()) -> Iterator[Path]:
    """All files of a submission's folder, which is no link, in order.

    Raises:
        ZoobenchError: a link, a device, a folder that does not belong there, or a file that is too large.
    """
    here = folder.joinpath(*inside)
    try:
        if not stat.S_ISDIR(here.lstat().st_mode):
            raise ZoobenchError(f"{here} is no folder; a submission is one, with {FILE_NAME} in it")
        for entry in sorted(os.scandir(here), key=lambda entry: entry.name):
            path, status = Path(entry.path), entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                raise ZoobenchError(f"{path} is a link; a submission holds plain files only")
            if stat.S_ISDIR(status.st_mode):
                if inside:
                    raise _misplaced(str(folder), "/".join((*inside, entry.name)))
                yield from _plain_files(folder, (entry.name,))
            elif not stat.S_ISREG(status.st_mode):
                raise ZoobenchError(f"{path} is no plain file; a submission holds plain files only")
            else:
                check_size(str(path), status.st_size)
                yield path
    except OSError as error:
        raise ZoobenchError(f"cannot read {error.filename or here}: {error.strerror or error}") from error


def _about(folder: str, inside: str) -> tuple[zoos.Zoo, int | None]:
    """Which zoo a predictions file is about, and which seed it is, by its place and name."""
    repo, _, name = inside.partition("/")
    named = _PREDICTIONS.fullmatch(name)
    if named is None:
        raise _misplaced(folder, inside)
    zoo = zoos.resolve(f"{repo}/{named['config']}")
    if zoo.id != f"{repo}/{named['config']}":
        raise ZoobenchError(f"{folder}/{inside}: predictions of {zoo.id} belong in {zoo.repo}/")
    return zoo, None if named["seed"] is None else int(named["seed"])


def _misplaced(folder: str, inside: str) -> ZoobenchError:
    return ZoobenchError(
        f"{folder}/{inside} does not belong in a submission: that is {FILE_NAME}, a {README}, "
        "and <zoo repo>/<config>.parquet or <zoo repo>/<config>-seed<k>.parquet"
    )


def submissions_folder(board: Path) -> Path:
    """The folder of submissions of a leaderboard folder.

    Raises:
        ZoobenchError: it has none.
    """
    folder = board / SUBMISSIONS
    if not folder.is_dir():
        raise ZoobenchError(
            f"no folder {folder}; --dir takes a leaderboard folder, such as leaderboard/ of the repository"
        )
    return folder


def read_submissions(board: Path) -> Listing:
    """All submissions of a leaderboard folder, by name; what is no submission is warned about.

    Raises:
        ZoobenchError: the folder has no ``submissions``, or it cannot be read.
    """
    folder = submissions_folder(board)
    found: list[Submission] = []
    refused: dict[str, ZoobenchError] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ZoobenchError(f"cannot read {folder}: {error.strerror or error}") from error
    for path in paths:
        if foreign := _foreign(path):
            warnings.warn(f"{path} is skipped: {foreign}", stacklevel=2)
            continue
        try:
            found.append(read_submission(path))
        except ZoobenchError as error:
            refused[path.name] = error
    return Listing(tuple(found), refused)


def _foreign(path: Path) -> str | None:
    """Why something in ``submissions`` is nobody's attempt at a submission."""
    try:
        mode = path.lstat().st_mode
        if path.name.startswith("."):
            return "it is hidden"
        if stat.S_ISREG(mode):
            return "a submission is a folder"
        if stat.S_ISDIR(mode) and not any(path.iterdir()):
            return "the folder is empty"
        if stat.S_ISDIR(mode) and not is_name(path.name) and not (path / FILE_NAME).exists():
            return f"the folder has no {FILE_NAME}"
    except OSError:
        # Reading it says why it cannot be read.
        return None
    return None


def new_submission(board: Path, name: str) -> Path:
    """Make a submission folder with a description to fill in.

    Raises:
        ZoobenchError: a bad name, or one that is taken.
    """
    check_name(name)
    folder = board / SUBMISSIONS / name
    try:
        folder.mkdir(parents=True)
        (folder / FILE_NAME).write_bytes(TEMPLATE.format(name=name).encode())
    except FileExistsError:
        raise ZoobenchError(f"{folder} is there already; choose another name, or edit it") from None
    except OSError as error:
        raise ZoobenchError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder
