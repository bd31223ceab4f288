"""A dataset folder as one object: where its files lie, what its manifest says, and the files, on disk or on the Hub.

This is the one room that spells the folder's paths, and that takes a path out of a manifest to a disk.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from ..errors import ZoobenchError
from ..paths import inside
from . import tables
from .digests import digest_of
from .manifest import FILE_NAME as MANIFEST
from .manifest import ConfigManifest, FileEntry, Manifest, read_manifest, write_manifest

CARD = "README.md"
PICTURES = "pictures"
# Folders that all configs share.
RESERVED = ("labels", "protocols", "references", PICTURES)


@dataclass(frozen=True)
class Places:
    """Where the files of one config lie: paths relative to the dataset folder, as they stand in its manifest."""

    config: str

    @property
    def rows(self) -> str:
        return self.config

    @property
    def labels(self) -> str:
        return f"labels/{self.config}"

    @property
    def protocols(self) -> str:
        return f"protocols/{self.config}"

    @property
    def references(self) -> str:
        return f"references/{self.config}"

    @property
    def folders(self) -> tuple[str, ...]:
        """Those that belong to the config alone."""
        return self.rows, self.labels, self.protocols, self.references

    def shard(self, split: str, number: int, count: int) -> str:
        """One of ``count`` files of rows."""
        return f"{self.rows}/{split}-{number:05d}-of-{count:05d}.parquet"

    def shards(self, split: str) -> str:
        """A pattern for all files of rows of a split."""
        return f"{self.rows}/{split}-*.parquet"

    def labels_of(self, split: str) -> str:
        return f"{self.labels}/{split}.parquet"

    def protocol(self, name: str) -> str:
        return f"{self.protocols}/{name}.parquet"

    def reference(self, name: str) -> str:
        return f"{self.references}/{name}.parquet"

    def picture(self, name: str) -> str:
        return f"{PICTURES}/{self.config}-{name}.png"

    def owns(self, path: str) -> bool:
        """Whether a path of a file belongs to the config, and to no other."""
        folder, _, name = path.rpartition("/")
        if folder == PICTURES:
            return name.endswith(".png") and (name == f"{self.config}.png" or name.startswith(f"{self.config}-"))
        return folder in self.folders

    def row_files(self, split: str, listed: Iterable[FileEntry]) -> list[FileEntry]:
        """Those of a manifest's files that hold rows of a split, in order."""
        return [file for file in listed if fnmatchcase(file.path, self.shards(split))]


def below(place: str, listed: Iterable[FileEntry]) -> list[str]:
    """The paths of those of a manifest's files that lie in a folder."""
    return [file.path for file in listed if file.path.startswith(f"{place}/")]


class DatasetFiles(ABC):
    """A dataset's manifest and files, wherever they are. The manifest is read once."""

    @abstractmethod
    def home(self) -> Path:
        """The folder on this machine in which the manifest lies."""

    @abstractmethod
    def has(self, path: str) -> bool:
        """Whether a file that the manifest lists can be had."""

    @abstractmethod
    def file(self, path: str) -> Path:
        """A file that the manifest lists, on this machine.

        Raises:
            ZoobenchError: it cannot be had.
        """

    @cached_property
    def manifest(self) -> Manifest:
        """What ``manifest.json`` says.

        Raises:
            ZoobenchError: it cannot be read (see ``read_manifest``), or names files that are not of its configs.
        """
        read = read_manifest(self.home())
        for name, config in read.configs.items():
            if name in RESERVED:
                raise ZoobenchError(
                    f"the manifest of {self} has a config {name!r}, which is the name of another folder"
                )
            for entry in config.files:
                if not Places(name).owns(entry.path):
                    raise ZoobenchError(
                        f"the manifest of {self} lists {entry.path!r} for {name}, which is not of {name}"
                    )
        return read

    def config(self, name: str) -> ConfigManifest:
        """What the manifest says of a config.

        Raises:
            ZoobenchError: there is no such config.
        """
        configs = self.manifest.configs
        if name not in configs:
            raise ZoobenchError(f"{self} has no config {name!r}; it has: {', '.join(configs)}")
        return configs[name]

    def checked(self, path: str, config: ConfigManifest) -> tuple[Path, str]:
        """A file of a config and its sha256, which must be the manifest's.

        Raises:
            ZoobenchError: the manifest does not list it, it cannot be had, or it is another one.
        """
        recorded, found = config.file(path), self.file(path)
        with tables.reading(found):
            digest, size = digest_of(found), found.stat().st_size
            if digest != recorded.sha256:
                digest = digest_of(found, anew=True)
        if digest != recorded.sha256:
            kind = tables.what_it_is(found) if found.suffix == ".parquet" else ""
            differs = f"has sha256 {digest[:12]}…, the manifest says {recorded.sha256[:12]}…"
            if kind and size != recorded.size:
                differs = f"has {size:,} bytes, the manifest says {recorded.size:,}"
            raise ZoobenchError(
                f"{found} {f'is {kind}: it ' if kind else ''}{differs}; {self.way_out(found, config.zoo)}"
            )
        return found, digest

    @abstractmethod
    def way_out(self, found: Path, zoo: str) -> str:
        """How to have the right file in the place of another one."""


class DatasetFolder(DatasetFiles):
    """A dataset folder on disk, to read or to write.

    Attributes:
        path: of the folder, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def is_there(self) -> bool:
        """Whether it has a manifest.

        Raises:
            ZoobenchError: the folder may not be looked into.
        """
        path = self.locate(MANIFEST)
        try:
            return path.is_file()
        except OSError as error:
            raise ZoobenchError(f"cannot read {path}: {error.strerror or error}") from error

    def has_config(self, name: str) -> bool:
        return self.is_there and name in self.manifest.configs

    def locate(self, path: str) -> Path:
        """Where a file or a folder of it lies, or will lie.

        Raises:
            ZoobenchError: it would lie elsewhere, or there is a link on the way.
        """
        return inside(self.path, path)

    def home(self) -> Path:
        return self.path

    def write_manifest(self, manifest: Manifest) -> None:
        """Say what the folder holds from now on; its files are there already."""
        self.locate(MANIFEST)
        write_manifest(self.path, manifest)
        self.manifest = manifest

    def has(self, path: str) -> bool:
        return os.path.lexists(self.locate(path))

    def file(self, path: str) -> Path:
        found = self.locate(path)
        if not found.is_file():
            configs = self.manifest.configs.values()
            owner = next((config.zoo for config in configs if config.has_file(path)), self.manifest.repo)
            lies = f"{found} is {tables.what_it_is(found)}" if found.exists() else f"no file {found}"
            raise ZoobenchError(f"{lies}, although the manifest of {owner} lists it; {self.way_out(found, 'it')}")
        return found

    def way_out(self, found: Path, zoo: str) -> str:
        return f"build or download {zoo} again"


class NotOnHubError(ZoobenchError):
    """A file that cannot be had from the Hub, at ``revision`` or, for ``None``, at all."""

    def __init__(self, message: str, revision: str | None) -> None:
        super().__init__(message)
        self.revision = revision


class HubDataset(DatasetFiles):
    """A dataset on the Hub. ``huggingface_hub`` downloads what is asked for, and keeps it in its own cache.

    Attributes:
        hub_id: e.g. ``"zoobench/cnn-zoo-2"``.
        revision: commit, branch or tag; ``None`` for what is current.
    """

    def __init__(self, hub_id: str, revision: str | None = None) -> None:
        self.hub_id = hub_id
        self.revision = revision

    def __str__(self) -> str:
        return f"the Hub dataset {self.hub_id!r}" + (f" at revision {self.revision!r}" if self.revision else "")

    def home(self) -> Path:
        return self.file(MANIFEST).parent

    def has(self, path: str) -> bool:
        """The Hub has all that the manifest lists."""
        return True

    def file(self, path: str) -> Path:
        """A file, downloaded if it is not in the cache.

        Raises:
            NotOnHubError: it cannot be had.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            return Path(hf_hub_download(self.hub_id, path, repo_type="dataset", revision=self.revision))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise NotOnHubError(f"cannot get {path} of {self}: {reason}", self.revision) from error

    def way_out(self, found: Path, zoo: str) -> str:
        return f"delete {found.resolve()}, and it is downloaded again"
