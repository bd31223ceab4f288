"""Building a zoo from scratch: train the population, write the dataset folder.

The folder is what would be pushed to the Hub (see ``card`` and ``manifest``). Chunks of runs are kept in a hidden work
folder beside it, each written whole or not at all, so that a killed build can resume; the dataset folder changes only
when all are there.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from . import card, manifest, plots, schema, shards
from .errors import ZoobenchError
from .images import Images, load_images
from .layout import layout_of
from .population import Checkpoint, train
from .runs import Run, runs_of
from .splits import SPLITS, fold_of, split_of
from .zoos import Zoo
from .zoos.spec import TetrisImages, ZooSpec

_VERSIONS_OF = ("zoobench", "torch", "numpy", "pyarrow", "datasets")


@dataclasses.dataclass(frozen=True)
class Progress:
    """After each epoch of each chunk: how far the build is."""

    runs_done: int
    runs_in_chunk: int
    epoch: int
    runs: int
    epochs: int


def build(
    zoo: Zoo,
    out: Path,
    images_folder: Path | None = None,
    device: str = "cpu",
    on_progress: Callable[[Progress], None] | None = None,
    resume: bool = False,
) -> Path:
    """Train a zoo and write it as a config of the dataset folder ``out/<repo>``; other configs there stay.

    Args:
        zoo: what to build, at which scale.
        out: parent of the dataset folder (``ZOOBENCH_DATA`` for a zoo that the other verbs should find).
        images_folder: where images are, if not on the Hub.
        device: a torch device.
        on_progress: called after each epoch of each chunk.
        resume: keep the chunks that an interrupted build of the same zoo has finished.

    Returns:
        the dataset folder.

    Raises:
        ZoobenchError: the zoo cannot be built, its images cannot be had, ``out`` cannot be written, or the
            interrupted build was of another recipe.
    """
    runs = runs_of(zoo)
    images = load_images(zoo.spec, zoo.size, images_folder)
    work = out / f".{zoo.repo}-{zoo.spec.config}.build"
    try:
        if not resume:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        _check_plan(work, zoo, images)
        dropped = _train_chunks(work, zoo, runs, images, device, on_progress)
        folder = _assemble(work, out / zoo.repo, zoo, runs, images, dropped)
        shutil.rmtree(work)
        return folder
    except OSError as error:
        raise ZoobenchError(f"cannot write to {error.filename or out}: {error.strerror or error}") from error


def _check_plan(work: Path, zoo: Zoo, images: Images) -> None:
    """Chunks of one recipe, one set of images and one library version only may be put together."""
    plan = {
        "recipe": to_json(zoo.size),
        "images": images.sha256,
        "versions": {name: importlib.metadata.version(name) for name in ("zoobench", "torch")},
    }
    text = json.dumps(plan, indent=1)
    path = work / "plan.json"
    if path.exists() and path.read_text() != text:
        raise ZoobenchError(
            f"cannot resume {zoo.id}: the chunks in {work} are of another recipe, other images or other versions; "
            "start again without --resume"
        )
    manifest.write_atomically(path, text.encode())


def _train_chunks(
    work: Path,
    zoo: Zoo,
    runs: list[Run],
    images: Images,
    device: str,
    on_progress: Callable[[Progress], None] | None,
) -> list[manifest.DroppedRun]:
    """Train every chunk that is not there yet. A chunk is there when its list of dropped runs is, which comes last."""
    size = zoo.size
    dropped = []
    for start in range(0, len(runs), size.chunk):
        part = runs[start : start + size.chunk]
        finished = work / f"chunk-{start:06d}.json"
        if not finished.exists():

            def on_epoch(epoch: int, start: int = start, part: Sequence[Run] = part) -> None:
                if on_progress:
                    on_progress(Progress(start, len(part), epoch, len(runs), max(size.checkpoints)))

            checkpoints = list(train(zoo.spec.network, part, images, size.checkpoints, device, on_epoch))
            table, lost = chunk_table(zoo.spec, part, checkpoints)
            shards.write_table(finished.with_suffix(".parquet"), table)
            manifest.write_atomically(finished, json.dumps([run.model_dump() for run in lost]).encode())
        dropped += [manifest.DroppedRun.model_validate(run) for run in json.loads(finished.read_text())]
    return dropped


def _assemble(
    work: Path, folder: Path, zoo: Zoo, runs: list[Run], images: Images, dropped: list[manifest.DroppedRun]
) -> Path:
    """Turn the chunks into splits, labels, pictures and a manifest entry, and move them to the dataset folder."""
    spec, size = zoo.spec, zoo.size
    kept = {run.run_id for run in runs} - {run.run_id for run in dropped}
    if not kept:
        raise ZoobenchError(f"every run of {zoo.id} diverged; nothing was written")
    fresh = work / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    split_of_run = {run_id: split_of(spec, run_id) for run_id in sorted(kept)}
    runs_in = collections.Counter(split_of_run.values())
    rows = shards.write_splits(fresh, spec.config, sorted(work.glob("chunk-*.parquet")), split_of_run)
    plots.image_gallery(images, spec.preprocessing, fresh / "pictures" / f"{spec.config}.png")
    entry = manifest.ConfigManifest(
        zoo=zoo.id,
        scale=zoo.scale,
        network=to_json(spec.network.layers),
        layout=layout_of(spec.network).to_json(),
        recipe=to_json(size.recipe),
        preprocessing=dataclasses.asdict(spec.preprocessing),
        images=manifest.ImagesEntry(
            source=spec.images.folder,
            origin=images.origin,
            train=len(images.train_labels),
            test=len(images.test_labels),
            sha256=images.sha256,
        ),
        checkpoints=list(size.checkpoints),
        runs=len(kept),
        rows=sum(rows.values()),
        splits={split: manifest.SplitCount(runs=runs_in[split], rows=rows[split]) for split in SPLITS},
        dropped=dropped,
        files=[manifest.file_entry(fresh, path) for path in sorted(fresh.rglob("*")) if path.is_file()],
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _VERSIONS_OF},
        built=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    return _install_config(fresh, folder, zoo, entry)


def chunk_table(
    spec: ZooSpec, runs: Sequence[Run], checkpoints: Sequence[Checkpoint]
) -> tuple[pa.Table, list[manifest.DroppedRun]]:
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
        "fold": [fold_of(spec, run.run_id) for run in kept],
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
        # One division of exact integers, so that equal gaps are equal floats and tie in rank statistics.
        "generalization_gap": outcome(
            [
                (c.train.correct * c.test.count - c.test.correct * c.train.count) / (c.train.count * c.test.count)
                for c in checkpoints
            ]
        ),
    }
    if isinstance(spec.images, TetrisImages):
        per_row |= {f"f1_class_{k}": outcome([c.test.f1[:, k] for c in checkpoints]) for k in range(4)}
    run_of_row = np.repeat(np.arange(len(kept)), len(epochs))
    columns = {}
    row_schema = schema.rows(layout_of(spec.network).size)
    for field in row_schema:
        if field.name in per_run:
            columns[field.name] = pa.array(per_run[field.name], field.type).take(run_of_row)
        elif field.name in per_row:
            columns[field.name] = pa.array(per_row[field.name], field.type, from_pandas=False)
        elif field.name not in ("example_id", "weights"):
            columns[field.name] = pa.nulls(len(run_of_row), field.type)
    columns["example_id"] = schema.example_ids(columns["run_id"], columns["epoch"])
    flat = pa.array(np.ascontiguousarray(weights[keep]).reshape(-1))
    columns["weights"] = pa.FixedSizeListArray.from_arrays(flat, type=row_schema.field("weights").type)
    arrays = [columns[name] for name in row_schema.names]
    return pa.Table.from_arrays(arrays, schema=row_schema), dropped


def to_json(declaration: Any) -> Any:
    """A declaration as JSON: dataclasses become dicts that keep their type's name."""
    if dataclasses.is_dataclass(declaration):
        fields = {field.name: to_json(getattr(declaration, field.name)) for field in dataclasses.fields(declaration)}
        return {"type": type(declaration).__name__, **fields}
    if isinstance(declaration, tuple):
        return [to_json(item) for item in declaration]
    return declaration


def _install_config(fresh: Path, folder: Path, zoo: Zoo, entry: manifest.ConfigManifest) -> Path:
    """Move the prepared files into the dataset folder, then write its manifest and card."""
    folder.mkdir(parents=True, exist_ok=True)
    configs = {}
    if (folder / manifest.FILE_NAME).exists():
        configs = dict(manifest.read_manifest(folder).configs)
    configs[zoo.spec.config] = entry
    for place in (zoo.spec.config, f"labels/{zoo.spec.config}"):
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        shutil.move(fresh / place, target)
    (folder / "pictures").mkdir(exist_ok=True)
    for picture in (fresh / "pictures").iterdir():
        picture.replace(folder / "pictures" / picture.name)
    whole = manifest.Manifest(
        schema_version=manifest.SCHEMA_VERSION, repo=zoo.repo, scale=zoo.scale, configs=dict(sorted(configs.items()))
    )
    manifest.write_manifest(folder, whole)
    manifest.write_atomically(folder / "README.md", card.render(whole).encode())
    return folder
