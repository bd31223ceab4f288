"""C code for what no library does fast, compiled where it first runs; whoever calls it has another way without it.

A compiler (``CC``, or else ``cc``) and a writable cache folder are all it takes. Code is compiled for this very
processor, and kept in the user's cache under the hash of the source, the compiler and the processor. What stands in C
and in Python, functions' types and structs, is declared here.
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from ..errors import ZoobenchError

_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")


class Layer(ctypes.Structure):
    """A layer of ``networks.c``."""

    _fields_ = tuple(
        (name, ctypes.c_int)
        for name in (
            "kind",
            "height",
            "width",
            "inputs",
            "outputs",
            "kernel",
            "stride",
            "offset",
            "biased",
            "activated",
            "dropout",
        )
    )


_POINTER, _INT, _LONG, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_size_t
_TRANSFORM = (_POINTER, _POINTER, _LONG, _INT, _INT, _INT)
# By file: what each function returns and takes.
_FUNCTIONS: Mapping[str, Mapping[str, tuple[Any, tuple[Any, ...]]]] = {
    "networks": {
        "networks": (_INT, (*[_POINTER] * 10, _LONG, _LONG, ctypes.POINTER(Layer), _INT)),
        "size_of_layer": (_SIZE, ()),
    },
    "winograd": {
        "spread": (None, _TRANSFORM),
        "gather": (None, (*_TRANSFORM, _POINTER)),
        "spread_back": (None, _TRANSFORM),
        "gather_back": (None, _TRANSFORM),
    },
    "row_statistics": {
        "row_statistics": (_INT, (_POINTER, _LONG, _LONG, _INT, _POINTER, _INT, _POINTER, _POINTER)),
    },
}
# By file: the function that says how large a struct is, and the struct.
_STRUCTS: Mapping[str, tuple[str, type[ctypes.Structure]]] = {"networks": ("size_of_layer", Layer)}


@functools.cache
def library(name: str, *definitions: str) -> ctypes.CDLL | None:
    """The compiled ``<name>.c`` of this folder with preprocessor definitions (``"REAL=float"``), or ``None``.

    ``None`` where there is no compiler, where it fails, or where nothing can be kept.

    Raises:
        ZoobenchError: C and Python do not mean the same struct.
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
        compiled = ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError):
        return None
    return _declared(name, compiled)


def _declared(name: str, compiled: ctypes.CDLL) -> ctypes.CDLL:
    for function, (result, arguments) in _FUNCTIONS[name].items():
        getattr(compiled, function).restype, getattr(compiled, function).argtypes = result, arguments
    if name in _STRUCTS:
        function, struct = _STRUCTS[name]
        here, there = ctypes.sizeof(struct), getattr(compiled, function)()
        if here != there:
            raise ZoobenchError(
                f"{struct.__name__} has {here} bytes in Python and {there} in {name}.c; install zoobench anew"
            )
    return compiled


@functools.cache
def keep_freed_memory() -> None:
    """Ask glibc to keep the memory of freed arrays of up to 32 MB for the next ones, up to 256 MB per thread.

    A training step frees and asks for the same arrays all the time; if each comes from the system anew, all its pages
    do. Without glibc nothing happens.
    """
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):
        allocator = ctypes.CDLL(None)
        allocator.mallopt.restype, allocator.mallopt.argtypes = _INT, (_INT, _INT)
        allocator.mallopt(mmap_threshold, 32 << 20)
        allocator.mallopt(trim_threshold, 256 << 20)


def _processor() -> str:
    """What ``-march=native`` depends on; a cache folder may be shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.node())
