"""Chunks: the unit of work of a build. Some runs of a zoo are trained together and become rows.

What a chunk gives depends on its runs and the images alone, so that any engine may train it, anywhere and again.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..data import manifest, schema
from ..errors import ZoobenchError
from ..training.images import Images
from ..training.population import Checkpoint, arithmetic, train
from ..zoos.runs import Run
from ..zoos.spec import ZooSpec
from ..zoos.splits import fold_of


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Runs number ``start``, ``start + 1``, ... of a zoo, the epochs at which they are stored, and the arithmetic that
    they are computed in, if it has to be a certain one."""

    spec: ZooSpec
    start: int
    runs: tuple[Run, ...]
    checkpoints: tuple[int, ...]
    arithmetic: str | None = None


# Outcomes of the epoch before a checkpoint, which an untrained network does not have.
_UNTRAINED = frozenset({"running_train_accuracy", "generalization_gap"})
# Its rows, and the runs that diverged.
TrainedChunk = tuple[pa.Table, list[manifest.DroppedRun]]


def train_chunk(chunk: Chunk, images: Images, device: str, on_epoch: Callable[[int], None]) -> TrainedChunk:
    """Train a chunk.

    Raises:
        ZoobenchError: see ``train``, or this machine computes in another arithmetic than the chunk's.
    """
    here = arithmetic(chunk.spec.network, chunk.runs, images, device)
    if chunk.arithmetic not in (None, here):
        raise ZoobenchError(
            f"{platform.node()} computes in {here}, and {chunk.spec.id} is built in {chunk.arithmetic}; give all "
            "machines of the build a C compiler (cc, CC, or pip install ziglang), or none"
        )
    checkpoints = list(train(chunk.spec.network, chunk.runs, images, chunk.checkpoints, device, on_epoch))
    return chunk_table(chunk.spec, chunk.runs, checkpoints)


def chunk_table(spec: ZooSpec, runs: Sequence[Run], checkpoints: Sequence[Checkpoint]) -> TrainedChunk:
    """Rows of one chunk, run by run and epoch by epoch, without the runs that diverged.

    A run whose weights or losses are not finite at some checkpoint is dropped whole.
    """
    weights = np.stack([c.weights for c in checkpoints], axis=1)
    finite = np.isfinite(weights).all(axis=2)
    for scores in zip(*((c.train.loss, c.test.loss) for c in checkpoints), strict=True):
        finite &= np.isfinite(np.stack(scores, axis=1))
    keep = finite.all(axis=1)
    dropped = [
        manifest.DroppedRun(
            run_id=runs[i].run_id,
            epoch=checkpoints[int(np.argmin(finite[i]))].epoch,
            reason="weights or loss not finite",
        )
        for i in np.flatnonzero(~keep).tolist()
    ]
    kept = [run for run, ok in zip(runs, keep, strict=True) if ok]

    def outcome(values: list[np.ndarray]) -> np.ndarray:
        return np.stack(values, axis=1)[keep].ravel()

    epochs = [c.epoch for c in checkpoints]
    per_run: dict[str, list[Any]] = {
        "run_id": [run.run_id for run in kept],
        "config_id": [run.config_id for run in kept],
        "fold": [fold_of(spec, run.run_id, run.seed) for run in kept],
        "seed": [run.seed for run in kept],
    }
    for field in dataclasses.fields(runs[0].hyperparameters):
        per_run[field.name] = [getattr(run.hyperparameters, field.name) for run in kept]
    per_row: dict[str, np.ndarray] = {
        "epoch": np.tile(epochs, len(kept)),
        "train_accuracy": outcome([c.train.accuracy for c in checkpoints]),
        "test_accuracy": outcome([c.test.accuracy for c in checkpoints]),
        "train_loss": outcome([c.train.loss for c in checkpoints]),
        "test_loss": outcome([c.test.loss for c in checkpoints]),
        "generalization_gap": outcome([_gap(spec, c) for c in checkpoints]),
        "running_train_accuracy": outcome([_share(c.running_correct, c.running_count) for c in checkpoints]),
    }
    for label, name in enumerate(spec.images.class_outcomes):
        per_row[name] = outcome([c.test.f1[:, label] for c in checkpoints])
    run_of_row = np.repeat(np.arange(len(kept)), len(epochs))
    columns = {}
    for field in schema.LABELS:
        if field.name in per_run:
            columns[field.name] = pa.array(per_run[field.name], field.type).take(run_of_row)
        elif field.name in per_row:
            columns[field.name] = pa.array(per_row[field.name], field.type, from_pandas=field.name in _UNTRAINED)
    return schema.row_table(columns, weights[keep].reshape(len(run_of_row), -1)), dropped


def _share(correct: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Not a number where nothing was counted."""
    return np.divide(correct, count, out=np.full(len(count), np.nan), where=count > 0)


def _gap(spec: ZooSpec, checkpoint: Checkpoint) -> np.ndarray:
    """The generalization gap (R,), from the training accuracy that the zoo's paper takes.

    One division of exact integers, so that equal gaps are equal floats and tie in rank statistics.
    """
    train, test = checkpoint.train, checkpoint.test
    correct, count = {
        "train_accuracy": (train.correct, train.count),
        "running_train_accuracy": (checkpoint.running_correct, checkpoint.running_count),
    }[spec.gap_of]
    return _share(correct * test.count - test.correct * count, count * test.count)
