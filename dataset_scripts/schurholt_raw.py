"""Raw checkpoints of Schürholt et al.: a folder per run, as Ray Tune leaves it.

``NN_*/checkpoint_*/checkpoints`` is a state dict, ``params.json`` the hyperparameters, ``result.json`` a line per
epoch. What is whole is kept, also of a run that was killed or resumed; what is left out is said in the notes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoobench.data.manifest import DroppedRun, ReleaseEntry, original_folder
from zoobench.errors import ZoobenchError
from zoobench.publishing.releases import Release
from zoobench.zoos import Zoo
from zoobench.zoos.layout import Layout, layout_of

from . import pickles, torch_files
from .schurholt_columns import NAMES, RUNNING, columns, known, shared_notes

_CHECKPOINT = re.compile(r"checkpoint_(\d{1,9})")
_LARGEST_TEXT = 1 << 28
_SHOWN = 5


def read(folder: Path, zoo: Zoo) -> Release:
    """Read the labels of all runs; checkpoint files are read when their rows are written.

    Raises:
        ZoobenchError: no run, or none with a checkpoint and a result.
    """
    runs = sorted(path for path in folder.glob("NN_*") if path.is_dir())
    if not runs:
        raise ZoobenchError(f"no NN_* folder in {folder}; a raw zoo has one per run")
    layout = layout_of(zoo.spec.network)
    frames: list[pd.DataFrame] = []
    files: list[Path] = []
    dropped: list[DroppedRun] = []
    left_out: Counter[str] = Counter()
    for run in runs:
        try:
            results, missing = _results(run)
            checkpoints = _checkpoints(run)
        except (OSError, ValueError, RecursionError, ZoobenchError) as error:
            reason = f"cannot be read: {str(error).splitlines()[0]}"
            dropped.append(DroppedRun(run_id=run.name, epoch=0, reason=reason))
            continue
        kept = results[results["epoch"].isin(list(checkpoints))].copy()
        missing["checkpoints without a line in result.json"] = len(checkpoints) - len(kept)
        if kept.empty:
            dropped.append(DroppedRun(run_id=run.name, epoch=0, reason="no checkpoint with a result"))
            continue
        left_out += missing
        kept["run_id"] = run.name
        frames.append(kept)
        files += [checkpoints[int(epoch)] for epoch in kept["epoch"]]
    if not frames:
        why = f" ({dropped[0].run_id}: {dropped[0].reason})" if dropped else ""
        raise ZoobenchError(f"no run in {folder} has a checkpoint with a line in its result.json{why}")
    labels = pd.concat(frames, ignore_index=True)

    def fetch(rows: np.ndarray) -> np.ndarray:
        return np.stack([_vector(files[row], layout, zoo) for row in rows])

    fetch(np.arange(1))  # of another network: said before all labels are looked at
    notes = [
        "`run_id` is the run's folder. A checkpoint that cannot be read counts as weights that are not finite.",
        *([RUNNING] if "train_accuracy" in labels else []),
        *shared_notes(zoo, labels),
        *(f"Left out: {count:,} {what}." for what, count in left_out.items()),
    ]
    described = [run / name for run in runs for name in ("params.json", "result.json")]
    origin = original_folder(folder, [path for path in (*described, *files) if path.is_file()])
    entry = ReleaseEntry(format="schurholt", files=[origin], rows=len(labels), notes=notes)
    return Release(zoo, entry, known(zoo, labels), fetch, dropped)


def _checkpoints(run: Path) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for path in sorted(run.glob("checkpoint_*/checkpoints")):
        number = _CHECKPOINT.fullmatch(path.parent.name)
        if number is None:
            continue
        epoch = int(number[1])
        if epoch in found:
            raise ValueError(f"{found[epoch].parent.name} and {path.parent.name} are one epoch")
        found[epoch] = path
    return found


def _text(path: Path) -> str:
    if path.stat().st_size > _LARGEST_TEXT:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes")
    return path.read_text(encoding="utf-8")


def _results(run: Path) -> tuple[pd.DataFrame, Counter[str]]:
    """One row per epoch of ``result.json``, with the run's parameters beside it, and what was left out.

    Of an epoch that a resumed run wrote again the last line counts, since its checkpoint is the one that is there.
    """
    missing: Counter[str] = Counter()
    lines = []
    for text in _text(run / "result.json").splitlines():
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict):
            lines.append(line)
        else:
            missing["lines of result.json that are cut off"] += 1
    measured = [line for line in lines if any(name in line for name in NAMES["test_accuracy"])]
    missing["lines of result.json without a test accuracy"] = len(lines) - len(measured)
    if not measured:
        raise ValueError("result.json has no line with a test accuracy" if lines else "result.json has no whole line")
    found = list(dict.fromkeys(name for line in measured for name in line if name != "config"))
    merged = {name: [value] * len(measured) for name, value in _parameters(run, measured[0]).items()}
    merged |= {name: [line.get(name) for line in measured] for name in found}
    for own in NAMES["run_id"]:
        merged.pop(own, None)
    frame = columns(run / "result.json", _told(merged), None)
    last = frame.drop_duplicates("epoch", keep="last")
    missing["lines of result.json that come again after a resume"] = len(frame) - len(last)
    return last, +missing


def _parameters(run: Path, line: Mapping[str, Any]) -> dict[str, Any]:
    """``params.json``; where it is not there, the copy that Ray puts into every result."""
    try:
        parameters = json.loads(_text(run / "params.json"))
    except FileNotFoundError:
        parameters = line.get("config", {})
    return parameters if isinstance(parameters, dict) else {}


def _told(merged: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Only names that are columns of a row: Ray adds many more, of every type."""
    wanted = {name for candidates in NAMES.values() for name in candidates}
    return {name: values for name, values in merged.items() if name in wanted}


def _vector(path: Path, layout: Layout, zoo: Zoo) -> np.ndarray:
    """One checkpoint as a flat vector; NaN where the file is broken, so that its run is dropped."""
    try:
        state = torch_files.load(path)
        return flat(state, layout)
    except ShapeError as error:
        raise ZoobenchError(f"{path} has {error}; the network of {zoo.id} has {_shapes(layout)}") from None
    except (ZoobenchError, *pickles.BROKEN):
        return np.full(layout.size, np.nan, np.float32)


class ShapeError(Exception):
    """Tensors that are not those of the network; says which they are."""


def _shapes(layout: Layout) -> list[tuple[int, ...]]:
    return [tensor.shape for tensor in layout.tensors]


def flat(state: Any, layout: Layout) -> np.ndarray:
    """A state dict as a flat vector float32.

    Raises:
        ShapeError: its tensors are not those of the layout.
        ValueError, TypeError, LookupError: a tensor that is not whole.
    """
    values = [pickles.plain(value) for value in state.values()] if isinstance(state, Mapping) else []
    tensors = [value for value in values if isinstance(value, np.ndarray)]
    shapes = [value.shape for value in tensors]
    if shapes != _shapes(layout):
        raise ShapeError(f"tensors of shapes {shapes}")
    return np.concatenate([value.astype(np.float32).ravel() for value in tensors])
