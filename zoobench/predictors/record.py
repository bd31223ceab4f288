"""``predictor.json``, what a saved predictor's folder says of itself.

It may come from anybody: nothing outside the folder is read, and every file must be the one that was saved.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ZoobenchError
from ..files import sha256_of
from ..scoring import protocols, tasks
from ..strict import Strict, first_problem
from ..zoos.layout import Layout

FILE_NAME = "predictor.json"
_MOST_BYTES = 16 << 20


class TensorRecord(Strict):
    """One tensor of the networks."""

    name: str
    shape: list[int]
    offset: int


class PartRecord(Strict):
    """One predictor: where it is, its tasks, and the parameters that a search chose."""

    folder: str
    tasks: tuple[str, ...]
    parameters: dict[str, Any]


class Record(Strict):
    """``predictor.json``; ``files`` are the sha256 of all others, by their paths."""

    baseline: str
    parameters: dict[str, str]
    zoo: str
    train_labels_sha256: str
    layout: list[TensorRecord]
    tasks: tuple[str, ...]
    classes: dict[str, list[str]]
    parts: list[PartRecord]
    protocol: str | None = None
    files: dict[str, str]
    versions: dict[str, str]

    def networks(self) -> Layout:
        """The layout of the networks."""
        return Layout.from_json(tensor.model_dump() for tensor in self.layout)


def folder_of(number: int, parts: int) -> str:
    """Where a part lies: a single one in the folder itself, several in folders of their own."""
    return "." if parts == 1 else str(number)


def hashes(folder: Path) -> dict[str, str]:
    """The sha256 of every file but the record, by path."""
    return {name: sha256_of(folder / name) for name in sorted(_files(folder)) if name != FILE_NAME}


def read_record(folder: Path) -> Record:
    """Read a record.

    Raises:
        ZoobenchError: there is none, or it contradicts itself.
    """
    record = peek(folder)
    if wrong := next(_contradictions(record), None):
        raise ZoobenchError(f"{folder / FILE_NAME} is not a predictor's record: {wrong}")
    return record


def check_files(folder: Path, record: Record) -> None:
    """See that a folder holds the files that were saved, and no link to others.

    Raises:
        ZoobenchError: it does not.
    """
    what = f"cannot load the predictor in {folder}"
    for name in _files(folder):
        if (folder / name).is_symlink():
            raise ZoobenchError(f"{what}: {name} is a link, which is not followed; copy the file itself")
    for name, digest in record.files.items():
        if not _is_plain(name):
            raise ZoobenchError(f"{what}: {FILE_NAME} names the file {name!r}, which may lie outside; save it again")
        if not (folder / name).is_file():
            raise ZoobenchError(f"{what}: {name} is missing; copy the folder whole, or save it again")
        if sha256_of(folder / name) != digest:
            raise ZoobenchError(f"{what}: {name} is not the file that was saved; copy it again, or save it again")


def peek(folder: Path) -> Record:
    """What a record says, whether or not it is true.

    Raises:
        ZoobenchError: there is none, or it has other fields.
    """
    path = folder / FILE_NAME
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise ZoobenchError(f"{path} is a link or no file, which is not read; copy the predictor whole")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ZoobenchError(f"no predictor in {folder}: zoobench run NAME --save {folder} saves one") from error
    if len(content) > _MOST_BYTES:
        raise ZoobenchError(f"{path} is not a predictor's record: it has more than {_MOST_BYTES:,} bytes")
    try:
        return Record.model_validate_json(content)
    except ValidationError as error:
        raise ZoobenchError(f"{path} is not a predictor's record: {first_problem(error)}") from error


def others_in(folder: Path) -> list[str]:
    """Files of a saved predictor's folder that saving did not put there.

    Raises:
        ZoobenchError: see ``peek``.
    """
    known = {FILE_NAME, *peek(folder).files}
    return sorted(set(_files(folder)) - known)


def _files(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in (*names, *links):
            yield (Path(place) / name).relative_to(folder).as_posix()


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    return not ({"", ".", ".."} & set(parts)) and "\\" not in name and ":" not in name and "\0" not in name


def _contradictions(record: Record) -> Iterator[str]:
    if not record.parts:
        yield "parts: there are none"
    for number, part in enumerate(record.parts):
        if part.folder != (wanted := folder_of(number, len(record.parts))):
            yield f"parts.{number}.folder: it is {wanted!r}, not {part.folder!r}"
    asked = [task for part in record.parts for task in part.tasks]
    if not asked or sorted(asked) != sorted(record.tasks) or len(set(asked)) < len(asked):
        yield "tasks: those of the parts are others"
    for task in record.tasks:
        if task not in tasks.BY_NAME:
            yield f"tasks: there is no task {task!r}"
    named = {
        task for task in record.tasks if task in tasks.BY_NAME and tasks.BY_NAME[task].kind == tasks.CLASSIFICATION
    }
    if named != set(record.classes) or not all(record.classes.values()):
        yield "classes: they are not those of the tasks"
    if record.protocol is not None and record.protocol not in protocols.BY_NAME:
        yield f"protocol: there is no protocol {record.protocol!r}"
    end = 0
    for tensor in record.layout:
        if tensor.offset != end or min(tensor.shape, default=0) < 1:
            yield f"layout: a gap or no size at {tensor.name!r}"
            return
        end += math.prod(tensor.shape)
    if not end:
        yield "layout: it has no tensors"
