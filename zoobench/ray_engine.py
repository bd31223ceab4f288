"""The Ray engine: each chunk is a Ray task of one CPU core or one GPU.

The tasks run on a Ray of this machine, or on the cluster that ``RAY_ADDRESS`` names, where zoobench must be installed
too. Rows come back through Ray's object store, so the machines need no common disk. Imported only where Ray is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import ray
import torch
from ray.util.queue import Empty, Queue

from .chunks import Chunk, Rows, train_chunk
from .engines import OnEpoch
from .errors import ZoobenchError
from .images import Images

_POLL_SECONDS = 0.2
_CONNECT_SECONDS = 10
_RETRIES = 3


@ray.remote(max_retries=_RETRIES)
def _task(number: int, chunk: Chunk, images: Images, device: str, epochs: Queue) -> Rows:
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
) -> Iterator[tuple[Chunk, Rows]]:
    """Train as Ray tasks, ``workers`` at a time; a task whose worker dies is done again, up to three times."""
    kind = "CPU" if device == "cpu" else "GPU"
    with _session(workers):
        available = int(ray.cluster_resources().get(kind, 0))
        if not available:
            raise ZoobenchError(f"Ray has no {kind} for --device {device}; give it one, or choose another --device")
        try:
            yield from _tasks(chunks, images, device, workers or available, kind, on_epoch)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise ZoobenchError(
                f"a Ray task failed {1 + _RETRIES} times ({str(error).splitlines()[0]}); finished chunks are kept: "
                "go on with --resume, and with fewer --workers if memory ran out"
            ) from error


def _tasks(
    chunks: Sequence[Chunk], images: Images, device: str, workers: int, kind: str, on_epoch: OnEpoch
) -> Iterator[tuple[Chunk, Rows]]:
    epochs = Queue(actor_options={"num_cpus": 0})
    task = _task.options(num_cpus=1, num_gpus=1 if kind == "GPU" else 0)
    shared = ray.put(images)
    waiting = list(range(len(chunks)))[::-1]
    flying: dict[ray.ObjectRef, Chunk] = {}
    try:
        while waiting or flying:
            while waiting and len(flying) < workers:
                number = waiting.pop()
                flying[task.remote(number, chunks[number], shared, device, epochs)] = chunks[number]
            done, _ = ray.wait(list(flying), timeout=_POLL_SECONDS)
            with contextlib.suppress(Empty):
                while True:
                    number, epoch = epochs.get_nowait()
                    on_epoch(chunks[number], epoch)
            for reference in done:
                yield flying.pop(reference), ray.get(reference)
    finally:
        for reference in flying:
            ray.cancel(reference, force=True)
        epochs.shutdown(force=True)


@contextlib.contextmanager
def _session(workers: int | None) -> Iterator[None]:
    """A Ray to work with: the one this process is connected to, the cluster at ``RAY_ADDRESS``, or a new local one."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _check_reachable(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", num_cpus=workers or os.cpu_count(), include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at RAY_ADDRESS={address}" if address else "a local Ray"
        raise ZoobenchError(f"cannot use {where}: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray waits for minutes for a cluster that is not there, and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto" or "local"
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ZoobenchError(
            f"cannot reach the Ray cluster at RAY_ADDRESS={address}: {error.strerror or error}; start it "
            "(ray start --head) or unset RAY_ADDRESS to use this machine"
        ) from error
