"""Where zoos are found: local dataset folders first, then the Hub.

``ZOOBENCH_DATA`` (default: the user's cache folder) holds dataset folders, one per repo. A file that is not there is
downloaded by ``huggingface_hub``, which keeps its own cache and honours ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE``.
Needs no torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import platformdirs
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ZoobenchError, check_known
from ..files import sha256_of
from ..zoos import SCALES, Zoo, resolve
from ..zoos.layout import Layout
from ..zoos.splits import SPLITS
from . import weights
from .manifest import FILE_NAME as MANIFEST_NAME
from .manifest import ConfigManifest, FileEntry, read_manifest
from .schema import LABELS

DATA_VARIABLE = "ZOOBENCH_DATA"


def data_home() -> Path:
    """The folder of built zoos: ``ZOOBENCH_DATA``, or the user's cache folder."""
    chosen = os.environ.get(DATA_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("zoobench") / "zoos"


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


class _Folder:
    """Files of one repo, from a local dataset folder or else from the Hub; at a given revision, from the Hub."""

    def __init__(self, zoo: Zoo, homes: Sequence[Path] = (), revision: str | None = None) -> None:
        self.zoo = zoo
        self.revision = revision
        local = (home / zoo.repo for home in (*homes, data_home()) if revision is None)
        self.local = next((folder for folder in local if self._has_config(folder)), None)

    def _has_config(self, folder: Path) -> bool:
        return (folder / MANIFEST_NAME).is_file() and self.zoo.spec.config in read_manifest(folder).configs

    def file(self, path: str) -> Path:
        if self.local is not None:
            if not (self.local / path).is_file():
                raise ZoobenchError(
                    f"no file {self.local / path}, although the manifest of {self.zoo.id} lists it; "
                    "build or download it again"
                )
            return self.local / path
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            return Path(hf_hub_download(self.zoo.hub_id, path, repo_type="dataset", revision=self.revision))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            if self.revision:
                raise ZoobenchError(
                    f"cannot get {path} of the Hub dataset {self.zoo.hub_id!r} at revision {self.revision!r}: "
                    f"{str(error).splitlines()[0]}"
                ) from error
            raise ZoobenchError(
                f"zoo {self.zoo.id!r} is neither in {data_home()} nor can {path} be had from the Hub dataset "
                f"{self.zoo.hub_id!r}; build it: zoobench build {self.zoo.spec.id}"
                + ("" if self.zoo.scale == "full" else f" --scale {self.zoo.scale}")
                + f" (or point {DATA_VARIABLE} at the folder that holds it)"
                + _other_scales(self.zoo)
            ) from error

    def has(self, path: str) -> bool:
        """Whether a file that the manifest lists is there; the Hub has them all."""
        return self.local is None or (self.local / path).is_file()

    def config(self) -> ConfigManifest:
        folder = self.file(MANIFEST_NAME).parent
        configs = read_manifest(folder).configs
        if self.zoo.spec.config not in configs:
            raise ZoobenchError(
                f"{folder / MANIFEST_NAME} has no config {self.zoo.spec.config!r}; it has {list(configs)}"
            )
        return configs[self.zoo.spec.config]

    def checked(self, path: str) -> tuple[Path, str]:
        """A small file and its sha256, which must be the manifest's."""
        recorded = self.config().file(path)
        found = self.file(path)
        digest = sha256_of(found)
        if digest != recorded.sha256:
            raise ZoobenchError(
                f"labels {found} have sha256 {digest[:12]}…, the manifest says {recorded.sha256[:12]}…; "
                f"build or download {self.zoo.id} again"
            )
        return found, digest

    def row_entries(self, split: str) -> list[FileEntry]:
        prefix = f"{self.zoo.spec.config}/{split}-"
        return [entry for entry in self.config().files if entry.path.startswith(prefix)]


def load_labels(zoo: Zoo, split: str, homes: Sequence[Path] = ()) -> Labels:
    """Read the labels of a split, checked against the manifest's sha256.

    Args:
        zoo: which zoo, at which scale.
        split: "train", "validation" or "test".
        homes: folders to search for the repo before ``ZOOBENCH_DATA`` and the Hub.

    Raises:
        ZoobenchError: the zoo cannot be found, or its labels are not the ones that its manifest describes.
    """
    path, digest = _Folder(zoo, homes).checked(f"labels/{zoo.spec.config}/{split}.parquet")
    # Columns are given up one by one as they are converted, so that they are not in memory twice.
    return Labels(pq.read_table(path).to_pandas(split_blocks=True, self_destruct=True), digest)


def protocol_file(zoo: Zoo, name: str, homes: Sequence[Path] = ()) -> tuple[Path, str] | None:
    """The file of a named protocol and its sha256, checked; ``None`` if the zoo does not carry it.

    Raises:
        ZoobenchError: the zoo cannot be found, or the file is not the one that its manifest describes.
    """
    folder = _Folder(zoo, homes)
    path = f"protocols/{zoo.spec.config}/{name}.parquet"
    if not folder.config().has_file(path):
        return None
    return folder.checked(path)


def reference_files(zoo: Zoo, homes: Sequence[Path] = ()) -> list[Path]:
    """The reference predictions that a zoo carries (see ``references``), checked.

    A local folder with the labels alone may lack them.

    Raises:
        ZoobenchError: the zoo cannot be found, or a file is not the one that its manifest describes.
    """
    folder = _Folder(zoo, homes)
    prefix = f"references/{zoo.spec.config}/"
    paths = [entry.path for entry in folder.config().files if entry.path.startswith(prefix)]
    return [folder.checked(path)[0] for path in paths if folder.has(path)]


def scoring_files(zoo: Zoo, homes: Sequence[Path] = ()) -> tuple[ConfigManifest, dict[str, tuple[Path, str]]]:
    """What scoring needs of a zoo: its entry in the manifest, and by path in the repo the files, each with its sha256.

    A local folder with the labels alone may lack the references.

    Raises:
        ZoobenchError: the zoo cannot be found, or a file is not the one that its manifest describes.
    """
    folder = _Folder(zoo, homes)
    config, name = folder.config(), zoo.spec.config
    needed = (f"labels/{name}/test.parquet", f"protocols/{name}/")
    optional = f"references/{name}/"
    paths = [entry.path for entry in config.files if entry.path.startswith((*needed, optional))]
    there = [path for path in paths if not path.startswith(optional) or folder.has(path)]
    return config, {path: folder.checked(path) for path in there}


def majority_rate(zoo: Zoo, homes: Sequence[Path] = ()) -> float | None:
    """The share of the test images that belong to their most frequent class.

    Of an imported zoo it is that of the whole public test set. ``None`` if the zoo was built by a version that did not
    count.

    Raises:
        ZoobenchError: the zoo cannot be found.
    """
    config = _Folder(zoo, homes).config()
    if config.images is None:
        return zoo.spec.images.test_majority
    counts = config.images.test_class_counts
    return max(counts) / sum(counts) if counts else None


def load_split(
    zoo: Zoo,
    split: str,
    homes: Sequence[Path] = (),
    columns: Sequence[str] | None = None,
    revision: str | None = None,
    memory_map: bool = False,
) -> ZooSplit:
    """Read weights and labels of a split.

    Args:
        zoo: which zoo, at which scale.
        split: "train", "validation" or "test".
        homes: folders to search for the repo before ``ZOOBENCH_DATA`` and the Hub.
        columns: label columns to read; ``None`` for all.
        revision: commit, branch or tag of the Hub dataset; the Hub alone is asked then.
        memory_map: keep a decoded copy of the weights in the user's cache and map it, read-only.

    Raises:
        ZoobenchError: the zoo cannot be found, or an unknown split or column.
    """
    check_known("split", split, SPLITS)
    for column in columns or ():
        check_known("column", column, LABELS.names)
    folder = _Folder(zoo, homes, revision)
    entries = folder.row_entries(split)
    files = [folder.file(entry.path) for entry in entries]
    layout = folder.config().weight_layout()
    if memory_map:
        matrix = weights.read_mapped(files, layout.size, [entry.sha256 for entry in entries])
    else:
        matrix = weights.read(files, layout.size)
    names = LABELS.names if columns is None else columns
    labels = [pq.read_table(path, columns=list(names)) for path in files]
    return ZooSplit(zoo, split, layout, matrix, pa.concat_tables(labels).to_pandas())


def load_zoo(
    name: str,
    split: str = "train",
    columns: Sequence[str] | None = None,
    revision: str | None = None,
    memory_map: bool = False,
) -> ZooSplit:
    """Load one split of a zoo: from ``ZOOBENCH_DATA``, or else from the Hub.

    >>> zoo = load_zoo("tetris-zoo/seed", split="test", columns=["example_id", "test_accuracy"])
    >>> zoo.weights.shape, zoo.labels["test_accuracy"], zoo.layout.to_matrices(zoo.weights)["fc1"]

    Args:
        name: zoo id, e.g. ``"cnn-zoo-2/cifar10"`` or ``"mnist-zoo-lite/seed"``.
        split: "train", "validation" or "test".
        columns: label columns to read; ``None`` for all.
        revision: commit, branch or tag of the Hub dataset; the Hub alone is asked then.
        memory_map: keep a decoded copy of the weights in the user's cache (as large as the matrix) and map it,
            read-only: later calls take no time and share it between processes.

    Returns:
        weights (rows, N) float32, labels as a DataFrame beside them, and the layout that takes rows apart.

    Raises:
        ZoobenchError: unknown zoo, split or column, or the zoo cannot be found.
    """
    return load_split(resolve(name), split, (), columns, revision, memory_map)


def row_files(zoo: Zoo) -> list[Path]:
    """The parquet files that hold the rows of all splits, in order.

    Raises:
        ZoobenchError: the zoo cannot be found.
    """
    folder = _Folder(zoo)
    return [folder.file(entry.path) for split in SPLITS for entry in folder.row_entries(split)]


def _other_scales(zoo: Zoo) -> str:
    here = [other.id for scale in SCALES if (other := Zoo(zoo.spec, scale)).id in built_zoos()]
    return f"; {', '.join(here)} is here, which is another zoo" if here else ""


def built_zoos() -> list[str]:
    """Ids of the zoos in ``data_home()``, e.g. ``["mnist-zoo-lite/seed", "tetris-zoo/seed"]``."""
    manifests = (read_manifest(path.parent) for path in sorted(data_home().glob(f"*/{MANIFEST_NAME}")))
    return [config.zoo for manifest in manifests for config in manifest.configs.values()]
