"""C code for what no library does fast, compiled where it first runs; whoever calls it has another way without it.

A compiler (``CC``, or else ``cc``) is all it takes; see ``compiling``. What stands in C and in Python, functions' types
and structs, is declared here.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ZoobenchError, note_once
from .compiling import NATIVE, CompilerError, load

# Without contraction: what is rounded once is said in the code, for the same bits by every compiler and processor.
_FLAGS = ("-O3", NATIVE, "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")


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


class Rule(ctypes.Structure):
    """A step of an optimizer in ``updates.c``."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("kind", "decoupled", "shared", "momentum")),
        *(
            (name, ctypes.c_double)
            for name in (
                "keep_first",
                "take_first",
                "keep_second",
                "take_second",
                "epsilon",
                "correct_first",
                "correct_second",
            )
        ),
    )


_POINTER, _INT, _LONG, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_size_t
_TRANSFORM = (_POINTER, _POINTER, _LONG, _INT, _INT, _INT)
# By file: what each function returns and takes.
_FUNCTIONS: Mapping[str, Mapping[str, tuple[Any, tuple[Any, ...]]]] = {
    "networks": {
        "networks": (_INT, (*[_POINTER] * 13, _LONG, _LONG, ctypes.POINTER(Layer), _INT)),
        "size_of_layer": (_SIZE, ()),
    },
    "updates": {
        "update": (None, (*[_POINTER] * 6, _LONG, _LONG, ctypes.POINTER(Rule))),
        "size_of_rule": (_SIZE, ()),
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
_STRUCTS: Mapping[str, tuple[str, type[ctypes.Structure]]] = {
    "networks": ("size_of_layer", Layer),
    "updates": ("size_of_rule", Rule),
}


@functools.cache
def library(name: str, *definitions: str) -> ctypes.CDLL | None:
    """The compiled ``<name>.c`` of this folder with preprocessor definitions (``"REAL=float"``), or ``None``.

    ``None``, said once, where there is no compiler that works.

    Raises:
        ZoobenchError: C and Python do not mean the same struct.
    """
    flags = (*_FLAGS, *(f"-D{definition}" for definition in definitions))
    try:
        return _declared(name, load(Path(__file__).with_name(f"{name}.c"), flags))
    except (CompilerError, OSError) as error:
        note_once(f"{name}.c is not used, which takes longer: {error}")
        return None


def _declared(name: str, compiled: ctypes.CDLL) -> ctypes.CDLL:
    for function, (result, arguments) in _FUNCTIONS[name].items():
        if not hasattr(compiled, function):
            raise CompilerError(f"what was compiled has no function {function!r}")
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
