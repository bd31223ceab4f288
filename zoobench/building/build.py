"""Building a zoo from scratch: train the population, write the dataset folder.

The folder is what would be pushed to the Hub (see ``card`` and ``manifest``). Chunks of runs are kept in a hidden work
folder beside it, each written whole or not at all, so that a killed build can resume; the dataset folder changes only
when all are there.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..data import manifest, shards
from ..data.folder import Places
from ..errors import ZoobenchError
from ..files import write_atomically
from ..publishing.gallery import image_gallery
from ..publishing.writing import write_config
from ..training.images import Images, load_images
from ..zoos import Zoo
from ..zoos.runs import Run, runs_of
from .chunks import Chunk
from .engine import Engine
from .engines import local


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a build is. A run-epoch is one epoch of one run."""

    runs: int
    runs_done: int
    run_epochs: int
    run_epochs_done: int
    run_epochs_resumed: int


def build(
    zoo: Zoo,
    out: Path,
    images_folder: Path | None = None,
    device: str = "cpu",
    on_progress: Callable[[Progress], None] | None = None,
    resume: bool = True,
    engine: Engine = local,
    workers: int | None = None,
    seed: int = 0,
) -> Path:
    """Train a zoo and write it as a config of the dataset folder ``out/<repo>``; other configs there stay.

    Args:
        zoo: what to build, at which scale.
        out: parent of the dataset folder (``ZOOBENCH_DATA`` for a zoo that the other verbs should find).
        images_folder: where images are, if not on the Hub.
        device: a torch device.
        on_progress: called after each epoch of each chunk.
        resume: keep the chunks that an interrupted build of the same zoo has finished; otherwise delete them.
        engine: who trains the chunks.
        workers: how many chunks are trained at a time; ``None`` for one per CPU core, or one per GPU.
        seed: 0 for the zoo itself; any other number draws another population by the same recipe.

    Returns:
        the dataset folder.

    Raises:
        ZoobenchError: the zoo cannot be built, its images cannot be had, ``out`` cannot be written, or the
            interrupted build whose chunks are there was of another recipe.
    """
    runs = runs_of(zoo, seed)
    images = load_images(zoo.spec, zoo.size, images_folder)
    work = out / f".{zoo.repo}-{zoo.spec.config}.build"
    try:
        if not resume:
            shutil.rmtree(work, ignore_errors=True)
        _lay_plan(work, zoo, images, seed)
        dropped = _train_chunks(work, zoo, runs, images, device, on_progress, engine, workers)
        if len(dropped) == len(runs):
            raise ZoobenchError(f"every run of {zoo.id} diverged; nothing was written")
        about = {
            "recipe": manifest.to_json(zoo.size.recipe),
            "seed": seed,
            "images": _images_entry(zoo, images),
            "dropped": dropped,
        }
        picture = Places(zoo.spec.config).picture("images")
        folder = write_config(
            zoo,
            out,
            work,
            sorted(work.glob("chunk-*.parquet")),
            about,
            lambda fresh: image_gallery(images, zoo.spec.preprocessing, fresh.locate(picture)),
        )
        shutil.rmtree(work)
        return folder.path
    except OSError as error:
        raise ZoobenchError(f"cannot write to {error.filename or out}: {error.strerror or error}") from error


def _images_entry(zoo: Zoo, images: Images) -> manifest.ImagesEntry:
    return manifest.ImagesEntry(
        source=zoo.spec.images.folder,
        origin=images.origin,
        train=len(images.train_labels),
        test=len(images.test_labels),
        side=images.train_images.shape[-1],
        sha256=images.sha256,
        test_class_counts=np.bincount(images.test_labels, minlength=zoo.spec.images.classes).tolist(),
    )


def _lay_plan(work: Path, zoo: Zoo, images: Images, seed: int) -> None:
    """Chunks of one recipe, one set of images and one library version only may be put together.

    Where no chunk of another plan was finished, what is there is cleared away.
    """
    plan = {
        "recipe": manifest.to_json(zoo.size),
        "seed": seed,
        "images": images.sha256,
        "versions": {name: importlib.metadata.version(name) for name in ("zoobench", "torch")},
    }
    text = json.dumps(plan, indent=1)
    path = work / "plan.json"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    if finished := len(list(work.glob("chunk-*.json"))):
        raise ZoobenchError(
            f"cannot go on with {zoo.id}: finished chunks in {work} ({finished}) are of another recipe, other "
            "images or other versions; --no-resume deletes them and starts again"
        )
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_atomically(path, text.encode())


def _train_chunks(
    work: Path,
    zoo: Zoo,
    runs: list[Run],
    images: Images,
    device: str,
    on_progress: Callable[[Progress], None] | None,
    engine: Engine,
    workers: int | None,
) -> list[manifest.DroppedRun]:
    """Train every chunk that is not there yet. A chunk is there when its list of dropped runs is, which comes last."""
    size = zoo.size
    chunks = [
        Chunk(zoo.spec, start, tuple(runs[start : start + size.chunk]), size.checkpoints)
        for start in range(0, len(runs), size.chunk)
    ]
    finished = {chunk.start: work / f"chunk-{chunk.start:06d}.json" for chunk in chunks}
    missing = [chunk for chunk in chunks if not finished[chunk.start].exists()]
    epochs = {chunk.start: 0 if chunk in missing else max(size.checkpoints) for chunk in chunks}
    lengths = {chunk.start: len(chunk.runs) for chunk in chunks}
    resumed = sum(epochs[start] * lengths[start] for start in epochs)

    def on_epoch(chunk: Chunk, epoch: int) -> None:
        epochs[chunk.start] = epoch
        if on_progress:
            done = sum(epochs[start] * lengths[start] for start in epochs)
            complete = sum(lengths[start] for start in epochs if epochs[start] == max(size.checkpoints))
            on_progress(Progress(len(runs), complete, len(runs) * max(size.checkpoints), done, resumed))

    if missing:
        for chunk, (table, lost) in engine(missing, images, device, workers, on_epoch):
            shards.write_table(finished[chunk.start].with_suffix(".parquet"), table)
            content = json.dumps([run.model_dump() for run in lost])
            write_atomically(finished[chunk.start], content.encode())
    lists = [json.loads(finished[chunk.start].read_text(encoding="utf-8")) for chunk in chunks]
    return [manifest.DroppedRun.model_validate(run) for run in itertools.chain.from_iterable(lists)]
