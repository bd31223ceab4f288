"""What the files of Schürholt et al. call things: from the names and values in them to the columns of a row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoobench.errors import ZoobenchError
from zoobench.zoos import Zoo

from . import names, pickles

# Column of a row: the names that it has in the files, first match wins.
NAMES: Mapping[str, tuple[str, ...]] = {
    "epoch": ("training_iteration", "epochs", "epoch", "step"),
    "test_accuracy": ("test_acc", "acc", "test_accuracy"),
    "train_accuracy": ("train_acc", "training_acc", "train_accuracy"),
    "test_loss": ("test_loss", "validation_loss"),
    "train_loss": ("train_loss", "training_loss"),
    "generalization_gap": ("ggap", "generalization_gap"),
    "activation": ("model::nlin", "nlin", "config.activation", "activation"),
    "init": ("model::init_type", "init_type", "config.w_init", "init_method", "init"),
    "optimizer": ("optim::optimizer", "config.optimizer", "optimizer"),
    "learning_rate": ("optim::lr", "config.learning_rate", "lr", "learning_rate"),
    "weight_decay": ("optim::wd", "config.l2reg", "l2reg", "wd", "weight_decay"),
    "dropout": ("model::dropout", "config.dropout", "dropout"),
    "train_fraction": ("config.train_fraction", "train_fraction"),
    "init_std": ("config.init_std",),
    "batch_size": ("training::batchsize", "batchsize", "batch_size"),
    "seed": ("seed", "config.random_seed"),
    "run_id": ("path", "paths", "modeldir", "trial_id", "experiment_id"),
    **{f"f1_class_{k}": (f"f1_class_{k}", f"f1_{k}", f"test_f1_{k}") for k in range(4)},
}
HYPERPARAMETERS = (
    "activation",
    "init",
    "optimizer",
    "learning_rate",
    "weight_decay",
    "dropout",
    "train_fraction",
    "init_std",
    "batch_size",
)
RUNNING = (
    "`train_accuracy` is the running accuracy inside the epoch, as the original code reports it, not that of the "
    "checkpoint, and so the same as `running_train_accuracy`; `generalization_gap` inherits this."
)
_CANONICAL = {"activation": names.snake, "optimizer": names.snake, "init": names.init}
# The original code writes -999 for what was measured before any training.
_NOT_MEASURED = -900
_TRAINING = ("train_accuracy", "train_loss", "generalization_gap")


def columns(where: Path, properties: Mapping[str, Any], rows: int | None) -> pd.DataFrame:
    """Properties under the names of a row's columns; values are plain numbers and texts.

    Raises:
        ZoobenchError: columns of different lengths, values that are neither number nor text, no epoch or accuracy.
    """
    found: dict[str, list[Any]] = {}
    for column, candidates in NAMES.items():
        name = next((name for name in candidates if name in properties), None)
        if name is None:
            continue
        values = [_scalar(where, name, value) for value in _listed(where, name, properties[name])]
        if rows is not None and len(values) != rows:
            raise ZoobenchError(f"{where}: {len(values):,} values of {name}, but {rows:,} rows of weights")
        found[column] = values
    for needed in ("epoch", "test_accuracy"):
        if needed not in found:
            has = ", ".join(map(str, properties)) or "nothing"
            raise ZoobenchError(f"{where} has none of {', '.join(NAMES[needed])}; it has: {has}")
    frame = pd.DataFrame(found)
    for column, canonical in _CANONICAL.items():
        if column in frame:
            frame[column] = [canonical(value) if isinstance(value, str) else value for value in frame[column]]
    for column in _TRAINING:
        if column in frame:
            numbers = pd.to_numeric(frame[column], errors="coerce")
            frame[column] = frame[column].where(~(numbers <= _NOT_MEASURED), np.nan)
    if "generalization_gap" in frame and "train_accuracy" not in frame:
        parts = ("test_accuracy", "generalization_gap")
        frame["train_accuracy"] = sum(pd.to_numeric(frame[name], errors="coerce") for name in parts)
    return frame.drop(columns="generalization_gap", errors="ignore")


def _listed(where: Path, name: str, values: Any) -> list[Any]:
    values = pickles.plain(values)
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return list(values.tolist())
    if isinstance(values, list | tuple):
        return list(values)
    raise ZoobenchError(f"{where}: {name} is no list of values, one per row")


def _scalar(where: Path, name: str, value: Any) -> Any:
    value = pickles.plain(value)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    raise ZoobenchError(f"{where}: {name} holds a {type(value).__name__}, which is neither a number nor a text")


def known(zoo: Zoo, labels: pd.DataFrame) -> pd.DataFrame:
    """What is known of a zoo beside its files: the paper's activation, where it does not vary, and what their training
    accuracy is."""
    labels = labels.drop(columns="block", errors="ignore")
    if "train_accuracy" in labels and zoo.spec.gap_of == "running_train_accuracy":
        labels["running_train_accuracy"] = labels["train_accuracy"]
    if "activation" not in labels and "activation" not in zoo.spec.varies:
        labels["activation"] = zoo.size.recipe.fixed.activation
    return labels


def shared_notes(zoo: Zoo, labels: pd.DataFrame) -> list[str]:
    absent = [name for name in HYPERPARAMETERS if name not in labels]
    notes = []
    if "activation" in absent and "activation" not in zoo.spec.varies:
        absent.remove("activation")
        notes.append("The activation is not in the files; it is the paper's.")
    if absent:
        notes.append(f"Not in the files, and null: {', '.join(absent)}.")
    return notes
