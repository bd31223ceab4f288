"""Reading pickles of strangers' classes without running anything that is in them.

A pickle is read into plain containers and ``StandIn`` objects: what a file names is never imported or called, it is
kept as a name with its arguments and its state. ``plain`` then gives the value that a stand-in for an array, a path, a
tensor or a pandas object stands for. Whatever else a file names is refused by its name.
"""

from __future__ import annotations

import codecs
import pickle
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from zoobench.errors import ZoobenchError

# Modules whose classes may be stood in for: the dataset classes of the published zoos.
_DATASETS = re.compile(r"(\w+\.)*checkpoints_to_datasets(\.\w+)+|(\w+\.)*dataset_base(\.\w+)+")
_PATH = re.compile(r"pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path")
_STORAGE = re.compile(r"torch\.(storage\.)?(\w+Storage)")
_NUMPY = re.compile(r"numpy\.(_?core\.)?(multiarray\.(_reconstruct|scalar)|numeric\._frombuffer|ndarray|dtype)")
_PANDAS = re.compile(
    r"pandas\.(core\.\w+(\.\w+)*|arrays)\.\w+|pandas\.(DataFrame|Series|Index|RangeIndex|Categorical\w*|StringDtype)"
    r"|pandas\._libs\.(internals\._unpickle_block|arrays\.__pyx_unpickle_NDArrayBacked)"
    r"|pyarrow\.lib\.(_restore_array|type_for_alias|py_buffer|chunked_array)"
)
_TORCH = frozenset(
    {f"torch._utils._rebuild_{name}" for name in ("tensor", "tensor_v2", "tensor_v3", "parameter")}
    | {"torch._utils._rebuild_parameter_with_state", "torch._tensor._rebuild_from_type_v2"}
    | {"torch.Tensor", "torch.nn.parameter.Parameter", "torch.Size", "torch.device"}
    | {f"torch.{name}" for name in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8")}
    | {"torch.uint8", "torch.bool"}
)
_BUILTINS = frozenset({f"builtins.{name}" for name in ("set", "frozenset", "slice", "bytearray", "range", "complex")})
_DICTS = frozenset({"collections.OrderedDict", "collections.defaultdict", "builtins.dict"})
# As Python 2, and Python 3 in pickles of protocol 2, name them.
_RENAMED = {"__builtin__": "builtins"}
_DTYPE = re.compile(r"([<>=|]?)([fiu][1248]|b1|O8?|[US]\d{0,6}|M8|m8)")
# What reading a file that is cut off or damaged raises.
BROKEN = (
    pickle.UnpicklingError,
    ValueError,
    EOFError,
    LookupError,
    AttributeError,
    TypeError,
    MemoryError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    RecursionError,
)


class Name:
    """A class or function that a file names; calling it is what the file asks for and what never happens."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class StandIn:
    """Takes the place of an object: the name that makes it, with which arguments, and the state it is given."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments = name, arguments
        self.state: Any = None

    @property
    def attributes(self) -> dict[str, Any]:
        """Its state where that is a dict of attributes, as it is for an object of a class."""
        state = self.state[0] if isinstance(self.state, tuple) and len(self.state) == 2 else self.state
        return state if isinstance(state, dict) else {}

    def is_dataset(self) -> bool:
        return bool(_DATASETS.fullmatch(self.name))


class Reader(pickle._Unpickler):
    """The pickle machine without its effects: names become ``Name``, calls ``StandIn``, states are only kept."""

    stack: list[Any]  # the machine's own, as is `append`
    append: Callable[[Any], None]

    def __init__(self, file: BinaryIO, path: Path, storage: Callable[[tuple[Any, ...]], Any] | None = None) -> None:
        super().__init__(file, encoding="utf-8")
        self._path, self._storage = path, storage

    def find_class(self, module: str, name: str) -> Name:
        full = f"{_RENAMED.get(module, module)}.{name}"
        if full in _DICTS or full in _BUILTINS or full in _TORCH or full == "_codecs.encode":
            return Name(full)
        if any(known.fullmatch(full) for known in (_DATASETS, _PATH, _STORAGE, _NUMPY, _PANDAS)):
            return Name(full)
        raise ZoobenchError(
            f"{self._path} names {module}.{name}, which is neither a tensor, a plain container nor a dataset class of "
            "the published zoos; it was not loaded, and nothing in it was run"
        )

    def persistent_load(self, pid: Any) -> Any:
        if self._storage is None or not isinstance(pid, tuple):
            raise pickle.UnpicklingError("a reference to something outside the file")
        return self._storage(pid)

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError(f"extension code {code}")

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.append(_made(klass, args))

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = _made(self.stack[-1], arguments)

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_reduce()

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, StandIn):
            target.state = state
        elif not isinstance(target, dict):  # an OrderedDict may carry attributes, such as a state dict's _metadata
            raise pickle.UnpicklingError("a state for something that has none")

    dispatch: ClassVar[Any] = pickle._Unpickler.dispatch | {
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_reduce,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
    }


def _made(named: Any, arguments: Any) -> Any:
    if not isinstance(named, Name) or not isinstance(arguments, tuple):
        raise pickle.UnpicklingError("a call of something that is no name")
    if named.name in _DICTS:
        return dict(arguments[0]) if arguments and isinstance(arguments[0], list) else {}
    if named.name == "_codecs.encode":
        text, encoding = arguments
        if codecs.lookup(str(encoding)).name != "iso8859-1":
            raise pickle.UnpicklingError(f"bytes encoded as {encoding}")
        return str(text).encode("latin-1")
    if named.name == "builtins.bytearray":
        return bytes(arguments[0]) if arguments and isinstance(arguments[0], bytes | bytearray) else b""
    return StandIn(named.name, arguments)


# Who reads stand-ins for objects of a library: `frames` puts itself here.
LIBRARIES: dict[str, Callable[[StandIn], Any]] = {}


def plain(value: Any) -> Any:
    """What a stand-in is for: an array (also of a tensor or a column), a dict of columns, a path as text.

    Any other object comes back as it is; so does what is inside a container.

    Raises:
        ValueError, TypeError, LookupError: a stand-in that does not hold what its name needs.
    """
    if isinstance(value, Tensor):
        return value.array()
    if not isinstance(value, StandIn):
        return value
    kind = value.name.rpartition(".")[2]
    if _PATH.fullmatch(value.name):
        return posixpath.join("", *(str(plain(part)) for part in value.arguments))
    if kind in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
        return plain(value.arguments[0])
    if kind == "_rebuild_from_type_v2":
        function, _, arguments, _ = value.arguments
        return plain(_made(function, arguments))
    if kind.startswith("_rebuild_tensor"):
        return Tensor(value).array()
    if kind == "Size":
        return tuple(value.arguments[0])
    if kind in ("set", "frozenset"):
        return list(value.arguments[0]) if value.arguments else []
    if _NUMPY.fullmatch(value.name):
        return _NUMPY_PARTS[kind](value) if kind in _NUMPY_PARTS else value
    library = LIBRARIES.get(value.name.partition(".")[0])
    return library(value) if library else value


class Tensor:
    """A tensor of a file: a view of a storage that is read when it is asked for."""

    def __init__(self, made: StandIn) -> None:
        storage, offset, size, stride = made.arguments[:4]
        self._storage, self._offset = storage, int(offset)
        self.shape = tuple(map(int, plain(size)))
        self._stride = tuple(map(int, stride))
        self._dtype = made.arguments[6] if made.name.endswith("_v3") else None

    def array(self) -> np.ndarray:
        """Its values as a NumPy array, without a copy where NumPy has the type.

        Raises:
            ValueError: it does not fit into its storage.
        """
        flat = self._storage.flat(self._dtype.name if isinstance(self._dtype, Name) else None)
        steps = [(side - 1) * step for side, step in zip(self.shape, self._stride, strict=True)]
        empty = 0 in self.shape
        count = 1
        for side in self.shape:
            count *= side
        if min((self._offset, *self.shape, *self._stride)) < 0 or count > flat.size:
            raise ValueError(f"a tensor of shape {self.shape} is larger than its storage of {flat.size:,} values")
        if not empty and self._offset + sum(steps) >= flat.size:
            raise ValueError(f"a tensor of shape {self.shape} lies outside its storage of {flat.size:,} values")
        if empty:
            return np.empty(self.shape, flat.dtype)
        strides = tuple(step * flat.itemsize for step in self._stride)
        view = np.lib.stride_tricks.as_strided(flat[self._offset :], self.shape, strides, writeable=False)
        return _from_bfloat16(view) if self._storage.is_bfloat16(self._dtype) else view


def _from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """uint16 patterns as float32: a bfloat16 is the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _dtype(made: Any) -> np.dtype[Any]:
    """The NumPy type that a file names: numbers, texts and objects, nothing with fields."""
    if isinstance(made, Name):
        return np.dtype(object)
    text = str(made.arguments[0])
    found = _DTYPE.fullmatch(text)
    if not found:
        raise ValueError(f"an array of {text}")
    order, kind = found.groups()
    state = made.state if isinstance(made.state, tuple) else ()
    if not order and len(state) > 1 and state[1] in ("<", ">", "=", "|"):
        order = state[1]
    width = state[5] if kind in ("U", "S", "U0", "S0") and len(state) > 5 else None
    if width and width > 0:
        kind = f"{kind[0]}{width // 4 if kind[0] == 'U' else width}"
    return np.dtype(kind if kind.startswith("O") else f"{order}{kind}")


def _array(made: StandIn) -> np.ndarray:
    """An array from ``_reconstruct`` and its state (version, shape, type, Fortran order, content)."""
    _, shape, dtype, fortran, content = made.state
    kind = _dtype(dtype)
    if kind.hasobject:
        values = np.empty(len(content), object)
        for position, value in enumerate(content):
            values[position] = plain(value)
    else:
        raw = content if isinstance(content, bytes) else str(content).encode("latin-1")
        values = np.frombuffer(raw, kind)
    return values.reshape(shape, order="F" if fortran else "C")


def _from_buffer(made: StandIn) -> np.ndarray:
    content, dtype, shape, order = made.arguments
    return np.frombuffer(bytes(content), _dtype(dtype)).reshape(shape, order="F" if order == "F" else "C")


def _scalar(made: StandIn) -> Any:
    dtype, content = made.arguments
    kind = _dtype(dtype)
    if kind.hasobject:
        return plain(content)
    raw = content if isinstance(content, bytes) else str(content).encode("latin-1")
    return np.frombuffer(raw, kind)[0].item()


_NUMPY_PARTS: dict[str, Callable[[StandIn], Any]] = {
    "_reconstruct": _array,
    "_frombuffer": _from_buffer,
    "scalar": _scalar,
}
