"""Where zoos are found, in local dataset folders first, then on the Hub, and what is read of them.

``ZOOBENCH_DATA`` (default: the user's cache folder) holds dataset folders, one per repo. A file that is not there is
downloaded by ``huggingface_hub``, which keeps its own cache and honours ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE``.
Needs no torch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ..caches import cache_folder
from ..cores import usable_cores
from ..errors import ZoobenchError, check_known, note_once
from ..zoos import SCALES, Zoo, resolve
from ..zoos.layout import Layout
from ..zoos.splits import SPLITS
from . import tables, weights
from .folder import MANIFEST, DatasetFiles, DatasetFolder, HubDataset, NotOnHubError, Places, below
from .manifest import ConfigManifest
from .schema import LABELS

DATA_VARIABLE = "ZOOBENCH_DATA"
_KEYS = ("example_id", "run_id", "epoch")


def data_home() -> Path:
    """The folder of built zoos: ``ZOOBENCH_DATA``, in which ``~`` is the user's home, or the user's cache folder.

    Raises:
        ZoobenchError: neither is to be had.
    """
    if chosen := os.environ.get(DATA_VARIABLE):
        return Path(os.path.expanduser(chosen))
    try:
        return cache_folder("zoos")
    except OSError as error:
        raise ZoobenchError(f"{error}; set {DATA_VARIABLE} to the folder of zoos") from error


@dataclass(frozen=True)
class Labels:
    """Every column but the weights for one split, and the sha256 of the file they came from."""

    frame: pd.DataFrame
    sha256: str


@dataclass(frozen=True)
class ZooSplit:
    """One split of a zoo in memory: ``weights`` (rows, N) float32, and ``labels`` row by row beside them."""

    zoo: Zoo
    split: str
    layout: Layout
    weights: np.ndarray
    labels: pd.DataFrame


@dataclass(frozen=True)
class ZooFiles:
    """The files of one zoo: of its config in a dataset folder, or in a dataset on the Hub.

    Attributes:
        zoo: whose files.
        files: where they are.
        entry: what the manifest says of the config.
    """

    zoo: Zoo
    files: DatasetFiles
    entry: ConfigManifest

    @property
    def places(self) -> Places:
        return Places(self.zoo.spec.config)

    def has(self, path: str) -> bool:
        """Whether a file that the manifest lists can be had."""
        return self.files.has(path)

    def checked(self, path: str) -> tuple[Path, str]:
        """A file and its sha256, which must be the manifest's.

        Raises:
            ZoobenchError: it is another one, the manifest does not list it, or it cannot be had.
        """
        with _saying_how_to_get(self.zoo, path):
            return self.files.checked(path, self.entry)

    def rows(self, *splits: str) -> list[Path]:
        """The files of rows of splits, in order, each checked.

        Raises:
            ZoobenchError: one is another than the manifest says, or cannot be had.
        """
        listed = [entry.path for split in splits for entry in self.places.row_files(split, self.entry.files)]
        with ThreadPoolExecutor(usable_cores()) as pool:
            return [path for path, _ in pool.map(self.checked, listed)]


class Store:
    """Where zoos are found: folders of dataset folders, ``data_home()`` last, then the Hub.

    Made for one operation, such as one evaluation: what it has found, it knows from then on, so that a manifest is read
    once, and all that the operation reads is of one build.
    """

    def __init__(self, homes: Sequence[Path] = (), revision: str | None = None) -> None:
        """Look in these folders first; or, given the revision of a Hub dataset, on the Hub alone."""
        self._homes = [*homes, data_home()] if revision is None else []
        self._revision = revision
        self._folders: dict[Path, DatasetFolder] = {}
        self._on_hub: dict[str, HubDataset] = {}

    def find(self, zoo: Zoo) -> ZooFiles:
        """The files of a zoo.

        Raises:
            ZoobenchError: it is in none of the folders, and its manifest cannot be had from the Hub; or the manifest
                cannot be read, or is of another zoo.
        """
        paths = [home / zoo.repo for home in self._homes]
        folders = (self._folders.setdefault(path, DatasetFolder(path)) for path in paths)
        here = next((folder for folder in folders if folder.has_config(zoo.spec.config)), None)
        found = here or self._on_hub.setdefault(zoo.hub_id, HubDataset(zoo.hub_id, self._revision))
        with _saying_how_to_get(zoo, MANIFEST):
            entry = found.config(zoo.spec.config)
        if entry.zoo != zoo.id:
            raise ZoobenchError(f"the manifest of {found} says that it holds {entry.zoo!r}, not {zoo.id!r}")
        return ZooFiles(zoo, found, entry)


@contextlib.contextmanager
def _saying_how_to_get(zoo: Zoo, path: str) -> Iterator[None]:
    """What the Hub does not have can be built; a revision that was asked for cannot."""
    try:
        yield
    except NotOnHubError as error:
        if error.revision:
            raise
        raise ZoobenchError(
            f"zoo {zoo.id!r} is neither in {data_home()} nor can {path} be had from the Hub dataset {zoo.hub_id!r}; "
            f"build it: zoobench build {zoo.spec.id}"
            + ("" if zoo.scale == "full" else f" --scale {zoo.scale}")
            + f" (or point {DATA_VARIABLE} at the folder that holds it)"
            + _other_scales(zoo)
        ) from error


def load_labels(zoo: Zoo, split: str, store: Store | None = None) -> Labels:
    """Read the labels of a split, checked against the manifest's sha256.

    Args:
        zoo: which zoo, at which scale.
        split: "train", "validation" or "test".
        store: where zoos are found.

    Raises:
        ZoobenchError: the zoo cannot be found, or its labels are not the ones that its manifest describes.
    """
    found = (store or Store()).find(zoo)
    path, digest = found.checked(found.places.labels_of(split))
    # Columns are given up one by one as they are converted, so that they are not in memory twice.
    return Labels(tables.read_table(path, needed=_KEYS).to_pandas(split_blocks=True, self_destruct=True), digest)


def protocol_file(zoo: Zoo, name: str, store: Store | None = None) -> tuple[Path, str] | None:
    """The file of a named protocol and its sha256, checked; ``None`` if the zoo does not carry it.

    Raises:
        ZoobenchError: the zoo cannot be found, or the file is not the one that its manifest describes.
    """
    found = (store or Store()).find(zoo)
    path = found.places.protocol(name)
    return found.checked(path) if found.entry.has_file(path) else None


def reference_files(zoo: Zoo, store: Store | None = None) -> list[Path]:
    """The reference predictions that a zoo carries (see ``references``), checked.

    A local folder with the labels alone may lack them.

    Raises:
        ZoobenchError: the zoo cannot be found, or a file is not the one that its manifest describes.
    """
    found = (store or Store()).find(zoo)
    paths = below(found.places.references, found.entry.files)
    return [found.checked(path)[0] for path in paths if found.has(path)]


def scoring_files(zoo: Zoo, store: Store | None = None) -> tuple[ConfigManifest, dict[str, tuple[Path, str]]]:
    """What scoring needs of a zoo: its entry in the manifest, and by path in the repo the files, each with its sha256.

    A local folder with the labels alone may lack the references.

    Raises:
        ZoobenchError: the zoo cannot be found, or a file is not the one that its manifest describes.
    """
    found = (store or Store()).find(zoo)
    places, listed = found.places, found.entry.files
    needed = [places.labels_of("test"), *below(places.protocols, listed)]
    there = filter(found.has, below(places.references, listed))
    return found.entry, {path: found.checked(path) for path in (*needed, *there)}


def majority_rate(zoo: Zoo, store: Store | None = None) -> float | None:
    """The share of the test images that belong to their most frequent class.

    Of an imported zoo it is that of the whole public test set. ``None`` if the zoo was built by a version that did not
    count.

    Raises:
        ZoobenchError: the zoo cannot be found.
    """
    entry = (store or Store()).find(zoo).entry
    if entry.images is None:
        return zoo.spec.images.test_majority
    counts = entry.images.test_class_counts
    return max(counts) / sum(counts) if counts else None


def load_split(
    zoo: Zoo,
    split: str,
    columns: Sequence[str] | None = None,
    memory_map: bool = False,
    store: Store | None = None,
) -> ZooSplit:
    """Read weights and labels of a split.

    Args:
        zoo: which zoo, at which scale.
        split: "train", "validation" or "test".
        columns: label columns to read; ``None`` for all.
        memory_map: keep a decoded copy of the weights in the user's cache and map it, read-only.
        store: where zoos are found.

    Raises:
        ZoobenchError: the zoo cannot be found, its files are not those that its manifest describes, or an unknown split
            or column.
    """
    check_known("split", split, SPLITS)
    for column in columns or ():
        check_known("column", column, LABELS.names)
    found = (store or Store()).find(zoo)
    files = found.rows(split)
    if not files:
        raise ZoobenchError(f"the manifest of {found.entry.zoo} lists no rows of the {split} split")
    layout = found.entry.weight_layout()
    matrix = (weights.read_mapped if memory_map else weights.read)(files, layout.size)
    names = LABELS.names if columns is None else columns
    labels = [tables.read_table(path, columns=names) for path in files]
    return ZooSplit(zoo, split, layout, matrix, pa.concat_tables(labels).to_pandas())


def row_files(zoo: Zoo) -> list[Path]:
    """The parquet files that hold the rows of all splits, in order, each checked.

    Raises:
        ZoobenchError: the zoo cannot be found, or a file is not the one that its manifest describes.
    """
    return Store().find(zoo).rows(*SPLITS)


def _other_scales(zoo: Zoo) -> str:
    here = [other.id for scale in SCALES if (other := Zoo(zoo.spec, scale)).id in built_zoos()]
    return f"; {', '.join(here)} is here, which is another zoo" if here else ""


def dataset_folders(home: Path) -> list[DatasetFolder]:
    """The dataset folders in a folder. What seems to be one and cannot be read is named in a note, and left out.

    Raises:
        ZoobenchError: the folder cannot be read.
    """
    try:
        paths = sorted(home.iterdir()) if home.exists() else []
    except OSError as error:
        raise ZoobenchError(f"cannot read {home}: {error.strerror or error}") from error
    found = []
    for path in paths:
        folder = DatasetFolder(path)
        with _leaving_out(path):
            if folder.is_there and folder.manifest:
                found.append(folder)
    return found


def built_zoos() -> list[str]:
    """Ids of the zoos in ``data_home()``, e.g. ``["mnist-zoo-lite/seed", "tetris-zoo/seed"]``.

    What is in no declaration, or in a folder of another name, is named in a note and left out.
    """
    built = []
    for folder in dataset_folders(data_home()):
        for name, config in folder.manifest.configs.items():
            with _leaving_out(folder.path):
                if config.zoo != f"{folder.path.name}/{name}":
                    raise ZoobenchError(f"its config {name!r} is of the zoo {config.zoo!r}")
                built.append(resolve(config.zoo).id)
    return built


@contextlib.contextmanager
def _leaving_out(path: Path) -> Iterator[None]:
    try:
        yield
    except ZoobenchError as error:
        note_once(f"left out {path}", error)
