"""Reading pickles of strangers' classes without running anything that is in them.

``torch.load(weights_only=True)`` refuses every class and function that is not on its list. To it we add inert
stand-ins: for the dataset classes of the published zoos, which keep an object's attributes and nothing else, and for
paths. Whatever else a file names is refused by its name before any of it is read.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray

from zoobench.errors import ZoobenchError

# Modules whose classes may be stood in for.
_KNOWN_CLASSES = re.compile(r"(\w+\.)*checkpoints_to_datasets(\.\w+)+|(\w+\.)*dataset_base(\.\w+)+")
# How the unpickler names what it refuses.
_NAMED = re.compile(r"GLOBAL ([\w.]+)")
# What torch.load and the unpickler raise for a file that is cut off or damaged.
_BROKEN = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
    LookupError,
    AttributeError,
    TypeError,
)
_PATHS = ("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath")


class StandIn:
    """Takes the place of an object of a class that is not here: its attributes, without its behaviour."""

    def __new__(cls, *_: object) -> StandIn:
        return super().__new__(cls)

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}


def _path(*parts: object) -> str:
    return "/".join(map(str, parts))


def _numpy_parts() -> list[tuple[Any, str]]:
    """What NumPy arrays and scalars of plain numbers are pickled by, under the names of NumPy 1 and 2."""
    functions = ("_reconstruct", "scalar")
    parts = [
        (getattr(multiarray, name), f"{module}.{name}")
        for name in functions
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    ]
    parts += [(np.ndarray, "numpy.ndarray"), (np.dtype, "numpy.dtype")]
    for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?"):
        dtype = type(np.dtype(kind))
        parts.append((dtype, f"numpy.dtypes.{dtype.__name__}"))
    return parts


def _refusal(path: Path, names: str) -> ZoobenchError:
    return ZoobenchError(
        f"{path} names {names}, which is neither a tensor, a plain container nor a dataset class of the published "
        "zoos; it was not loaded, and nothing in it was run"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def load(path: Path) -> Any:
    """Load a file written by ``torch.save``: tensors, plain containers, and ``StandIn`` for known dataset classes.

    Large tensors stay on disk until they are read.

    Raises:
        ZoobenchError: the file is broken, or it names something that is not on the list.
    """
    allowed: list[Any] = [*_numpy_parts(), *((_path, name) for name in _PATHS)]
    zipped = zipfile.is_zipfile(path)
    try:
        with torch.serialization.safe_globals(allowed):
            named = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else []
        refused = sorted(name for name in named if not _KNOWN_CLASSES.fullmatch(name))
        if refused:
            raise _refusal(path, ", ".join(refused))
        stand_ins = ((StandIn, name) for name in named)
        with torch.serialization.safe_globals([*allowed, *stand_ins]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except _BROKEN as error:
        if found := _NAMED.search(str(error)):  # files of before torch 1.6 and plain pickles are not listed first
            raise _refusal(path, found[1]) from None
        # The unpickler's own words advise to load the file without it.
        unreadable = isinstance(error, pickle.UnpicklingError)
        reason = "it holds what is no tensor and no plain container" if unreadable else _first_line(error)
        raise ZoobenchError(f"{path} is broken or was not written by torch.save ({reason})") from error
