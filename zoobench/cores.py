"""How many processor cores this process may use; a container or a batch job is given fewer than the machine has."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process is given: those of its affinity, as far as the CPU quotas of its control groups reach.

    A part of a core counts as one. ``root`` is where ``proc`` and ``sys`` lie.
    """
    return max(1, min([_of_affinity(), *map(math.ceil, _quotas(root))]))


def limit_threads() -> None:
    """Let OpenMP, BLAS and Arrow, which do not know quotas, start no more threads; they must not be loaded yet.

    A user's ``OMP_NUM_THREADS`` stays, if it is one.
    """
    if re.fullmatch(r"\s*[1-9]\d*\s*(,\s*[1-9]\d*\s*)*", os.environ.get("OMP_NUM_THREADS", "")):
        return
    os.environ.pop("OMP_NUM_THREADS", None)
    if usable_cores() < _of_affinity():
        os.environ["OMP_NUM_THREADS"] = str(usable_cores())


def _of_affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Of this process's control groups and of those around them, in cores; groups without a limit have none."""
    for folder in _groups(root):
        # Version 2: "200000 100000", microseconds out of a period, or "max 100000". Version 1: a file for each, or -1.
        for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
                words = " ".join((folder / name).read_text(encoding="utf-8") for name in files).split()
                quota, period = map(int, words)
                if quota > 0:
                    yield quota / period


def _groups(root: Path) -> Iterator[Path]:
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / controllers
        # Inside a container the path may be the one outside; the container's own group is the mount then.
        inner = mount / path.lstrip("/")
        yield from (inner, *(folder for folder in inner.parents if folder.is_relative_to(mount)))
