"""C code for what no library does fast, compiled where it first runs; whoever calls it has another way without it.

A compiler (``CC``, or else ``cc``) and a writable cache folder are all it takes. Code is compiled for this very
processor, and kept in the user's cache under the hash of the source, the compiler and the processor.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import platformdirs

_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")


@functools.cache
def library(name: str, *definitions: str) -> ctypes.CDLL | None:
    """The compiled ``<name>.c`` of this folder with preprocessor definitions (``"REAL=float"``), or ``None``.

    ``None`` where there is no compiler, where it fails, or where nothing can be kept.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    source = Path(__file__).with_name(f"{name}.c")
    # One file may include another.
    sources = b"".join(path.read_bytes() for path in sorted(source.parent.glob("*.c")))
    command = [compiler, *_FLAGS, *(f"-D{definition}" for definition in definitions)]
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
        parts = (sources, "\0".join(command).encode(), version, _processor().encode())
        key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]
        path = platformdirs.user_cache_path("zoobench") / "native" / f"{name}-{key}.so"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                made = Path(folder) / path.name
                subprocess.run([*command, "-o", str(made), str(source), "-lm"], capture_output=True, check=True)
                made.replace(path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError):
        return None


@functools.cache
def keep_freed_memory() -> None:
    """Ask glibc to keep the memory of freed arrays of up to 32 MB for the next ones, up to 256 MB per thread.

    A training step frees and asks for the same arrays all the time; if each comes from the system anew, all its pages
    do. Without glibc nothing happens.
    """
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):
        allocator = ctypes.CDLL(None)
        allocator.mallopt(mmap_threshold, 32 << 20)
        allocator.mallopt(trim_threshold, 256 << 20)


def _processor() -> str:
    """What ``-march=native`` depends on; a cache folder may be shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.node())
