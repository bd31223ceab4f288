"""What must hold of a release before its rows are written: values in their ranges, labels that are the zoo's, networks
that come once, runs in every split. Each check is one line that names the rows and the way out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..data.schema import LARGEST, RANGES
from ..errors import ZoobenchError, did_you_mean
from ..training.activations import ACTIVATIONS
from ..zoos import Zoo
from ..zoos.spec import Hyperparameters
from ..zoos.splits import SPLITS, split_of

HYPERPARAMETERS = tuple(entry.name for entry in dataclasses.fields(Hyperparameters))
# Accuracies that were computed in float32 may lie this far outside.
_ROUNDING = 1e-6
_LOSSES = {"train_loss", "test_loss"}
_TEXTS = ("run_id", "activation", "init", "optimizer")


def in_range(labels: pd.DataFrame) -> pd.DataFrame:
    """The labels with accuracies clipped by no more than rounding and losses that are not finite left out.

    Raises:
        ZoobenchError: a value outside its range.
    """
    labels = labels.reset_index(drop=True)
    if labels["run_id"].isna().any():
        raise ZoobenchError(f"checkpoint {int(labels['run_id'].isna().argmax()):,} has no run")
    for name in _TEXTS:
        if name in labels:
            _check_texts(name, labels[name])
    for name in [*RANGES, *_LOSSES]:
        if name in labels:
            labels[name] = _numbers(name, labels[name])
    for name, (low, high) in RANGES.items():
        if name not in labels:
            continue
        values = labels[name].to_numpy(dtype=np.float64)
        wrong = np.flatnonzero((values < low - _ROUNDING) | (values > high + _ROUNDING))
        if len(wrong):
            raise ZoobenchError(
                f"{name} of checkpoint {wrong[0]:,} (run {labels['run_id'][wrong[0]]}) is {values[wrong[0]]:g}, "
                f"out of [{low:g}, {high:g}]; {len(wrong):,} of {len(labels):,} are"
            )
        if high == 1:
            labels[name] = values.clip(low, high)
    for name in LARGEST:
        if name in labels:
            labels[name] = _whole(name, labels)
    for name in _LOSSES & set(labels):
        labels[name] = labels[name].where(np.isfinite(labels[name]))
    return labels


def _numbers(name: str, values: pd.Series) -> pd.Series:
    try:
        numbers = pd.to_numeric(values)
        return numbers if numbers.dtype.kind in "iu" else numbers.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        pass
    wrong = next(position for position, value in enumerate(values) if not _is_number(value))
    raise ZoobenchError(f"{name} of checkpoint {wrong:,} is {str(values[wrong])[:40]!r}, which is no number")


def _is_number(value: Any) -> bool:
    try:
        return value is None or isinstance(float(value), float)
    except (ValueError, TypeError, OverflowError):
        return False


def _whole(name: str, labels: pd.DataFrame) -> pd.Series:
    """Whole numbers; only an epoch must be known.

    Raises:
        ZoobenchError: one has a fraction.
    """
    values = labels[name]
    if values.dtype.kind in "iu":
        return values.astype("int64" if name == "epoch" else "Int64")
    wrong = ~(values == values.round()) & (values.notna() | (name == "epoch"))
    if wrong.any():
        first = int(wrong.argmax())
        raise ZoobenchError(f"the {name} of checkpoint {first:,} (run {labels['run_id'][first]}) is {values[first]}")
    return values.astype("int64" if name == "epoch" else "Int64")


def _check_texts(name: str, values: pd.Series) -> None:
    for position, value in enumerate(values):
        if isinstance(value, str):
            if not value.isprintable():
                raise ZoobenchError(f"{name} of checkpoint {position:,} is {value[:40]!r}, which cannot be printed")
        elif not pd.isna(value):
            raise ZoobenchError(f"{name} of checkpoint {position:,} is {str(value)[:40]}, which is no text")


def check_not_twice(labels: pd.DataFrame) -> None:
    again = labels.duplicated(keep=False)
    if again.any():
        first = labels[again].iloc[0]
        rows = labels.index[again & (labels["run_id"] == first["run_id"]) & (labels["epoch"] == first["epoch"])]
        raise ZoobenchError(
            f"checkpoints {' and '.join(f'{row:,}' for row in rows[:2])} are both epoch {first['epoch']} of run "
            f"{first['run_id']}, with the same labels; {int(labels.duplicated().sum()):,} of {len(labels):,} come "
            "twice: remove them, and give each file once"
        )


def check_zoo(zoo: Zoo, labels: pd.DataFrame) -> None:
    """Hyperparameters that a zoo does not vary are constant, and its networks are ones that can be rebuilt.

    Raises:
        ZoobenchError: they are those of another zoo.
    """
    for name in HYPERPARAMETERS:
        found = sorted(labels[name].dropna().unique()) if name in labels else []
        if name not in zoo.spec.varies and len(found) > 1:
            values = ", ".join(map(str, found[:4])) + (", ..." if len(found) > 4 else "")
            raise ZoobenchError(
                f"{name} has {len(found)} values in this release ({values}), but {zoo.id} varies "
                f"{', '.join(zoo.spec.varies) or 'the seed alone'}; say with --zoo which zoo it is"
            )
        for value in found if name == "activation" else ():
            if value not in ACTIVATIONS:
                raise ZoobenchError(
                    f"activation {value!r} of {int((labels[name] == value).sum()):,} checkpoints is none that zoobench "
                    f"has networks for{did_you_mean(value, ACTIVATIONS)}"
                )


def check_no_copies(labels: pd.DataFrame, seen: Sequence[bytes | None]) -> None:
    """No trained checkpoint has the weights and all the labels of another run's: they would lie in two splits.

    Untrained networks may be equal: runs can begin with the same weights.
    """
    rows = labels.drop(columns=["config_id", "fold"]).assign(weights=pd.Series(seen, labels.index, object))
    rows = rows[rows["weights"].notna() & (rows["epoch"] > 0)]
    copies = rows[rows.duplicated([name for name in rows if name != "run_id"], keep=False)]
    if len(copies):
        pair = copies[copies["weights"] == copies["weights"].iloc[0]]["run_id"].tolist()
        raise ZoobenchError(
            f"runs {pair[0]} and {pair[1]} are the same network at epoch {copies['epoch'].iloc[0]}: {len(copies):,} of "
            f"{len(labels):,} checkpoints come more than once, with equal weights and labels; give each file once, and "
            "remove rows that repeat"
        )


def check_splits(zoo: Zoo, seeds: Mapping[str, int | None]) -> None:
    """Refuse runs, given with their seeds, of which none falls into some split."""
    counts = dict.fromkeys(SPLITS, 0)
    for run_id, seed in seeds.items():
        counts[split_of(zoo.spec, run_id, seed)] += 1
    if empty := [split for split, runs in counts.items() if not runs]:
        has = ", ".join(f"{split} {runs}" for split, runs in counts.items())
        raise ZoobenchError(
            f"of {len(seeds):,} runs none falls into {' or '.join(empty)} ({has}): splits of {zoo.id} are by a hash "
            f"of the {zoo.spec.splits.by}, so import more runs; nothing was written"
        )
