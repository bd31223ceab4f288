"""The Ray engine: each chunk is a Ray task of one CPU core or one GPU (see ``ray_tasks``)."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import ray
import torch
from ray.util.queue import Empty, Queue

from ..errors import ZoobenchError
from ..ray_tasks import RETRIES, explained, finished, session
from ..training.images import Images
from .chunks import Chunk, TrainedChunk, train_chunk
from .engine import OnEpoch


@ray.remote(max_retries=RETRIES)
def _task(number: int, chunk: Chunk, images: Images, device: str, epochs: Queue) -> TrainedChunk:
    torch.set_num_threads(1)
    # Ray's arrays are read-only views of shared memory, which PyTorch warns about.
    images = dataclasses.replace(
        images,
        train_images=np.array(images.train_images),
        train_labels=np.array(images.train_labels),
        test_images=np.array(images.test_images),
        test_labels=np.array(images.test_labels),
    )
    return train_chunk(chunk, images, device, lambda epoch: epochs.put((number, epoch)))


def train(
    chunks: Sequence[Chunk], images: Images, device: str, workers: int | None, on_epoch: OnEpoch
) -> Iterator[tuple[Chunk, TrainedChunk]]:
    """Train as Ray tasks, ``workers`` at a time; a task whose worker dies is done again, up to three times."""
    kind = "CPU" if device == "cpu" else "GPU"
    with session(workers):
        available = int(ray.cluster_resources().get(kind, 0))
        if not available:
            raise ZoobenchError(f"Ray has no {kind} for --device {device}; give it one, or choose another --device")
        with explained("finished chunks are kept: run it again to go on, with fewer --workers if memory ran out"):
            yield from _tasks(chunks, images, device, workers or available, kind, on_epoch)


def _tasks(
    chunks: Sequence[Chunk], images: Images, device: str, workers: int, kind: str, on_epoch: OnEpoch
) -> Iterator[tuple[Chunk, TrainedChunk]]:
    epochs = Queue(actor_options={"num_cpus": 0})
    task = _task.options(num_cpus=1, num_gpus=1 if kind == "GPU" else 0)
    shared = ray.put(images)
    jobs = {n: functools.partial(task.remote, n, chunk, shared, device, epochs) for n, chunk in enumerate(chunks)}

    def report() -> None:
        with contextlib.suppress(Empty):
            while True:
                number, epoch = epochs.get_nowait()
                on_epoch(chunks[number], epoch)

    try:
        with contextlib.closing(finished(jobs, workers, report)) as ended:
            for number, rows in ended:
                yield chunks[number], rows
    finally:
        epochs.shutdown(force=True)
