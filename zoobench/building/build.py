"""Building a zoo from scratch: train the population, write the dataset folder.

The folder is what would be pushed to the Hub (see ``card`` and ``manifest``). Chunks of runs are kept in a hidden work
folder beside it, each with its sha256 (see ``finished``), so that a killed build can resume; the dataset folder changes
only when all are there.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..data import manifest
from ..data.folder import Places
from ..errors import ZoobenchError, note_once
from ..files import locked, remove, write_atomically
from ..publishing.gallery import image_gallery
from ..publishing.writing import check_target, write_config
from ..training.formulation import CANONICAL
from ..training.images import Images, load_images
from ..training.population import arithmetic
from ..zoos import Zoo
from ..zoos.runs import runs_of
from . import finished
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
            interrupted build whose chunks are there was of another recipe, another process builds the same zoo, or
            what is in its place is no dataset folder.
    """
    check_target(zoo, out)
    runs = runs_of(zoo, seed)
    images = load_images(zoo.spec, zoo.size, images_folder)
    work = out / f".{zoo.repo}-{zoo.spec.config}.build"
    size, computed_in = zoo.size, arithmetic(zoo.spec.network, runs, images, device)
    chunks = [
        Chunk(zoo.spec, start, tuple(runs[start : start + size.chunk]), size.checkpoints, computed_in)
        for start in range(0, len(runs), size.chunk)
    ]
    try:
        with locked(work, wait=False):
            if not resume:
                remove(work)
            _lay_plan(work, zoo, images, seed, computed_in)
            dropped = _train_chunks(work, chunks, images, device, on_progress, engine, workers)
            if len(dropped) == len(runs):
                raise ZoobenchError(f"every run of {zoo.id} diverged; nothing was written")
            finished.check_complete(work, chunks, dropped)
            about = {
                "recipe": manifest.to_json(size.recipe),
                "seed": seed,
                "images": _images_entry(zoo, images),
                "gap_of": zoo.spec.gap_of,
                "arithmetic": computed_in,
                "dropped": dropped,
            }
            picture = Places(zoo.spec.config).picture("images")
            folder = write_config(
                zoo,
                out,
                work,
                [finished.rows_of(work, chunk) for chunk in chunks],
                about,
                lambda fresh: image_gallery(images, zoo.spec.preprocessing, fresh.locate(picture)),
            )
            remove(work)
            _compare_with_declared(zoo, folder.manifest.configs[zoo.spec.config])
            return folder.path
    except OSError as error:
        raise ZoobenchError(f"cannot write to {error.filename or out}: {error.strerror or error}") from error


def _compare_with_declared(zoo: Zoo, built: manifest.ConfigManifest) -> None:
    """Where every build has the same rows, say so of one that has others."""
    declared = zoo.size.rows_sha256
    if declared and not built.seed and built.arithmetic == CANONICAL and built.rows_sha256 != declared:
        note_once(
            f"{zoo.id} was built, and its rows are not those of all other builds: their sha256 is {built.rows_sha256}, "
            f"not {declared}; were its images changed (sha256 {built.images.sha256 if built.images else 'unknown'})?"
        )


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


def _lay_plan(work: Path, zoo: Zoo, images: Images, seed: int, computed_in: str) -> None:
    """Chunks of one recipe, one set of images, one arithmetic and one library version only may be put together.

    Where no chunk of another plan was finished, what is there is cleared away.
    """
    plan = {
        "recipe": manifest.to_json(zoo.size),
        "seed": seed,
        "images": images.sha256,
        "arithmetic": computed_in,
        "versions": {name: importlib.metadata.version(name) for name in ("zoobench", "torch")},
    }
    text = json.dumps(plan, indent=1)
    path = work / "plan.json"
    if path.exists() and path.read_bytes() == text.encode():
        return
    if there := len(finished.records(work)):
        raise ZoobenchError(
            f"cannot go on with {zoo.id}: finished chunks in {work} ({there}) are of another recipe, other "
            "images, another arithmetic or other versions; --no-resume deletes them and starts again"
        )
    remove(work)
    work.mkdir(parents=True)
    write_atomically(path, text.encode())


def _train_chunks(
    work: Path,
    chunks: Sequence[Chunk],
    images: Images,
    device: str,
    on_progress: Callable[[Progress], None] | None,
    engine: Engine,
    workers: int | None,
) -> list[manifest.DroppedRun]:
    """Train every chunk that is not there yet.

    Returns:
        the runs that diverged, in order.
    """
    there = {chunk.start: finished.dropped_of(work, chunk) for chunk in chunks}
    missing = [chunk for chunk in chunks if there[chunk.start] is None]
    last = max(chunks[0].checkpoints)
    epochs = {chunk.start: 0 if chunk in missing else last for chunk in chunks}
    lengths = {chunk.start: len(chunk.runs) for chunk in chunks}
    runs = sum(lengths.values())
    resumed = sum(epochs[start] * lengths[start] for start in epochs)

    def on_epoch(chunk: Chunk, epoch: int) -> None:
        epochs[chunk.start] = epoch
        if on_progress:
            done = sum(epochs[start] * lengths[start] for start in epochs)
            complete = sum(lengths[start] for start in epochs if epochs[start] == last)
            on_progress(Progress(runs, complete, runs * last, done, resumed))

    if missing:
        for chunk, trained in engine(missing, images, device, workers, on_epoch):
            finished.keep(work, chunk, trained)
            there[chunk.start] = trained[1]
    return [run for chunk in chunks for run in there[chunk.start] or ()]
