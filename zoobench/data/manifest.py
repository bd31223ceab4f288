"""``manifest.json``: what a dataset folder holds, how it was made, and the sha256 of every file.

One manifest per repo, one entry per config. Read from disk it is checked by pydantic; an unknown schema version is
refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from ..errors import ZoobenchError
from ..files import sha256_of, write_atomically
from ..paths import InsidePath
from ..strict import Strict, read_versioned
from ..zoos.layout import Layout

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"


class OriginalFile(Strict):
    """A file that was read to make a config, under the name that it had; size in bytes."""

    path: str
    sha256: str
    size: int


class FileEntry(OriginalFile):
    """A file of the folder: path relative to it, size in bytes."""

    path: InsidePath


class DroppedRun(Strict):
    run_id: str
    epoch: int
    reason: str


class SplitCount(Strict):
    runs: int
    rows: int


class ImagesEntry(Strict):
    """The images that the networks were trained on: how many, and their width in pixels.

    ``sha256`` covers pixels and labels in canonical order; ``test_class_counts`` are the test images of each class.
    """

    source: str
    origin: str
    train: int
    test: int
    side: int
    sha256: str
    test_class_counts: list[int] | None = None


class ReleaseEntry(Strict):
    """The original files that an imported config was read from.

    ``rows``: how many checkpoints they hold. ``notes``: what the files do not say, and what was made of it.
    """

    format: str
    files: list[OriginalFile]
    rows: int
    notes: list[str]


class ConfigManifest(Strict):
    """One config: trained here (``recipe``, ``seed`` and ``images`` say how) or imported (``release`` says whence).

    ``gap_of`` is the column from which the test accuracy is subtracted to give ``generalization_gap``. ``arithmetic``
    names what its networks were computed in, if they were here (see ``training.formulation.arithmetic_of``), and
    ``rows_sha256`` is the hash of all its rows (see ``contents``).
    """

    zoo: str
    scale: str
    network: list[dict[str, Any]]
    layout: list[dict[str, Any]]
    preprocessing: dict[str, float]
    recipe: dict[str, Any] | None = None
    seed: int | None = None
    images: ImagesEntry | None = None
    release: ReleaseEntry | None = None
    gap_of: Literal["train_accuracy", "running_train_accuracy"] = "train_accuracy"
    arithmetic: str | None = None
    rows_sha256: str | None = None
    checkpoints: list[int]
    runs: int
    rows: int
    splits: dict[str, SplitCount]
    dropped: list[DroppedRun]
    files: list[FileEntry]
    versions: dict[str, str]
    built: str

    def weight_layout(self) -> Layout:
        return Layout.from_json(self.layout)

    def has_file(self, path: str) -> bool:
        return any(entry.path == path for entry in self.files)

    def file(self, path: str) -> FileEntry:
        """The entry of one file.

        Raises:
            ZoobenchError: the manifest does not list it.
        """
        for entry in self.files:
            if entry.path == path:
                return entry
        raise ZoobenchError(f"the manifest of {self.zoo} lists no file {path!r}")


# What may be the name of a folder, here and on the Hub.
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]


class Manifest(Strict):
    schema_version: int
    repo: _Name
    scale: str
    configs: dict[_Name, ConfigManifest]


def read_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``.

    Raises:
        ZoobenchError: missing, not JSON, of another schema version, or with unexpected fields.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise ZoobenchError(f"no {FILE_NAME} in {folder}; a dataset folder made by `zoobench build` has one")
    return read_versioned(Manifest, path, SCHEMA_VERSION, str(path), f"; this zoobench reads version {SCHEMA_VERSION}")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_atomically(folder / FILE_NAME, (manifest.model_dump_json(indent=1) + "\n").encode())


def file_entry(folder: Path, path: Path) -> FileEntry:
    return FileEntry(path=path.relative_to(folder).as_posix(), sha256=sha256_of(path), size=path.stat().st_size)


def original_file(path: Path) -> OriginalFile:
    return OriginalFile(path=path.name, sha256=sha256_of(path), size=path.stat().st_size)


def original_folder(folder: Path, paths: Sequence[Path]) -> OriginalFile:
    """One entry for many files below a folder: their sizes in all, and a sha256 over their names and sha256."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    size = sum(path.stat().st_size for path in paths)
    return OriginalFile(path=f"{folder.name}/", sha256=digest.hexdigest(), size=size)


def to_json(declaration: Any) -> Any:
    """A declaration as JSON: dataclasses become dicts that keep their type's name."""
    if dataclasses.is_dataclass(declaration):
        fields = {field.name: to_json(getattr(declaration, field.name)) for field in dataclasses.fields(declaration)}
        return {"type": type(declaration).__name__, **fields}
    if isinstance(declaration, tuple):
        return [to_json(item) for item in declaration]
    return declaration
