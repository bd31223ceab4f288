"""Work as Ray tasks: a Ray to work with, and results as they are finished.

The tasks run on a Ray of this machine, or on the cluster that ``RAY_ADDRESS`` names, where zoobench must be installed
too. Results come back through Ray's object store, so the machines need no common disk. Imported only where Ray is used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import ray

from .cores import usable_cores
from .errors import ZoobenchError

RETRIES = 3
_POLL_SECONDS = 0.2
_CONNECT_SECONDS = 10


def finished(
    jobs: Mapping[int, Callable[[], ray.ObjectRef]],
    workers: int,
    on_poll: Callable[[], None] = lambda: None,
) -> Generator[tuple[int, Any]]:
    """Start jobs, ``workers`` at a time, and yield what each gives, in the order in which they end.

    ``on_poll`` is called a few times a second. What still runs is cancelled when the iteration is given up.

    Raises:
        ray.exceptions.RayError: a task failed; see ``explained``.
    """
    waiting = list(jobs)[::-1]
    flying: dict[ray.ObjectRef, int] = {}
    try:
        while waiting or flying:
            while waiting and len(flying) < workers:
                key = waiting.pop()
                flying[jobs[key]()] = key
            done, _ = ray.wait(list(flying), timeout=_POLL_SECONDS)
            on_poll()
            for reference in done:
                yield flying.pop(reference), ray.get(reference)
    finally:
        for reference in flying:
            ray.cancel(reference, force=True)


@contextlib.contextmanager
def explained(how_on: str) -> Iterator[None]:
    """What a task raised is raised here; a task whose worker died too often is one line that ends in ``how_on``."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise ZoobenchError(
            f"a Ray task failed {1 + RETRIES} times ({str(error).splitlines()[0]}); {how_on}"
        ) from error


@contextlib.contextmanager
def session(workers: int | None) -> Iterator[None]:
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
            ray.init(address="local", num_cpus=workers or usable_cores(), include_dashboard=False, **quiet)
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
