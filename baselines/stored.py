"""Keeping fitted baselines: arrays and a few facts beside them, in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.preprocessing import StandardScaler

FILE_NAME = "fitted.safetensors"


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray], about: Any) -> None:
    """Write arrays, and what JSON can hold of the rest."""
    whole = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    save_file(whole, folder / FILE_NAME, metadata={"about": json.dumps(about)})


def load_arrays(folder: Path) -> tuple[dict[str, np.ndarray], Any]:
    """What ``save_arrays`` wrote."""
    with safe_open(folder / FILE_NAME, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["about"])
    for name, values in arrays.items():
        if values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(f"{name} of {FILE_NAME} has values that are no finite numbers")
    return arrays, about


def scaler_arrays(scaler: StandardScaler) -> dict[str, np.ndarray]:
    """What a fitted scaler needs to transform."""
    return {"scaler.mean": scaler.mean_, "scaler.scale": scaler.scale_}


def scaler_of(arrays: Mapping[str, np.ndarray]) -> StandardScaler:
    """The scaler of ``scaler_arrays``."""
    check_shape("scaler.scale", arrays["scaler.scale"], (arrays["scaler.mean"].size,))
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = arrays["scaler.mean"], arrays["scaler.scale"]
    scaler.n_features_in_ = len(scaler.mean_)
    return scaler


def unscaled(features: int) -> StandardScaler:
    """A scaler that leaves features as they are."""
    return scaler_of({"scaler.mean": np.zeros(features), "scaler.scale": np.ones(features)})


def check_shape(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse an array that has another shape than what is beside it says.

    Raises:
        ValueError: it has.
    """
    if values.shape != shape:
        raise ValueError(f"{name} has the shape {values.shape}, not {shape}")
