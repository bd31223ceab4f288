"""Engines by name: who trains the chunks of a build.

``local`` trains several chunks at a time in threads of this process: PyTorch works outside the interpreter's lock,
and one core for each of two chunks is faster than two cores for one chunk after the other. ``ray`` (see
``ray_engine``) makes each chunk a Ray task, on this machine or on many.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.pool import ThreadPool

import torch

from ..cores import usable_cores
from ..errors import look_up
from ..training.images import Images
from .chunks import Chunk, TrainedChunk, train_chunk
from .engine import Engine, OnEpoch


class _Stopped(Exception):  # noqa: N818 - not an error
    """The build is over; a thread that still trains gives up."""


def local(
    chunks: Sequence[Chunk], images: Images, device: str, workers: int | None, on_epoch: OnEpoch
) -> Iterator[tuple[Chunk, TrainedChunk]]:
    """Train in threads of this process, which share its CPU cores or its GPU."""
    cores = usable_cores()
    workers = min(len(chunks), workers or (cores if device == "cpu" else 1))
    lock, stopped = threading.Lock(), threading.Event()

    def work(chunk: Chunk) -> tuple[Chunk, TrainedChunk]:
        def report(epoch: int) -> None:
            if stopped.is_set():
                raise _Stopped
            with lock:
                on_epoch(chunk, epoch)

        return chunk, train_chunk(chunk, images, device, report)

    def outcome(chunk: Chunk) -> tuple[Chunk, TrainedChunk] | BaseException:
        try:
            return work(chunk)
        except BaseException as error:  # raised again by the thread that waits for it
            return error

    if workers <= 1:
        yield from map(work, chunks)
        return
    with ThreadPool(workers, torch.set_num_threads, (max(1, cores // workers),)) as pool:
        try:
            for finished in pool.imap_unordered(outcome, chunks):
                if isinstance(finished, BaseException):
                    raise finished
                yield finished
        finally:
            stopped.set()


def _ray(
    chunks: Sequence[Chunk], images: Images, device: str, workers: int | None, on_epoch: OnEpoch
) -> Iterator[tuple[Chunk, TrainedChunk]]:
    from .ray_engine import train

    return train(chunks, images, device, workers, on_epoch)


ENGINES: Mapping[str, Engine] = {"local": local, "ray": _ray}


def engine_named(name: str) -> Engine:
    """Look an engine up.

    Raises:
        ZoobenchError: unknown engine.
        ImportError: its library is not installed.
    """
    found = look_up("engine", name, ENGINES)
    if name == "ray":
        import ray  # noqa: F401
    return found
