"""Fitted predictors: what they predict of a test split, and keeping them in a folder.

A folder holds ``predictor.json`` (which baseline with which parameters learned which tasks of which zoo) and what the
predictor itself writes: it has ``save(folder)``, and ``load(folder)``, which makes an unfitted one with the same
parameters predict what the saved one did. No pickle.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ..data import hub
from ..data.hub import Store, ZooSplit
from ..errors import ZoobenchError
from ..files import write_atomically
from ..scoring.loading import load_rows
from ..scoring.predictions import write_predictions
from ..strict import Strict, first_problem
from ..zoos import Zoo, resolve
from ..zoos.layout import Layout
from . import predictor
from .examples import examples
from .predictor import Predictor

FILE_NAME = "predictor.json"


@dataclass(frozen=True)
class Part:
    """A fitted predictor, and the tasks that are asked of it; ``parameters`` are those that a search chose."""

    predictor: Predictor
    tasks: tuple[str, ...]
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Fitted:
    """What learned the tasks of a zoo: one predictor for all, or several that share them.

    Attributes:
        baseline: entry-point name.
        parameters: command-line texts that it was made with.
        zoo: trained on.
        layout: of the networks.
        tasks: what was learned, in order.
        classes: of the classification tasks.
        parts: who predicts what.
        protocol: whose train rows were learned, if not all of the zoo's train split.
    """

    baseline: str
    parameters: Mapping[str, str]
    zoo: Zoo
    layout: Layout
    tasks: tuple[str, ...]
    classes: Mapping[str, list[str]]
    parts: tuple[Part, ...]
    protocol: str | None = None

    @property
    def uses_hyperparameters(self) -> bool:
        return uses_hyperparameters(self.parts[0].predictor)

    def predict(self, networks: ZooSplit, say_trained_on: bool) -> pd.DataFrame:
        """Predictions of the networks of a split: a frame as in a predictions file.

        Raises:
            ZoobenchError: networks that it cannot see, a task without predictions, or predictions that are no finite
                numbers or no classes.
        """
        check_alike(self.zoo, self.layout, networks, self.uses_hyperparameters)
        seen = examples(networks, (), self.uses_hyperparameters)
        predicted = pd.concat([part.predictor.predict(seen).filter(part.tasks) for part in self.parts], axis=1)
        self._check(predicted, len(seen.weights))
        frame = pd.DataFrame({"zoo": networks.zoo.id, "example_id": networks.labels["example_id"].to_numpy()})
        if say_trained_on:
            frame["trained_on"] = self.zoo.id
        for task in self.tasks:
            values = predicted[task].to_numpy()
            frame[task] = values if task in self.classes else values.astype(np.float32)
        return frame

    def _check(self, predicted: pd.DataFrame, rows: int) -> None:
        missing = [task for task in self.tasks if task not in predicted.columns]
        if missing or len(predicted) != rows:
            raise ZoobenchError(
                f"baseline {self.baseline!r} predicted {len(predicted):,} rows and lacks tasks {missing}; "
                f"expected {rows:,} rows of {', '.join(self.tasks)}"
            )
        bad = [
            task
            for task in self.tasks
            if not (
                predicted[task].isin(self.classes[task])
                if task in self.classes
                else np.isfinite(predicted[task].to_numpy(dtype=np.float64))
            ).all()
        ]
        if bad:
            raise ZoobenchError(
                f"baseline {self.baseline!r} predicted NaN or infinite values, or unknown classes, for {', '.join(bad)}"
            )


def uses_hyperparameters(made: Predictor) -> bool:
    """Whether a predictor sees how each network was trained."""
    return bool(getattr(made, "uses_hyperparameters", False))


def check_alike(zoo: Zoo, layout: Layout, networks: ZooSplit, from_hyperparameters: bool) -> None:
    """Networks must have the layout of those trained on, and vary in the same hyperparameters if those are seen.

    Raises:
        ZoobenchError: they do not.
    """
    if networks.layout != layout:
        raise ZoobenchError(
            f"a predictor trained on {zoo.id} ({layout.size:,} weights) cannot predict {networks.zoo.id} "
            f"({networks.layout.size:,} weights); choose a zoo of the same network"
        )
    if from_hyperparameters and set(zoo.spec.varies) != set(networks.zoo.spec.varies):
        raise ZoobenchError(
            f"{zoo.id} and {networks.zoo.id} do not vary the same hyperparameters; choose features of weights alone"
        )


class _PartRecord(Strict):
    folder: str
    tasks: tuple[str, ...]
    parameters: dict[str, Any]


class _Record(Strict):
    """``predictor.json``."""

    baseline: str
    parameters: dict[str, str]
    zoo: str
    train_labels_sha256: str
    layout: list[dict[str, Any]]
    tasks: tuple[str, ...]
    classes: dict[str, list[str]]
    parts: list[_PartRecord]
    protocol: str | None = None
    versions: dict[str, str]


def check_savable(baseline: str, made: Predictor, folder: Path) -> None:
    """Refuse before the work is done what could not be saved after it.

    Raises:
        ZoobenchError: a predictor that cannot be saved, or a folder that has something else in it.
    """
    if not (hasattr(made, "save") and hasattr(made, "load")):
        raise ZoobenchError(f"baseline {baseline!r} cannot be saved: it has no save and load; leave out --save")
    if folder.exists() and not (folder / FILE_NAME).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ZoobenchError(f"{folder} is there and is no saved predictor; name another folder")


def save(fitted: Fitted, folder: Path, store: Store | None = None) -> None:
    """Write a fitted predictor into a folder, whole or not at all; one that was saved there before is replaced.

    A single part lies in the folder itself, several in folders of their own. ``store`` is where its zoo is found.

    Raises:
        ZoobenchError: see ``check_savable``, or the folder cannot be written.
    """
    check_savable(fitted.baseline, fitted.parts[0].predictor, folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            fresh = Path(temporary) / "fresh"
            records = []
            for number, part in enumerate(fitted.parts):
                name = "." if len(fitted.parts) == 1 else str(number)
                (fresh / name).mkdir(parents=True, exist_ok=True)
                part.predictor.save(fresh / name)  # type: ignore[attr-defined]
                records.append(_PartRecord(folder=name, tasks=part.tasks, parameters=dict(part.parameters)))
            record = _Record(
                baseline=fitted.baseline,
                parameters=dict(fitted.parameters),
                zoo=fitted.zoo.id,
                train_labels_sha256=hub.load_labels(fitted.zoo, "train", store).sha256,
                layout=fitted.layout.to_json(),
                tasks=fitted.tasks,
                classes=dict(fitted.classes),
                parts=records,
                protocol=fitted.protocol,
                versions={"zoobench": importlib.metadata.version("zoobench")},
            )
            write_atomically(
                fresh / FILE_NAME, (record.model_dump_json(indent=1, exclude_defaults=True) + "\n").encode()
            )
            if folder.exists():
                folder.rename(Path(temporary) / "old")
            fresh.rename(folder)
    except (OSError, shutil.Error) as error:
        raise ZoobenchError(f"cannot save the predictor to {folder}: {error}") from error


def load(folder: Path) -> Fitted:
    """Read a predictor that ``save`` wrote.

    Raises:
        ZoobenchError: no such predictor, its baseline is not installed, or its files cannot be read.
    """
    try:
        record = _Record.model_validate_json((folder / FILE_NAME).read_bytes())
    except OSError as error:
        raise ZoobenchError(f"no predictor in {folder}: zoobench run NAME --save {folder} saves one") from error
    except ValidationError as error:
        raise ZoobenchError(f"{folder / FILE_NAME} is not a predictor's record: {first_problem(error)}") from error
    parts = []
    for part in record.parts:
        made = predictor.create(record.baseline, record.parameters, part.parameters)
        try:
            made.load(folder / part.folder)  # type: ignore[attr-defined]
        except ZoobenchError:
            raise
        except Exception as error:  # whatever the libraries make of files that are missing or broken
            raise ZoobenchError(
                f"cannot load the predictor in {folder}: {str(error).splitlines()[0]}; save it again"
            ) from error
        parts.append(Part(made, part.tasks, part.parameters))
    return Fitted(
        record.baseline,
        record.parameters,
        resolve(record.zoo),
        Layout.from_json(record.layout),
        record.tasks,
        record.classes,
        tuple(parts),
        record.protocol,
    )


def predict(folder: Path, zoos: Sequence[Zoo], out: Path) -> pd.DataFrame:
    """Predict the test splits of zoos by a saved predictor; default the zoo that it was trained on.

    One that learned the train rows of a protocol predicts that protocol's test rows.

    Returns:
        the predictions frame, as written.

    Raises:
        ZoobenchError: see ``load`` and ``Fitted.predict``, or ``out`` cannot be written.
    """
    fitted, store = load(folder), Store()
    tests = [load_rows(zoo, "test", fitted.protocol, store) for zoo in zoos or [fitted.zoo]]
    frames = [fitted.predict(networks, bool(zoos)) for networks in tests]
    write_predictions(pd.concat(frames), out, fitted.protocol)
    return pd.concat(frames)
