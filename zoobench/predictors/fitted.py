"""Fitted predictors: what they predict of a test split, and keeping them in a folder.

A folder holds ``predictor.json`` (which baseline with which parameters learned which tasks of which zoo) and what the
predictor itself writes: it has ``save(folder)``, and ``load(folder)``, which makes an unfitted one with the same
parameters predict what the saved one did. No pickle.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..data import hub
from ..data.hub import Store, ZooSplit
from ..errors import ZoobenchError
from ..files import beside, locked, write_atomically
from ..scoring.loading import load_rows
from ..scoring.predictions import write_predictions
from ..zoos import Zoo, resolve
from ..zoos.layout import Layout
from . import predictor
from .examples import examples
from .predictor import Predictor
from .record import FILE_NAME, PartRecord, Record, TensorRecord, check_files, folder_of, hashes, others_in, read_record


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
            frame[task] = values if task in self.classes else _single(values)
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
                else np.isfinite(_single(predicted[task]))
            ).all()
        ]
        if bad:
            raise ZoobenchError(
                f"baseline {self.baseline!r} predicted NaN or infinite values, or unknown classes, for {', '.join(bad)}"
            )


def _single(values: ArrayLike) -> np.ndarray:
    """As they are written; what is beyond single precision is infinite, and what is no number NaN."""
    with np.errstate(over="ignore"):
        found: np.ndarray = np.asarray(pd.to_numeric(np.asarray(values), errors="coerce"), dtype=np.float32)
    return found


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


def check_savable(baseline: str, made: Predictor, folder: Path) -> None:
    """Refuse before the work is done what could not be saved after it.

    Raises:
        ZoobenchError: a predictor that cannot be saved, or a folder that has something else in it.
    """
    if not predictor.can_be_kept(made):
        raise ZoobenchError(f"baseline {baseline!r} cannot be saved: it has no save and load; leave out --save")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / FILE_NAME).is_file():
        raise ZoobenchError(f"{folder} is there and is no saved predictor; name another folder")
    if others := others_in(folder):
        raise ZoobenchError(
            f"{folder} holds {others[0]} beside a saved predictor; name another folder, or move it away"
        )


def save(fitted: Fitted, folder: Path, store: Store | None = None) -> None:
    """Write a fitted predictor into a folder, whole or not at all; one that was saved there before is replaced.

    A single part lies in the folder itself, several in folders of their own. ``store`` is where its zoo is found.

    Raises:
        ZoobenchError: see ``check_savable``, or the folder cannot be written.
    """
    folder = folder.resolve()
    try:
        with locked(folder), beside(folder) as temporary:
            check_savable(fitted.baseline, fitted.parts[0].predictor, folder)
            fresh = temporary / "fresh"
            records = []
            for number, part in enumerate(fitted.parts):
                name = folder_of(number, len(fitted.parts))
                (fresh / name).mkdir(parents=True, exist_ok=True)
                part.predictor.save(fresh / name)  # type: ignore[attr-defined]
                records.append(PartRecord(folder=name, tasks=part.tasks, parameters=dict(part.parameters)))
            record = Record(
                baseline=fitted.baseline,
                parameters=dict(fitted.parameters),
                zoo=fitted.zoo.id,
                train_labels_sha256=hub.load_labels(fitted.zoo, "train", store).sha256,
                layout=[TensorRecord(**tensor) for tensor in fitted.layout.to_json()],
                tasks=fitted.tasks,
                classes=dict(fitted.classes),
                parts=records,
                protocol=fitted.protocol,
                files=hashes(fresh),
                versions={"zoobench": importlib.metadata.version("zoobench")},
            )
            content = record.model_dump_json(indent=1, exclude_defaults=True) + "\n"
            write_atomically(fresh / FILE_NAME, content.encode())
            if folder.exists():
                folder.rename(temporary / "old")
            fresh.rename(folder)
    except OSError as error:
        raise ZoobenchError(f"cannot save the predictor to {folder}: {error.strerror or error}") from error


def load(folder: Path) -> Fitted:
    """Read a predictor that ``save`` wrote.

    Raises:
        ZoobenchError: no such predictor, its baseline is not installed, or its files cannot be read.
    """
    record = read_record(folder)
    zoo = resolve(record.zoo)
    predictor.check_kept(record.baseline)
    check_files(folder, record)
    parts = []
    for part in record.parts:
        with _explained(f"cannot load the predictor in {folder}", "save it again"):
            made = predictor.create(record.baseline, record.parameters, part.parameters)
            made.load(folder / part.folder)  # type: ignore[attr-defined]
        parts.append(Part(made, part.tasks, part.parameters))
    return Fitted(
        record.baseline,
        record.parameters,
        zoo,
        record.networks(),
        record.tasks,
        record.classes,
        tuple(parts),
        record.protocol,
    )


@contextlib.contextmanager
def _explained(what: str, way_out: str) -> Iterator[None]:
    """Whatever the libraries make of files that are broken is one line."""
    try:
        yield
    except ZoobenchError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ZoobenchError(f"{what}: {reason}; {way_out}") from error


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
    with _explained(f"the predictor in {folder} cannot predict", "save it again"):
        frames = [fitted.predict(networks, bool(zoos)) for networks in tests]
    write_predictions(pd.concat(frames), out, fitted.protocol)
    return pd.concat(frames)
