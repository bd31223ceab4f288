"""CNN Zoo 2 as its author's predictor reads it: a dict of tensors ``w1`` ... ``w4`` and ``test_acc``.

Row r of ``w<k>`` is the matrix [weights | bias] of layer k of network r, (out, in * k * k + 1), flattened. The file
tells neither runs nor epochs nor hyperparameters: networks are taken to be stored run by run, every run with the same
number of checkpoints, and that claim is checked against the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from zoobench.data.manifest import ConfigManifest, ReleaseEntry, file_entry
from zoobench.errors import ZoobenchError
from zoobench.publishing.releases import OnRows, Release, Weights, work_folder, write_release
from zoobench.zoos import Zoo
from zoobench.zoos.layout import layout_of

from . import pickles

CHECKPOINTS_PER_RUN = 100
_PAIRS = 200


def import_comvex(
    source: Path,
    zoo: Zoo,
    out: Path,
    checkpoints_per_run: int = CHECKPOINTS_PER_RUN,
    on_rows: OnRows | None = None,
) -> tuple[Path, ConfigManifest]:
    """Import a predictor file of CNN Zoo 2 as a config of ``out/<repo>``.

    Args:
        source: the file, written by ``torch.save``.
        zoo: which zoo it is; the file does not say.
        out: parent of the dataset folder.
        checkpoints_per_run: how many consecutive rows are one run, epochs 1, 2, ...; 1 if every row is a run.
        on_rows: told (checkpoints written, checkpoints in all).

    Raises:
        ZoobenchError: a broken file, one that names unknown classes, matrices that are not those of the zoo's
            network, or rows that are not in blocks of ``checkpoints_per_run``.
    """
    with work_folder(out, f"{zoo.repo}-{zoo.spec.config}") as work:
        return write_release(_read(source, zoo, checkpoints_per_run), out, work, on_rows)


def _read(path: Path, zoo: Zoo, per_run: int) -> Release:
    if not path.is_file():
        raise ZoobenchError(f"no file {path}; give the file of w1 ... w4 and test_acc")
    loaded = pickles.load(path)
    layout = layout_of(zoo.spec.network)
    wanted = {f"w{number}": layer for number, layer in enumerate(layout.layers, 1)}
    if not isinstance(loaded, Mapping) or any(name not in loaded for name in (*wanted, "test_acc")):
        has = ", ".join(map(str, loaded)) if isinstance(loaded, Mapping) else type(loaded).__name__
        raise ZoobenchError(f"{path} has {has}; a file of {zoo.id} has {', '.join(wanted)} and test_acc")
    accuracy = np.asarray(loaded["test_acc"], dtype=np.float64).ravel()
    for name, layer in wanted.items():
        shape, width = tuple(loaded[name].shape), layer.index.size
        if len(shape) < 2 or shape[0] != len(accuracy) or int(np.prod(shape[1:])) != width:
            raise ZoobenchError(
                f"{path}: {name} has shape {shape}; {layer.name} of {zoo.id} needs ({len(accuracy)}, {width}), "
                f"{layer.index.shape[0]} rows of {layer.index.shape[1] - 1} weights and a bias"
            )
    if per_run < 1 or len(accuracy) % per_run:
        raise ZoobenchError(
            f"{path}: {len(accuracy):,} rows are no whole number of runs of {per_run} checkpoints; "
            "say how many with --checkpoints-per-run"
        )

    def fetch(rows: np.ndarray) -> np.ndarray:
        matrices = {
            layer.name: np.asarray(loaded[name][rows], dtype=np.float32).reshape(len(rows), *layer.index.shape)
            for name, layer in wanted.items()
        }
        return layout.from_matrices(matrices)

    if per_run > 1:
        _check_blocks(path, fetch, len(accuracy), per_run)
    runs, epochs = np.divmod(np.arange(len(accuracy)), per_run)
    labels = pd.DataFrame(
        {"run_id": [f"run-{run + 1:05d}" for run in runs], "epoch": epochs + 1, "test_accuracy": accuracy}
    )
    notes = [
        f"The file names neither runs nor epochs: every {per_run} consecutive rows are one run, epochs 1 to {per_run}.",
        "The file has no hyperparameters, losses or train accuracies: those columns are null, and `config_id` is made "
        "of the run.",
    ]
    entry = ReleaseEntry(format="comvex", files=[file_entry(path.parent, path)], rows=len(labels), notes=notes)
    return Release(zoo, entry, labels, fetch)


def _check_blocks(path: Path, fetch: Weights, rows: int, per_run: int) -> None:
    """Consecutive checkpoints of a run are near each other, the last of one run and the first of the next are not.

    Raises:
        ZoobenchError: the weights say otherwise.
    """
    if rows == per_run:
        return
    ends = np.arange(per_run - 1, rows - 1, per_run)[:_PAIRS]
    within = ends - per_run // 2
    across_runs, in_runs = _distance(fetch, ends), _distance(fetch, within)
    if np.median(in_runs) > 0.5 * np.median(across_runs):
        raise ZoobenchError(
            f"{path}: rows are not in runs of {per_run} checkpoints: neighbours inside a run are as far apart "
            f"(median {np.median(in_runs):.3g}) as neighbours across runs ({np.median(across_runs):.3g}); "
            "say how many with --checkpoints-per-run, 1 if every row is a run of its own"
        )


def _distance(fetch: Weights, first: np.ndarray) -> np.ndarray:
    """Euclidean distance between each row and the next one."""
    return np.linalg.norm(fetch(first + 1) - fetch(first), axis=1)
