"""Running a predictor on a zoo: load, fit, predict the test split, write the predictions file."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..data import hub
from ..data.hub import Store, ZooSplit
from ..errors import ZoobenchError
from ..files import locked, write_atomically, written_through
from ..scoring import protocols, tasks
from ..scoring.loading import load_rows
from ..scoring.predictions import write_predictions
from ..weightspace.perturb import PerturbedZoo, read_perturbed
from ..zoos import Zoo, resolve
from . import fitted, predictor
from .examples import examples, learnable
from .fitted import Fitted, Part
from .predictor import Examples
from .search import search


@dataclass(frozen=True)
class Selection:
    """How a predictor's parameters are chosen: by so many trials, kept in ``storage`` (see ``search``)."""

    trials: int
    storage: Path | None = None
    engine: str = "local"
    workers: int | None = None


def run(
    name: str,
    zoo: Zoo,
    parameters: Mapping[str, str],
    out: Path,
    on_step: Callable[[str], None] = lambda step: None,
    on: Sequence[Zoo] = (),
    perturbed: Path | None = None,
    only: Sequence[str] | None = None,
    selection: Selection | None = None,
    keep: Path | None = None,
    protocol: str | None = None,
) -> pd.DataFrame:
    """Fit a predictor on a zoo and write its predictions of test splits.

    Args:
        name: entry-point name of the predictor.
        zoo: trained on.
        parameters: command-line texts for the predictor's ``__init__``.
        out: parquet file to write.
        on_step: told what is being done, for a progress display.
        on: whose test splits to predict, of the same network; default ``zoo``. Of several, the tasks that all have.
        perturbed: a folder of perturbed copies of one of those splits (see ``perturb``); their predictions go to
            ``<out>-perturbed.parquet``.
        only: names of the tasks to learn; default all that make sense.
        selection: choose parameters, task by task, from the predictor's own ranges; what was chosen, and all
            trials, go to ``<out>-chosen.json``.
        keep: a folder to save the fitted predictor in (see ``fitted``).
        protocol: learn from the train rows that go with a protocol, select by its validation rows, and predict its test
            rows, as of ``nfn``, whose splits are its own, and of ``folds``, fold by fold; ``None`` for all rows of the
            zoo's splits.

    Returns:
        the predictions frame, as written.

    Raises:
        ZoobenchError: unknown predictor, parameter, task, protocol or zoo; a zoo of other networks; a predictor that
            misses a task, predicts non-numbers, or cannot be saved.
    """
    chosen = predictor.create(name, parameters)
    sees = fitted.uses_hyperparameters(chosen)
    if keep:
        fitted.check_savable(name, chosen, keep)
    folds = _folds(protocol, zoo, on, keep)
    if protocol and perturbed:
        raise ZoobenchError("--perturbed has copies of the test split; leave out --protocol")
    copies = read_perturbed(perturbed) if perturbed else None
    targets, store = list(on) or [zoo], Store()
    if copies:
        _check_copies(copies, targets, store)
    with _only_writer(out):
        frames: list[pd.DataFrame] = []
        records: list[dict[str, Any]] = []
        for fold in folds:
            say = on_step if fold is None else functools.partial(_say_fold, on_step, fold, len(folds))
            say("loading")
            train, validation = (load_rows(zoo, split, protocol, store, fold=fold) for split in ("train", "validation"))
            tests = {target.id: load_rows(target, "test", protocol, store, fold=fold) for target in targets}
            _check_rows(train, validation, *tests.values())
            for test in tests.values():
                fitted.check_alike(zoo, train.layout, test, sees)
            learned = _learned(train, list(tests.values()), only, sees, varying=protocol is not None)
            seen, judge = (examples(split, learned, sees) for split in (train, validation))
            say("fitting")
            rows = _rows_named(zoo, protocol, fold, store)
            with _explained(f"baseline {name!r} cannot learn from {zoo.id}"):
                parts, record = _fit(name, parameters, seen, judge, rows, say, selection)
            records.append(record)
            columns = tuple(seen.targets.columns)
            found = Fitted(name, parameters, zoo, train.layout, columns, seen.classes, tuple(parts), protocol)
            say("predicting")
            with _explained(f"baseline {name!r} cannot predict"):
                frames += [found.predict(test, bool(on)) for test in tests.values()]
        if selection:
            _write_chosen(out, name, zoo, parameters, protocol, records)
        # Of folds, the tasks that all of them have.
        predicted = pd.concat(frames, join="inner")
        write_predictions(predicted, out, protocol)
        if copies:
            changed = _of_copies(found, copies, tests[copies.manifest.zoo], bool(on), on_step)
            write_predictions(changed, out.with_name(f"{out.stem}-perturbed{out.suffix}"))
        if keep:
            on_step("saving")
            fitted.save(found, keep, store)
        return predicted


def _of_copies(
    found: Fitted, copies: PerturbedZoo, original: ZooSplit, say_trained_on: bool, on_step: Callable[[str], None]
) -> pd.DataFrame:
    """Predictions of perturbed copies of a split."""
    changed = []
    labels = original.labels.set_index("example_id")
    for copy in copies:
        on_step(copy.name)
        networks = replace(original, weights=copy.weights, labels=labels.loc[copy.example_ids].reset_index())
        changed.append(found.predict(networks, say_trained_on).assign(perturbation=copy.name))
    return pd.concat(changed)


@contextlib.contextmanager
def _only_writer(out: Path) -> Iterator[None]:
    """Of a predictions file, and of what lies beside it.

    Raises:
        ZoobenchError: another process writes it, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            if not written_through(out):
                stack.enter_context(locked(out, wait=False))
        except OSError as error:
            raise ZoobenchError(f"cannot write {out}: {error.strerror or error}") from error
        yield


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    """What a method's libraries cannot do with these rows and parameters is one line."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, LookupError, MemoryError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ZoobenchError(f"{doing}: {reason}; other parameters, or a zoo with more runs, may do") from error


def _check_rows(*splits: ZooSplit) -> None:
    for split in splits:
        if split.labels.empty:
            raise ZoobenchError(
                f"{split.zoo.id} has no row in its {split.split} split; build or import one with more runs"
            )


def _learned(
    train: ZooSplit, tests: Sequence[ZooSplit], only: Sequence[str] | None, from_hyperparameters: bool, varying: bool
) -> list[tasks.Task]:
    for task in only or ():
        tasks.get(task)
    everywhere = [{task.name for task in tasks.known_tasks(test.zoo.spec, test.labels)} for test in tests]
    candidates = learnable(train, only, from_hyperparameters, varying)
    found = [task for task in candidates if all(task.name in known for known in everywhere)]
    missing = [task for task in only or () if task not in {one.name for one in found}]
    if missing or not found:
        all_found = learnable(train, None, from_hyperparameters, varying)
        raise ZoobenchError(
            f"task {missing[0]!r} cannot be learned here; {train.zoo.id} has: {', '.join(t.name for t in all_found)}"
            if missing
            else f"{train.zoo.id} has no task that {', '.join(test.zoo.id for test in tests)} have, too"
        )
    return found


def _folds(protocol: str | None, zoo: Zoo, on: Sequence[Zoo], keep: Path | None) -> Sequence[int | None]:
    """The folds that predictors are made for; one that is none where the protocol has no folds."""
    found = protocols.get(protocol).folds if protocol else ()
    if not found:
        return (None,)
    protocols.rows_of(str(protocol), zoo)
    if keep or on:
        raise ZoobenchError(
            f"protocol {protocol!r} makes {len(found)} predictors, each for a part of {zoo.id}; "
            f"leave out {'--save' if keep else '--on'}"
        )
    return range(len(found))


def _say_fold(on_step: Callable[[str], None], fold: int, folds: int, step: str) -> None:
    on_step(f"fold {fold + 1} of {folds}: {step}")


def _rows_named(zoo: Zoo, protocol: str | None, fold: int | None, store: Store) -> str:
    """The rows that are learned from, in words and a hash that stay."""
    words = [zoo.id, hub.load_labels(zoo, "train", store).sha256, protocol, None if fold is None else f"fold {fold}"]
    return " ".join(word for word in words if word)


def _fit(
    name: str,
    parameters: Mapping[str, str],
    train: Examples,
    validation: Examples,
    rows: str,
    on_step: Callable[[str], None],
    selection: Selection | None,
) -> tuple[list[Part], dict[str, Any]]:
    """Fitted predictors, each with its tasks: one for all, or one for all tasks that chose the same parameters; and
    what was tried and chosen."""
    if selection is None:
        made = predictor.create(name, parameters).fit(train, validation)
        return [Part(made, tuple(train.targets.columns), {})], {}
    space = predictor.space(name, parameters, train.layout)
    seed = int(parameters.get("seed", "0"))
    found = search(
        functools.partial(predictor.create, name, parameters),
        {key: values for key, values in space.items() if key not in parameters},
        train,
        validation,
        selection.trials,
        seed,
        selection.storage,
        identity=f"{name} {sorted(parameters.items())} {rows}",
        on_trial=lambda done: on_step(f"trial {done} of {selection.trials}"),
        engine=selection.engine,
        workers=selection.workers,
    )
    chosen = found.chosen
    record = {
        "chosen": {task: dataclasses.asdict(best) for task, best in chosen.items()},
        "trials": [
            {
                "parameters": dict(trial.parameters),
                "scores": {task: score if math.isfinite(score) else None for task, score in trial.scores.items()},
            }
            for trial in found.trials
        ],
    }
    on_step("fitting")
    parts = []
    for trial in sorted({best.trial for best in chosen.values()}):
        names = [task for task, best in chosen.items() if best.trial == trial]
        made = predictor.create(name, parameters, chosen[names[0]].parameters)
        made = made.fit(train.only(names), validation.only(names))
        parts.append(Part(made, tuple(names), chosen[names[0]].parameters))
    return parts, record


def _write_chosen(
    out: Path,
    name: str,
    zoo: Zoo,
    parameters: Mapping[str, str],
    protocol: str | None,
    records: Sequence[Mapping[str, Any]],
) -> None:
    """What was tried and chosen; of several folds, a list under ``folds``."""
    record = {
        "baseline": name,
        "zoo": zoo.id,
        **({"protocol": protocol} if protocol else {}),
        "parameters": dict(parameters),
        **(records[0] if len(records) == 1 else {"folds": list(records)}),
    }
    path = out.with_name(f"{out.stem}-chosen.json")
    try:
        write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    except OSError as error:
        raise ZoobenchError(f"cannot write {path}: {error.strerror or error}") from error


def _check_copies(copies: PerturbedZoo, targets: Sequence[Zoo], store: Store) -> None:
    zoo = resolve(copies.manifest.zoo)
    if zoo not in targets:
        raise ZoobenchError(f"{copies.folder} holds copies of {zoo.id}, which is not predicted here; name it with --on")
    if hub.load_labels(zoo, "test", store).sha256 != copies.manifest.labels_sha256:
        raise ZoobenchError(f"{copies.folder} holds copies of another build of {zoo.id}; perturb it again")
