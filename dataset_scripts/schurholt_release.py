"""The releases of Schürholt et al.: ``.pt`` pickles of dataset objects, and folders of raw checkpoints (2021, 2022).

A ``.pt`` file holds one dataset object or a dict of them (train, validation, test: their split is not kept, ours is
by run). The objects of the group's own zoos have ``data_in``, a list of weight vectors (2021) or of state dicts (2022),
beside ``paths``, ``epochs`` and ``properties``, a dict of lists. Those over the Small CNN Zoo (zoos 41 to 44) have
``data``, a matrix, and pandas objects: ``metrics``, the table of that release, and columns of it in ``properties``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoobench.data.manifest import ConfigManifest, DroppedRun, ReleaseEntry, original_file
from zoobench.errors import ZoobenchError
from zoobench.publishing.releases import OnRows, Release, work_folder, write_release
from zoobench.zoos import Zoo
from zoobench.zoos.layout import Layout, layout_of

from . import pickles, run_names, schurholt_raw, torch_files
from .schurholt_columns import HYPERPARAMETERS, RUNNING, columns, known, shared_notes
from .schurholt_raw import ShapeError, flat
from .small_cnn_release import to_pytorch, zoo_of

_DATA = ("data_in", "data")
_LABEL = re.compile(r"(.*?)#_#epoch_(\d{1,9})#_#.*", re.DOTALL)
_OBJECTS = 1000


def import_schurholt(
    source: Path, zoo: Zoo, out: Path, on_rows: OnRows | None = None, *, replace: bool = False
) -> tuple[Path, ConfigManifest]:
    """Import a release of Schürholt et al. as a config of ``out/<repo>``.

    Args:
        source: a ``.pt`` file, or a folder of ``NN_*`` folders.
        zoo: which zoo it is; the files do not say.
        out: parent of the dataset folder.
        on_rows: told (checkpoints written, checkpoints in all).
        replace: take the place of what was imported from other files before.

    Raises:
        ZoobenchError: a broken file, one that names a class or function which is not known, weights that are not
            those of the zoo's network, no epochs or accuracies, runs that are not certain.
    """
    with work_folder(out, f"{zoo.repo}-{zoo.spec.config}") as work:
        release = schurholt_raw.read(source, zoo) if source.is_dir() else _read_pickle(source, zoo)
        return write_release(release, out, work, on_rows, replace=replace)


@dataclass(frozen=True)
class _Part:
    """One dataset object: weights (rows, N), a row of labels for each, and how the runs are named."""

    weights: np.ndarray
    labels: pd.DataFrame
    tensorflow: bool


def _read_pickle(path: Path, zoo: Zoo) -> Release:
    if not path.is_file():
        raise ZoobenchError(f"no file or folder {path}; give a .pt file, or a folder with NN_* folders")
    layout = layout_of(zoo.spec.network)
    with torch_files.reading(path):
        parts = [_part(path, item, zoo, layout) for item in _datasets(torch_files.load(path))]
    if not parts:
        raise ZoobenchError(
            f"{path} has no object with data_in or data and properties; is it a dataset of a published zoo?"
        )
    labels = pd.concat([part.labels.assign(block=number) for number, part in enumerate(parts)], ignore_index=True)
    labels.attrs["paths"] = all(part.labels.attrs["paths"] for part in parts)
    weights = np.concatenate([part.weights for part in parts]) if len(parts) > 1 else parts[0].weights
    told = [name for name in (*HYPERPARAMETERS, "seed") if name in labels]
    labels["run_id"], how = run_names.run_ids(path, labels, told, lambda rows: weights[rows])
    dropped = _of_other_epochs(labels)
    notes = [how, *_notes(parts, labels), *shared_notes(zoo, labels)]
    entry = ReleaseEntry(format="schurholt", files=[original_file(path)], rows=len(labels), notes=notes)
    labels = known(zoo, labels.drop(columns="epoch_of_results", errors="ignore"))
    return Release(zoo, entry, labels, lambda rows: weights[rows], dropped)


def _notes(parts: list[_Part], labels: pd.DataFrame) -> list[str]:
    notes = [RUNNING] if "train_accuracy" in labels and not all(part.tensorflow for part in parts) else []
    if any(part.tensorflow for part in parts):
        notes.append("Kernels are in TensorFlow's order (height, width, in, out) in the file, here in PyTorch's.")
    if len(parts) > 1:
        notes.append(f"The file has {len(parts)} parts; its own split is not kept.")
    return notes


def _datasets(loaded: Any) -> Iterator[Mapping[str, Any]]:
    """Attributes of every dataset object, however they are nested in dicts and lists."""
    waiting, seen, found = [loaded], set(), 0
    while waiting:
        item = waiting.pop()
        attributes = item.attributes if isinstance(item, pickles.StandIn) and item.is_dataset() else item
        if isinstance(attributes, Mapping) and "properties" in attributes and any(k in attributes for k in _DATA):
            found += 1
            if found > _OBJECTS:
                raise ValueError(f"more than {_OBJECTS:,} datasets")
            yield attributes
        elif isinstance(item, Mapping | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            waiting += reversed(list(item.values()) if isinstance(item, Mapping) else item)


def _part(path: Path, item: Mapping[str, Any], zoo: Zoo, layout: Layout) -> _Part:
    metrics, properties = (pickles.plain(item.get(name)) for name in ("metrics", "properties"))
    tensorflow = isinstance(metrics, dict) and "modeldir" in metrics
    if not isinstance(properties, Mapping) and not tensorflow:
        raise ZoobenchError(
            f"{path}: a dataset without properties, so without accuracies; save it with the property_keys of its "
            "class, or import the raw NN_* folders"
        )
    weights = _matrix(path, next(item[name] for name in _DATA if name in item), zoo, layout)
    found = dict(metrics) if tensorflow else {}
    found |= {str(name): values for name, values in (properties or {}).items()}
    paths, epochs = _own(item, len(weights))
    if paths is not None:
        found["path"] = paths
    if epochs is not None and "training_iteration" not in found:
        found["training_iteration"] = epochs
    if tensorflow:
        _check_images(path, metrics, zoo)
        weights = weights[:, _from_tensorflow(layout)]
    labels = columns(path, found, len(weights))
    if epochs is not None:
        labels["epoch_of_results"], labels["epoch"] = labels["epoch"], epochs
    labels.attrs["paths"] = any(name in found for name in ("path", "paths", "modeldir"))
    return _Part(weights, labels, tensorflow)


def _own(item: Mapping[str, Any], rows: int) -> tuple[list[str] | None, list[int] | None]:
    """Run and epoch of each row, where an object has them beside its properties or in its texts."""
    paths, epochs, texts = (pickles.plain(item.get(name)) for name in ("paths", "epochs", "labels_in"))
    paths = [str(pickles.plain(path)) for path in paths] if _per_row(paths, rows) else None
    epochs = [pickles.plain(epoch) for epoch in epochs] if _per_row(epochs, rows) else None
    if paths is None and _per_row(texts, rows):
        parsed = [_LABEL.fullmatch(text) if isinstance(text, str) else None for text in texts]
        if all(parsed):
            paths = [found[1] for found in parsed if found]
            epochs = epochs or [int(found[2]) for found in parsed if found]
    if epochs is not None and not all(isinstance(epoch, int) for epoch in epochs):
        epochs = None
    return paths, epochs


def _per_row(values: Any, rows: int) -> bool:
    return isinstance(values, list | tuple | np.ndarray) and len(values) == rows


def _of_other_epochs(labels: pd.DataFrame) -> list[DroppedRun]:
    """Runs whose results are not those of their checkpoints: a line of result.json was missing when they were read."""
    if "epoch_of_results" not in labels:
        return []
    results = pd.to_numeric(labels["epoch_of_results"], errors="coerce")
    wrong = labels[results.notna() & (results != labels["epoch"])].drop_duplicates("run_id")
    return [
        DroppedRun(run_id=run, epoch=int(epoch), reason=f"its results are of epoch {other}")
        for run, epoch, other in wrong[["run_id", "epoch", "epoch_of_results"]].itertuples(index=False)
    ]


def _matrix(path: Path, data: Any, zoo: Zoo, layout: Layout) -> np.ndarray:
    """Weights (rows, N) from a matrix, a list of vectors, or a list of state dicts."""
    found = pickles.plain(data)
    if isinstance(found, list | tuple):
        rows = [_row(path, number, row, zoo, layout) for number, row in enumerate(found)]
        if any(len(row) != layout.size for row in rows):
            width = next(len(row) for row in rows if len(row) != layout.size)
            raise ZoobenchError(f"{path}: a row of {width:,} weights; a network of {zoo.id} has {layout.size:,}")
        return np.stack(rows) if rows else np.empty((0, layout.size), np.float32)
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.shape[1] != layout.size:
        shape = found.shape if isinstance(found, np.ndarray) else type(found).__name__
        raise ZoobenchError(f"{path}: data of shape {shape}; a network of {zoo.id} has {layout.size:,} weights")
    return found.astype(np.float32, copy=False)


def _row(path: Path, number: int, row: Any, zoo: Zoo, layout: Layout) -> np.ndarray:
    if isinstance(row, Mapping):
        try:
            return flat(row, layout)
        except ShapeError as error:
            wanted = [tensor.shape for tensor in layout.tensors]
            raise ZoobenchError(f"{path}: row {number:,} has {error}; the network of {zoo.id} has {wanted}") from None
    return np.asarray(pickles.plain(row), dtype=np.float32).ravel()


def _check_images(path: Path, metrics: Mapping[str, Any], zoo: Zoo) -> None:
    for name in set(np.asarray(metrics.get("config.dataset", [])).tolist()):
        if zoo_of(str(name)) != zoo.spec.id:
            raise ZoobenchError(f"{path} is of the data set {name!r}, not of {zoo.id}; say with --zoo which zoo it is")


def _from_tensorflow(layout: Layout) -> np.ndarray:
    """int64 (N,): where each weight stands in a row that keeps TensorFlow's kernels, each before its bias."""
    index = np.arange(layout.size)
    for layer in layout.layers:
        out, inputs, *side = layer.weight.shape
        kernel = index[layer.weight.slice].reshape(*side, inputs, out)
        index[layer.weight.slice] = to_pytorch(kernel).ravel()
    return index
