"""Reading networks of ``transformers`` from a folder of somebody: ``config.json`` and ``model.safetensors``.

Of the configuration the parameters of our own classes count and nothing else, so that it cannot ask for other code or
files; and before there is memory for a network, its tensors must be known to be those of the file. No pickle is read.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import safe_open
from transformers import PreTrainedModel
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_NAME

from zoobench.errors import ZoobenchError, look_up
from zoobench.zoos.layout import Layout

M = TypeVar("M", bound=PreTrainedModel)

_CONFIG_BYTES = 16 << 20
# Weights of one network; the largest of a zoo have 75,146.
_MOST_WEIGHTS = 20_000_000
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# So much is allowed that no tensor has as a side: sizes of parts that a model was made without.
_SMALL = 1000
_DTYPES = {torch.float32: "F32", torch.int64: "I64"}


def read_model(folder: Path, models: Mapping[str, type[M]]) -> M:
    """A model that ``save_pretrained`` wrote, for evaluation.

    Args:
        folder: with its two files.
        models: classes by the name of their kind.

    Raises:
        ZoobenchError: a file is missing, or what it holds is not such a model.
    """
    if not (folder / CONFIG_NAME).exists():
        raise ZoobenchError(f"no model in {folder}: zoobench run comvex --save {folder} (or hyperrep) saves one")
    try:
        _check_files(folder)
        return _read(folder, models)
    except ZoobenchError as error:
        raise ZoobenchError(f"cannot load the model in {folder}: {error}") from error
    except Exception as error:  # whatever the libraries make of files that are broken
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ZoobenchError(f"cannot load the model in {folder}: {reason}; save it again") from error


def _check_files(folder: Path) -> None:
    for name in (CONFIG_NAME, SAFE_WEIGHTS_NAME):
        if (folder / name).is_symlink():
            raise ZoobenchError(f"{name} is a link, which is not followed; copy the file itself")
        if (folder / name).is_file():
            continue
        others = sorted(path.name for path in folder.glob("*") if path.suffix in _PICKLES)
        why = f"{others[0]} may be a pickle, and none is read" if others else "zoobench run --save writes one"
        raise ZoobenchError(f"there is no {name}; {why}")


def _read(folder: Path, models: Mapping[str, type[M]]) -> M:
    size = (folder / CONFIG_NAME).stat().st_size
    if size > _CONFIG_BYTES:
        raise ValueError(f"{CONFIG_NAME} has {size:,} bytes")
    said: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    kind = look_up("kind of model", said["model_type"], models)
    made_by: Any = kind.config_class
    own = set(inspect.signature(made_by).parameters) - {"kwargs"}
    config = made_by(**{name: value for name, value in said.items() if name in own})
    _check_layout(config.layout)
    stored = _stored(folder / SAFE_WEIGHTS_NAME)
    largest = max([_SMALL, len(stored), *(side for shape, _ in stored.values() for side in shape)])
    for name, number in _numbers({name: vars(config)[name] for name in own - {"layout"}}):
        if abs(number) > largest:
            raise ValueError(f"{name} is {number}, but no tensor of {SAFE_WEIGHTS_NAME} has such a side")
    with torch.device("meta"):
        model = kind(config)
    wanted = {name: (tuple(t.shape), _DTYPES.get(t.dtype)) for name, t in model.state_dict().items()}
    if wrong := sorted({name for name, _ in wanted.items() ^ stored.items()}):
        raise ValueError(f"{wrong[0]} of {SAFE_WEIGHTS_NAME} is not as {CONFIG_NAME} says ({len(wrong)} such tensors)")
    tensors = safetensors.torch.load_file(folder / SAFE_WEIGHTS_NAME)
    if broken := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise ValueError(f"{broken[0]} of {SAFE_WEIGHTS_NAME} is not finite")
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def _check_layout(entries: Any) -> None:
    layout = Layout.from_json(entries)
    end = 0
    for tensor in layout.tensors:
        if tensor.offset != end or min(tensor.shape, default=0) < 1:
            raise ValueError(f"its layout has a gap or no size at {tensor.name}")
        end += tensor.size
    if not 0 < end <= _MOST_WEIGHTS:
        raise ValueError(f"its layout has {end:,} weights")


def _stored(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shapes and types of tensors, from the head of the file."""
    with safe_open(path, framework="numpy") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in parts.items()}


def _numbers(values: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The whole numbers of a configuration, by name."""
    match values:
        case bool():
            return
        case int():
            yield name, values
        case dict():
            for key, value in values.items():
                yield from _numbers(value, f"{name}.{key}" if name else str(key))
        case list() | tuple():
            for value in values:
                yield from _numbers(value, name)
        case _:
            return
