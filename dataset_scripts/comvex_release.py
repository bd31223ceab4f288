"""CNN Zoo 2: its author's predictor files, and the checkpoints that his code collects.

A predictor file is a dict of tensors ``w1`` ... ``w4`` and ``test_acc``: row r of ``w<k>`` is the matrix [weights |
bias] of layer k of network r, (out, in * k * k + 1), flattened. It tells neither runs nor epochs nor hyperparameters:
networks are taken to be stored run by run, every run with the same number of checkpoints, and that claim is checked
against the weights. Several files (train, validation, test) are one zoo; where they have ``indices``, their rows are
put in that order. A folder of collected checkpoints has one folder per run, of files with ``epoch``, ``state_dict`` and
accuracies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoobench.data.manifest import ConfigManifest, ReleaseEntry, original_file, original_folder
from zoobench.errors import ZoobenchError
from zoobench.publishing.releases import OnRows, Release, Weights, work_folder, write_release
from zoobench.zoos import Zoo
from zoobench.zoos.layout import Layer, Layout, layout_of

from . import continuity, pickles, torch_files
from .schurholt_raw import ShapeError, flat

CHECKPOINTS_PER_RUN = 100
_NO_HYPERPARAMETERS = (
    "The files have no hyperparameters{more}: those columns are null, and `config_id` is made of the run."
)
_COLLECTED = ("train_acc", "test_acc", "train_loss", "test_loss")


def import_comvex(
    source: Path | Sequence[Path],
    zoo: Zoo,
    out: Path,
    checkpoints_per_run: int = CHECKPOINTS_PER_RUN,
    on_rows: OnRows | None = None,
    *,
    replace: bool = False,
) -> tuple[Path, ConfigManifest]:
    """Import CNN Zoo 2 as a config of ``out/<repo>``.

    Args:
        source: the predictor files of one zoo, written by ``torch.save``, or a folder of collected checkpoints.
        zoo: which zoo it is; the files do not say.
        out: parent of the dataset folder.
        checkpoints_per_run: how many consecutive rows are one run, epochs 1, 2, ...; 1 if every row is a run.
        on_rows: told (checkpoints written, checkpoints in all).
        replace: take the place of what was imported from other files before.

    Raises:
        ZoobenchError: a broken file, one that names unknown classes, matrices that are not those of the zoo's
            network, or rows that are not in blocks of ``checkpoints_per_run``.
    """
    sources = [source] if isinstance(source, Path) else list(source)
    with work_folder(out, f"{zoo.repo}-{zoo.spec.config}") as work:
        folders = [path for path in sources if path.is_dir()]
        if folders and len(sources) > 1:
            raise ZoobenchError(f"{folders[0]} is a folder; give one folder of collected checkpoints, or files")
        release = _collected(folders[0], zoo) if folders else _predictor_files(sources, zoo, checkpoints_per_run)
        return write_release(release, out, work, on_rows, replace=replace)


def _predictor_files(paths: Sequence[Path], zoo: Zoo, per_run: int) -> Release:
    layout = layout_of(zoo.spec.network)
    files = [_File(path, zoo, layout) for path in paths]
    entries = [original_file(path) for path in paths]
    for position, entry in enumerate(entries):
        first = next(at for at, other in enumerate(entries) if other.sha256 == entry.sha256)
        if first != position:
            raise ZoobenchError(f"{paths[position]} has the same content as {paths[first]}; give each file once")
    indices = [file.indices for file in files if file.indices is not None]
    ordered = len(indices) == len(files)
    rows = sum(len(file.accuracy) for file in files)
    what = paths[0] if len(paths) == 1 else paths[0].parent
    if ordered and not np.array_equal(np.sort(np.concatenate(indices)), np.arange(rows)):
        raise ZoobenchError(
            f"{what}: the indices of {', '.join(path.name for path in paths)} are not 0 to {rows - 1:,}, each once; "
            "give all files of the zoo at once"
        )
    order = np.argsort(np.concatenate(indices)) if ordered else np.arange(rows)
    for file in files if not ordered else ():
        _check_whole(file.path, len(file.accuracy), per_run)
    _check_whole(what, rows, per_run)
    starts = np.cumsum([0, *(len(file.accuracy) for file in files)])

    def fetch(wanted: np.ndarray) -> np.ndarray:
        places = order[wanted]
        found = np.empty((len(wanted), layout.size), np.float32)
        for file, start, stop in zip(files, starts[:-1], starts[1:], strict=True):
            here = (places >= start) & (places < stop)
            if here.any():
                found[here] = file.weights(places[here] - start)
        return found

    continuity.check_blocks(what, fetch, rows, per_run)
    runs, epochs = np.divmod(np.arange(rows), per_run)
    labels = pd.DataFrame(
        {
            "run_id": [f"run-{run + 1:05d}" for run in runs],
            "epoch": epochs + 1,
            "test_accuracy": np.concatenate([file.accuracy for file in files])[order],
        }
    )
    notes = [
        f"The file names neither runs nor epochs: every {per_run} consecutive rows are one run, epochs 1 to {per_run}.",
        _NO_HYPERPARAMETERS.format(more=", losses or train accuracies"),
    ]
    if len(files) > 1:
        notes.append(f"{len(files)} files are one zoo; their own split is not kept.")
    if ordered:
        notes.append("Rows are in the order of the files' `indices`.")
    return Release(zoo, ReleaseEntry(format="comvex", files=entries, rows=rows, notes=notes), labels, fetch)


def _check_whole(path: Path, rows: int, per_run: int) -> None:
    if per_run < 1 or rows % per_run:
        raise ZoobenchError(
            f"{path}: {rows:,} rows are no whole number of runs of {per_run} checkpoints; "
            "say how many with --checkpoints-per-run"
        )


class _File:
    """One predictor file, checked: accuracies (rows,), positions in the zoo if it has them, and weights on demand."""

    def __init__(self, path: Path, zoo: Zoo, layout: Layout) -> None:
        if not path.is_file():
            raise ZoobenchError(f"no file {path}; give the file of w1 ... w4 and test_acc")
        loaded = torch_files.load(path)
        wanted = {f"w{number}": layer for number, layer in enumerate(layout.layers, 1)}
        if not isinstance(loaded, Mapping) or any(name not in loaded for name in (*wanted, "test_acc")):
            has = ", ".join(map(str, loaded)) if isinstance(loaded, Mapping) else type(loaded).__name__
            raise ZoobenchError(f"{path} has {has}; a file of {zoo.id} has {', '.join(wanted)} and test_acc")
        self.path, self._layout = path, layout
        with torch_files.reading(path):
            self.accuracy = np.asarray(_array(loaded["test_acc"]), dtype=np.float64).ravel()
            self._matrices = {layer.name: (layer, _array(loaded[name])) for name, layer in wanted.items()}
            self.indices = np.asarray(_array(loaded["indices"]), np.int64).ravel() if "indices" in loaded else None
        for name, (layer, matrix) in zip(wanted, self._matrices.values(), strict=True):
            self._check(name, layer, matrix.shape, zoo)
        if self.indices is not None and len(self.indices) != len(self.accuracy):
            raise ZoobenchError(f"{path} has {len(self.indices):,} indices and {len(self.accuracy):,} accuracies")

    def _check(self, name: str, layer: Layer, shape: tuple[int, ...], zoo: Zoo) -> None:
        rows, width = len(self.accuracy), layer.index.size
        if len(shape) < 2 or shape[0] != rows or int(np.prod(shape[1:])) != width:
            raise ZoobenchError(
                f"{self.path}: {name} has shape {tuple(shape)}; {layer.name} of {zoo.id} needs ({rows}, {width}), "
                f"{layer.index.shape[0]} rows of {layer.index.shape[1] - 1} weights and a bias"
            )

    def weights(self, rows: np.ndarray) -> np.ndarray:
        """Weights (n, N) float32 of some rows, in layout order."""
        return self._layout.from_matrices(
            {
                name: np.asarray(matrix[rows], dtype=np.float32).reshape(len(rows), *layer.index.shape)
                for name, (layer, matrix) in self._matrices.items()
            }
        )


def _array(value: Any) -> np.ndarray:
    """A tensor, or a list of tensors or numbers with one entry per row."""
    found = pickles.plain(value)
    if isinstance(found, list | tuple):
        return np.stack([np.asarray(pickles.plain(row)) for row in found]) if found else np.empty(0)
    if not isinstance(found, np.ndarray):
        raise ValueError(f"a {type(found).__name__} instead of a tensor")
    return found


def _collected(folder: Path, zoo: Zoo) -> Release:
    """Checkpoints as they are collected: every folder with ``.pt`` files is a run, every file one epoch."""
    layout = layout_of(zoo.spec.network)
    paths = sorted(folder.rglob("*.pt"))
    if not paths:
        raise ZoobenchError(f"no .pt file below {folder}; unpack the collected archives, one folder per run")
    labels = pd.DataFrame([_labels(path, folder) for path in paths])
    twice = labels[labels.duplicated(["run_id", "epoch"], keep=False)]
    if len(twice):
        names = [paths[position].name for position in twice.index[:2]]
        raise ZoobenchError(
            f"{folder}: {names[0]} and {names[1]} are both epoch {twice['epoch'].iloc[0]} of run "
            f"{twice['run_id'].iloc[0]}; unpack each archive into a folder of its own, which is one run"
        )

    def fetch(rows: np.ndarray) -> np.ndarray:
        return np.stack([_collected_weights(paths[row], layout, zoo) for row in rows])

    _check_runs(folder, fetch, labels, paths)
    notes = ["`run_id` is the run's folder.", _NO_HYPERPARAMETERS.format(more="")]
    entry = ReleaseEntry(format="comvex", files=[original_folder(folder, paths)], rows=len(labels), notes=notes)
    return Release(zoo, entry, labels, fetch)


def _labels(path: Path, folder: Path) -> dict[str, Any]:
    loaded = torch_files.load(path)
    if not isinstance(loaded, Mapping) or any(name not in loaded for name in ("epoch", "state_dict", "test_acc")):
        has = ", ".join(map(str, loaded)) if isinstance(loaded, Mapping) else type(loaded).__name__
        raise ZoobenchError(f"{path} has {has}; a collected checkpoint has epoch, state_dict and test_acc")
    with torch_files.reading(path):
        epoch = pickles.plain(loaded["epoch"])
        values = {name: np.asarray(pickles.plain(loaded[name])) for name in _COLLECTED if name in loaded}
    if not isinstance(epoch, int):
        raise ZoobenchError(f"{path}: its epoch is {str(epoch)[:40]}")
    found: dict[str, Any] = {
        "run_id": path.parent.relative_to(folder).as_posix() if path.parent != folder else folder.resolve().name,
        "epoch": epoch + 1,  # counted from 0, and stored after the epoch
    }
    for name, value in values.items():
        found[name.replace("acc", "accuracy")] = value.item() if value.size == 1 else str(value)[:40]
    return found


def _collected_weights(path: Path, layout: Layout, zoo: Zoo) -> np.ndarray:
    state = torch_files.load(path)["state_dict"]
    try:
        return flat(state, layout)
    except ShapeError as error:
        wanted = [tensor.shape for tensor in layout.tensors]
        raise ZoobenchError(f"{path} has {error}; the network of {zoo.id} has {wanted}") from None
    except pickles.BROKEN:
        return np.full(layout.size, np.nan, np.float32)


def _check_runs(folder: Path, fetch: Weights, labels: pd.DataFrame, paths: Sequence[Path]) -> None:
    codes = pd.factorize(labels["run_id"])[0]
    if found := continuity.jumps(fetch, codes, labels["epoch"].to_numpy()):
        first, second = (paths[position].relative_to(folder) for position in found[0])
        raise ZoobenchError(
            f"{folder}: {first} and {second} should be consecutive checkpoints of one run, but their weights are as "
            "far apart as those of two runs; unpack each archive into a folder of its own, which is one run"
        )
