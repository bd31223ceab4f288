"""A dataset folder as one object: where its files lie, what its manifest says, and the files, on disk or on the Hub.

This is the one room that spells the folder's paths, and that takes a path out of a manifest to a disk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from ..errors import ZoobenchError
from ..files import sha256_of
from ..paths import inside
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

    def has(self, path: str) -> bool:
        """Whether a path of a file belongs to the config, and to no other."""
        folder, _, name = path.rpartition("/")
        if folder == PICTURES:
            return name.startswith(f"{self.config}-") and name.endswith(".png")
        return folder in self.folders

    def row_files(self, split: str, listed: Iterable[FileEntry]) -> list[FileEntry]:
        """Those of a manifest's files that hold rows of a split, in order."""
        return [file for file in listed if fnmatchcase(file.path, self.shards(split))]


def below(place: str, listed: Iterable[FileEntry]) -> list[str]:
    """The paths of those of a manifest's files that lie in a folder."""
    return [file.path for file in listed if file.path.startswith(f"{place}/")]


class DatasetFiles(ABC):
    """A dataset's manifest and files, wherever they are. The manifest is read once, and each file hashed once."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}

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
                if not Places(name).has(entry.path):
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
        if path not in self._digests:
            self._digests[path] = sha256_of(found)
        digest = self._digests[path]
        if digest != recorded.sha256:
            raise ZoobenchError(
                f"labels {found} have sha256 {digest[:12]}…, the manifest says {recorded.sha256[:12]}…; "
                f"build or download {config.zoo} again"
            )
        return found, digest


class DatasetFolder(DatasetFiles):
    """A dataset folder on disk, to read or to write.

    Attributes:
        path: of the folder, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def is_there(self) -> bool:
        return self.locate(MANIFEST).is_file()

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
        self._digests.clear()

    def has(self, path: str) -> bool:
        return self.locate(path).is_file()

    def file(self, path: str) -> Path:
        if not self.has(path):
            configs = self.manifest.configs.values()
            owner = next((config.zoo for config in configs if config.has_file(path)), self.manifest.repo)
            raise ZoobenchError(
                f"no file {self.locate(path)}, although the manifest of {owner} lists it; build or download it again"
            )
        return self.locate(path)


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
        super().__init__()
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
            message = f"cannot get {path} of {self}: {str(error).splitlines()[0]}"
            raise NotOnHubError(message, self.revision) from error
