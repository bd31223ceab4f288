"""The releases of Schürholt et al. 2021: ``.pt`` pickles of dataset objects, and folders of raw checkpoints.

A ``.pt`` file holds one dataset object or a dict of them (train, validation, test: their split is not kept, ours is
by run). An object has ``data`` (rows x weights, in ``state_dict`` order) and ``properties``, a dict of lists. The raw
form is ``NN_*/checkpoint_*/checkpoints`` (a state dict) with ``params.json`` and ``result.json`` (a line per epoch).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoobench.data.manifest import ConfigManifest, DroppedRun, ReleaseEntry, file_entry, folder_entry
from zoobench.errors import ZoobenchError
from zoobench.publishing.releases import OnRows, Release, work_folder, write_release
from zoobench.zoos import Zoo
from zoobench.zoos.layout import Layout, layout_of

from . import names, pickles

# Column of a row: the names that it has in the files, first match wins.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "epoch": ("training_iteration", "epochs", "epoch"),
    "test_accuracy": ("test_acc", "acc", "test_accuracy"),
    "train_accuracy": ("train_acc", "training_acc", "train_accuracy"),
    "test_loss": ("test_loss", "validation_loss"),
    "train_loss": ("train_loss", "training_loss"),
    "generalization_gap": ("ggap", "generalization_gap"),
    "activation": ("model::nlin", "nlin", "activation"),
    "init": ("model::init_type", "init_type", "init"),
    "optimizer": ("optim::optimizer", "optimizer"),
    "learning_rate": ("optim::lr", "lr", "learning_rate"),
    "weight_decay": ("optim::wd", "wd", "weight_decay"),
    "dropout": ("model::dropout", "dropout"),
    "batch_size": ("training::batchsize", "batchsize", "batch_size"),
    "seed": ("seed",),
    "run_id": ("path", "paths", "trial_id", "experiment_id"),
    **{f"f1_class_{k}": (f"f1_class_{k}", f"f1_{k}", f"test_f1_{k}") for k in range(4)},
}
_HYPERPARAMETERS = ("activation", "init", "optimizer", "learning_rate", "weight_decay", "dropout", "batch_size")
_CANONICAL = {"activation": names.snake, "optimizer": names.snake, "init": names.init}


def import_schurholt(source: Path, zoo: Zoo, out: Path, on_rows: OnRows | None = None) -> tuple[Path, ConfigManifest]:
    """Import a release of Schürholt et al. as a config of ``out/<repo>``.

    Args:
        source: a ``.pt`` file, or a folder of ``NN_*`` folders.
        zoo: which zoo it is; the files do not say.
        out: parent of the dataset folder.
        on_rows: told (checkpoints written, checkpoints in all).

    Raises:
        ZoobenchError: a broken file, one that names a class or function which is not known, weights that are not
            those of the zoo's network, no epochs or accuracies, runs that cannot be told apart.
    """
    with work_folder(out, f"{zoo.repo}-{zoo.spec.config}") as work:
        release = _read_raw(source, zoo) if source.is_dir() else _read_pickle(source, zoo)
        return write_release(release, out, work, on_rows)


def _read_pickle(path: Path, zoo: Zoo) -> Release:
    if not path.is_file():
        raise ZoobenchError(f"no file or folder {path}; give a .pt file, or a folder with NN_* folders")
    objects = [item for item in _datasets(pickles.load(path)) if "data" in item and "properties" in item]
    if not objects:
        raise ZoobenchError(f"{path} has no object with data and properties; is it a dataset of a published zoo?")
    width = layout_of(zoo.spec.network).size
    blocks, frames = [], []
    for number, item in enumerate(objects):
        block = _matrix(path, item["data"], zoo, width)
        frame = _columns(path, item["properties"], len(block))
        frame["block"] = number
        blocks.append(block)
        frames.append(frame)
    labels = pd.concat(frames, ignore_index=True)
    labels["run_id"], how = _run_ids(path, labels)
    weights = np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
    notes = [how, *_shared_notes(zoo, labels)]
    if len(objects) > 1:
        notes.append(f"The file has {len(objects)} parts; its own split is not kept.")
    entry = ReleaseEntry(format="schurholt", files=[file_entry(path.parent, path)], rows=len(labels), notes=notes)
    return Release(zoo, entry, _known(zoo, labels), lambda rows: weights[rows])


def _datasets(loaded: Any) -> Iterator[dict[str, Any]]:
    """Attributes of every dataset object, however they are nested in dicts and lists."""
    if isinstance(loaded, pickles.StandIn):
        yield loaded.state
    elif isinstance(loaded, Mapping):
        if "data" in loaded and "properties" in loaded:
            yield dict(loaded)
        else:
            for value in loaded.values():
                yield from _datasets(value)
    elif isinstance(loaded, list | tuple):
        for value in loaded:
            yield from _datasets(value)


def _matrix(path: Path, data: Any, zoo: Zoo, width: int) -> np.ndarray:
    try:
        matrix = np.stack([np.asarray(row) for row in data]) if isinstance(data, list | tuple) else np.asarray(data)
    except (ValueError, TypeError) as error:
        raise ZoobenchError(f"{path}: its data are not rows of one length ({error})") from error
    if matrix.ndim != 2 or matrix.shape[1] != width:
        raise ZoobenchError(f"{path}: data of shape {matrix.shape}; a network of {zoo.id} has {width:,} weights")
    return matrix.astype(np.float32, copy=False)


def _columns(where: Path, properties: Mapping[str, Any], rows: int | None) -> pd.DataFrame:
    """Properties under the names of a row's columns; values are plain numbers and texts."""
    columns: dict[str, Any] = {}
    for column, candidates in _NAMES.items():
        name = next((name for name in candidates if name in properties), None)
        if name is None:
            continue
        values = properties[name]
        if rows is not None and len(values) != rows:
            raise ZoobenchError(f"{where}: {len(values):,} values of {name}, but {rows:,} rows of weights")
        columns[column] = [value.item() if hasattr(value, "item") else value for value in values]
    for needed in ("epoch", "test_accuracy"):
        if needed not in columns:
            raise ZoobenchError(f"{where} has none of {', '.join(_NAMES[needed])}; it has: {', '.join(properties)}")
    frame = pd.DataFrame(columns)
    for column, canonical in _CANONICAL.items():
        if column in frame:
            frame[column] = frame[column].map(canonical, na_action="ignore")
    if "generalization_gap" in frame and "train_accuracy" not in frame:
        frame["train_accuracy"] = frame["test_accuracy"] + frame["generalization_gap"]
    return frame.drop(columns="generalization_gap", errors="ignore")


def _run_ids(path: Path, labels: pd.DataFrame) -> tuple[pd.Series, str]:
    """A run id per row and how it was found: named in the file, by hyperparameters and seed, or by falling epochs.

    Raises:
        ZoobenchError: none of the three tells the runs apart.
    """
    if "run_id" in labels:
        named = (
            labels["run_id"].astype(str).str.extract(r"(NN_[^/]*)", expand=False).fillna(labels["run_id"].astype(str))
        )
        if not pd.DataFrame({"run": named, "epoch": labels["epoch"]}).duplicated().any():
            return named, "`run_id` is the run's name in the file."
    told = [name for name in (*_HYPERPARAMETERS, "seed") if name in labels]
    if "seed" in told and not labels.duplicated([*told, "epoch"]).any():
        keys = labels[told].astype(str).agg("|".join, axis=1)
        numbers = {key: f"run-{number:05d}" for number, key in enumerate(sorted(keys.unique()), 1)}
        return keys.map(numbers), "The file names no runs: rows with equal hyperparameters and seed are one run."
    starts = (labels["epoch"].diff().fillna(-1) <= 0) | (labels["block"].diff().fillna(0) != 0)
    number = starts.cumsum()
    lengths = number.value_counts()
    if lengths.median() < 2:
        raise ZoobenchError(
            f"{path} does not tell its runs apart: it names neither runs nor seeds, and its rows are not in the order "
            "of epochs; a split by run needs one of them"
        )
    return number.map("run-{:05d}".format), (
        "The file names neither runs nor seeds: a new run starts where the epoch does not rise."
    )


def _shared_notes(zoo: Zoo, labels: pd.DataFrame) -> list[str]:
    absent = [name for name in _HYPERPARAMETERS if name not in labels]
    notes = []
    if "activation" in absent and "activation" not in zoo.spec.varies:
        absent.remove("activation")
        notes.append("The activation is not in the files; it is the paper's.")
    if absent:
        notes.append(f"Not in the files, and null: {', '.join(absent)}.")
    return notes


def _known(zoo: Zoo, labels: pd.DataFrame) -> pd.DataFrame:
    """What a zoo does not vary and a network cannot be rebuilt without: the paper's activation."""
    labels = labels.drop(columns="block", errors="ignore")
    if "activation" not in labels and "activation" not in zoo.spec.varies:
        labels["activation"] = zoo.size.recipe.fixed.activation
    return labels


def _read_raw(folder: Path, zoo: Zoo) -> Release:
    """Runs are ``NN_*`` folders; checkpoint files are read when their rows are written."""
    runs = sorted(path for path in folder.glob("NN_*") if path.is_dir())
    if not runs:
        raise ZoobenchError(f"no NN_* folder in {folder}; a raw zoo has one per run")
    layout = layout_of(zoo.spec.network)
    frames: list[pd.DataFrame] = []
    files: list[Path] = []
    dropped: list[DroppedRun] = []
    left_out = 0
    for run in runs:
        try:
            results = _results(run)
        except (OSError, ValueError) as error:
            dropped.append(DroppedRun(run_id=run.name, epoch=0, reason=f"cannot be read: {str(error).splitlines()[0]}"))
            continue
        checkpoints = {int(path.parent.name.split("_")[-1]): path for path in run.glob("checkpoint_*/checkpoints")}
        kept = results[results["epoch"].isin(list(checkpoints))].copy()
        left_out += len(checkpoints) - len(kept)
        if kept.empty:
            dropped.append(DroppedRun(run_id=run.name, epoch=0, reason="no checkpoint with a result"))
            continue
        kept["run_id"] = run.name
        frames.append(kept)
        files += [checkpoints[epoch] for epoch in kept["epoch"]]
    if not frames:
        raise ZoobenchError(f"no run in {folder} has a checkpoint with a line in its result.json")
    labels = pd.concat(frames, ignore_index=True)

    def fetch(rows: np.ndarray) -> np.ndarray:
        return np.stack([_vector(files[row], layout, zoo) for row in rows])

    notes = [
        "`run_id` is the run's folder. A checkpoint that cannot be read counts as weights that are not finite.",
        *_shared_notes(zoo, labels),
    ]
    if left_out:
        notes.append(f"{left_out} checkpoints without a line in result.json are left out.")
    described = [run / name for run in runs for name in ("params.json", "result.json")]
    origin = folder_entry(folder, [path for path in (*described, *files) if path.is_file()])
    entry = ReleaseEntry(format="schurholt", files=[origin], rows=len(labels), notes=notes)
    return Release(zoo, entry, _known(zoo, labels), fetch, dropped)


def _results(run: Path) -> pd.DataFrame:
    """One row per line of ``result.json``, with the run's parameters beside it."""
    parameters = json.loads((run / "params.json").read_text())
    lines = [json.loads(line) for line in (run / "result.json").read_text().splitlines() if line.strip()]
    if not lines:
        raise ValueError("result.json is empty")
    merged = {name: [value] * len(lines) for name, value in parameters.items()}
    merged |= {name: [line.get(name) for line in lines] for name in lines[0] if name != "config"}
    merged.pop("experiment_id", None)
    merged.pop("trial_id", None)
    return _columns(run / "result.json", merged, None)


def _vector(path: Path, layout: Layout, zoo: Zoo) -> np.ndarray:
    """One checkpoint as a flat vector; NaN where the file is broken, so that its run is dropped."""
    try:
        state = pickles.load(path)
    except ZoobenchError:
        return np.full(layout.size, np.nan, np.float32)
    tensors = {name: np.asarray(value) for name, value in state.items()} if isinstance(state, Mapping) else {}
    shapes = [value.shape for value in tensors.values()]
    wanted = [tensor.shape for tensor in layout.tensors]
    if shapes != wanted:
        raise ZoobenchError(f"{path} has tensors of shapes {shapes}; the network of {zoo.id} has {wanted}")
    return np.concatenate([value.astype(np.float32).ravel() for value in tensors.values()])
