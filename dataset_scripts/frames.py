"""pandas objects of a pickle as plain columns, read from their stand-ins without pandas.

A frame becomes a dict of arrays, a series or an index an array. The forms are those of pandas 0.25 to 3: blocks with
the positions of their columns, values that are NumPy arrays, Arrow strings or categories.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import pickles
from .pickles import StandIn

_OLD_STATE = "0.14.1"  # pandas' own name for the dict that managers pickled up to pandas 1.2 and series still do
_COLUMNS = 100_000  # more than any frame of a zoo has; a range in a file may name any number


def plain(value: StandIn) -> Any:
    """The columns of a frame by name, the values of a series, an index or an array; anything else as it is.

    Raises:
        ValueError, TypeError, LookupError: parts of an object are missing.
    """
    kind = value.name.rpartition(".")[2]
    if kind == "DataFrame":
        return _frame(_manager(value))
    if kind == "Series":
        return next(_blocks(_manager(value)))[0]
    if kind == "_new_Index":
        return _index(value.arguments[1])
    if kind == "_restore_array":
        return _arrow(value.arguments[0])
    if kind == "chunked_array":
        return np.concatenate([pickles.plain(part) for part in value.arguments[0]])
    if kind == "__pyx_unpickle_NDArrayBacked":
        return _backed(value)
    if "_pa_array" in value.attributes:
        return pickles.plain(value.attributes["_pa_array"])
    if "_ndarray" in value.attributes:
        return pickles.plain(value.attributes["_ndarray"])
    return value


def _manager(value: StandIn) -> StandIn:
    attributes = value.attributes
    found = attributes.get("_mgr", attributes.get("_data"))
    if not isinstance(found, StandIn):
        raise ValueError(f"a {value.name} without its blocks")
    return found


def _index(data: dict[str, Any]) -> np.ndarray:
    if "data" in data:
        return np.asarray(pickles.plain(data["data"]))
    return np.array(_few(range(int(data["start"]), int(data["stop"]), int(data["step"]))))


def _blocks(manager: StandIn) -> Iterator[tuple[Any, np.ndarray]]:
    """(values, positions of its columns) of every block."""
    state = manager.state
    if isinstance(state, tuple) and len(state) == 4 and _OLD_STATE in state[3]:
        for block in state[3][_OLD_STATE]["blocks"]:
            yield pickles.plain(block["values"]), _positions(block["mgr_locs"])
        return
    for block in manager.arguments[0]:
        values, positions, *_ = block.arguments
        yield pickles.plain(values), _positions(positions)


def _axes(manager: StandIn) -> list[Any]:
    state = manager.state
    if isinstance(state, tuple) and len(state) == 4 and _OLD_STATE in state[3]:
        return list(state[3][_OLD_STATE]["axes"])
    return list(manager.arguments[1])


def _positions(places: Any) -> np.ndarray:
    if isinstance(places, StandIn) and places.name == "builtins.slice":
        start, stop, step = places.arguments
        return np.array(_few(range(int(start), int(stop), int(step or 1))))
    return np.asarray(pickles.plain(places))


def _few(places: range) -> range:
    if len(places) > _COLUMNS:
        raise ValueError(f"{len(places):,} columns")
    return places


def _frame(manager: StandIn) -> dict[str, np.ndarray]:
    names = [str(name) for name in pickles.plain(_axes(manager)[0])]
    columns: dict[int, np.ndarray] = {}
    for values, positions in _blocks(manager):
        block = np.asarray(values)
        rows = block if block.ndim == 2 else block[None]
        columns |= dict(zip(positions.tolist(), rows, strict=True))
    return {name: columns[position] for position, name in enumerate(names)}


def _arrow(parts: tuple[Any, ...]) -> np.ndarray:
    """Arrow's strings: validity bits, offsets and bytes."""
    made, length, _, offset, buffers, *_ = parts
    kind = str(made.arguments[0])
    if kind not in ("string", "large_string"):
        raise ValueError(f"an Arrow array of {kind}")
    valid, offsets, content = (None if part is None else bytes(part.arguments[0]) for part in buffers)
    ends = np.frombuffer(offsets or b"", np.int64 if kind == "large_string" else np.int32)
    if not 0 <= offset <= offset + length < max(len(ends), 1):
        raise ValueError("an Arrow array that is longer than its offsets")
    bits = None if valid is None else np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    values = np.empty(length, object)
    for row in range(length):
        start, stop = ends[offset + row], ends[offset + row + 1]
        known = bits is None or bits[offset + row]
        values[row] = (content or b"")[start:stop].decode() if known else None
    return values


def _backed(value: StandIn) -> np.ndarray:
    """A categorical: codes into its categories; other arrays of the kind are what they back."""
    state = value.state if isinstance(value.state, tuple) else ()
    arrays = [np.asarray(pickles.plain(part)) for part in state if _is_array(part)]
    dtypes = [part for part in state if isinstance(part, StandIn) and part.name.endswith("CategoricalDtype")]
    if len(arrays) != 1:
        raise ValueError("an array without its values")
    if not dtypes:
        return arrays[0]
    categories = np.asarray(pickles.plain(dtypes[0].attributes["categories"]), object)
    return np.append(categories, np.array([None], object))[arrays[0]]


def _is_array(part: Any) -> bool:
    return (
        isinstance(part, StandIn)
        and part.name.startswith("numpy.")
        and part.name.endswith(("_reconstruct", "_frombuffer"))
    )


pickles.LIBRARIES.update(pandas=plain, pyarrow=plain)
