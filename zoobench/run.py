"""Running a predictor on a zoo: load, fit, predict the test split, write the predictions file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from . import hub, predictor, tasks
from .errors import ZoobenchError
from .examples import examples, learnable
from .hub import ZooSplit
from .manifest import write_atomically
from .perturb import PerturbedZoo, read_perturbed
from .predictions import write_predictions
from .predictor import Examples
from .search import search
from .zoos import Zoo, resolve


@dataclass(frozen=True)
class Selection:
    """How a predictor's parameters are chosen: by so many trials, kept in ``storage`` (see ``search``)."""

    trials: int
    storage: Path | None = None


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
        selection: choose parameters, task by task, from the predictor's own ranges; what was chosen goes to
            ``<out>-chosen.json``.

    Returns:
        the predictions frame, as written.

    Raises:
        ZoobenchError: unknown predictor, parameter, task or zoo; a zoo of other networks; a predictor that misses a
            task or predicts non-numbers.
    """
    chosen = predictor.create(name, parameters)
    sees = bool(getattr(chosen, "uses_hyperparameters", False))
    copies = read_perturbed(perturbed) if perturbed else None
    targets = list(on) or [zoo]
    if copies:
        _check_copies(copies, targets)
    on_step("loading")
    train, validation = (hub.load_split(zoo, split) for split in ("train", "validation"))
    tests = {target.id: _alike(train, hub.load_split(target, "test"), sees) for target in targets}
    learned = _learned(train, list(tests.values()), only, sees)
    seen, judge = (examples(split, learned, sees) for split in (train, validation))
    on_step("fitting")
    fitted = _fit(name, parameters, seen, judge, zoo, out, on_step, selection)
    on_step("predicting")

    def predict(zoo_of: Zoo, ids: np.ndarray, test: Examples) -> pd.DataFrame:
        predicted = pd.concat([part.predict(test).filter(part_tasks) for part_tasks, part in fitted], axis=1)
        _check(name, predicted, seen, len(ids))
        frame = pd.DataFrame({"zoo": zoo_of.id, "example_id": ids})
        if on:
            frame["trained_on"] = zoo.id
        for task in seen.targets.columns:
            values = predicted[task].to_numpy()
            frame[task] = values if task in seen.classes else values.astype(np.float32)
        return frame

    frames = [
        predict(test.zoo, test.labels["example_id"].to_numpy(), examples(test, (), sees)) for test in tests.values()
    ]
    write_predictions(pd.concat(frames), out)
    if copies:
        parts = []
        labels = tests[copies.manifest.zoo].labels.set_index("example_id")
        for copy in copies:
            on_step(copy.name)
            original = ZooSplit(zoo, "test", train.layout, copy.weights, labels.loc[copy.example_ids].reset_index())
            found = predict(resolve(copies.manifest.zoo), copy.example_ids, examples(original, (), sees))
            parts.append(found.assign(perturbation=copy.name))
        write_predictions(pd.concat(parts), out.with_name(f"{out.stem}-perturbed{out.suffix}"))
    return pd.concat(frames)


def _learned(
    train: ZooSplit, tests: Sequence[ZooSplit], only: Sequence[str] | None, from_hyperparameters: bool
) -> list[tasks.Task]:
    for task in only or ():
        tasks.get(task)
    everywhere = [{task.name for task in tasks.known_tasks(test.zoo.spec, test.labels)} for test in tests]
    found = [
        task for task in learnable(train, only, from_hyperparameters) if all(task.name in known for known in everywhere)
    ]
    missing = [task for task in only or () if task not in {one.name for one in found}]
    if missing or not found:
        all_found = learnable(train, None, from_hyperparameters)
        raise ZoobenchError(
            f"task {missing[0]!r} cannot be learned here; {train.zoo.id} has: {', '.join(t.name for t in all_found)}"
            if missing
            else f"{train.zoo.id} has no task that {', '.join(test.zoo.id for test in tests)} have, too"
        )
    return found


def _fit(
    name: str,
    parameters: Mapping[str, str],
    train: Examples,
    validation: Examples,
    zoo: Zoo,
    out: Path,
    on_step: Callable[[str], None],
    selection: Selection | None,
) -> list[tuple[list[str], predictor.Predictor]]:
    """Fitted predictors, each with its tasks: one for all, or one for all tasks that chose the same parameters."""
    if selection is None:
        return [(list(train.targets.columns), predictor.create(name, parameters).fit(train, validation))]
    space = predictor.space(name, parameters, train.layout)
    seed = int(parameters.get("seed", "0"))
    chosen = search(
        lambda drawn: predictor.create(name, parameters, drawn),
        {key: values for key, values in space.items() if key not in parameters},
        train,
        validation,
        selection.trials,
        seed,
        selection.storage,
        identity=f"{name} {sorted(parameters.items())} {zoo.id} {hub.load_labels(zoo, 'train').sha256}",
        on_trial=lambda done: on_step(f"trial {done} of {selection.trials}"),
    )
    record = {
        "baseline": name,
        "zoo": zoo.id,
        "parameters": dict(parameters),
        "trials": selection.trials,
        "chosen": {task: dataclasses.asdict(found) for task, found in chosen.items()},
    }
    write_atomically(out.with_name(f"{out.stem}-chosen.json"), (json.dumps(record, indent=1) + "\n").encode())
    on_step("fitting")
    fitted = []
    for trial in sorted({found.trial for found in chosen.values()}):
        names = [task for task, found in chosen.items() if found.trial == trial]
        part = predictor.create(name, parameters, chosen[names[0]].parameters)
        fitted.append((names, part.fit(train.only(names), validation.only(names))))
    return fitted


def _check_copies(copies: PerturbedZoo, targets: Sequence[Zoo]) -> None:
    zoo = resolve(copies.manifest.zoo)
    if zoo not in targets:
        raise ZoobenchError(f"{copies.folder} holds copies of {zoo.id}, which is not predicted here; name it with --on")
    if hub.load_labels(zoo, "test").sha256 != copies.manifest.labels_sha256:
        raise ZoobenchError(f"{copies.folder} holds copies of another build of {zoo.id}; perturb it again")


def _alike(train: ZooSplit, test: ZooSplit, from_hyperparameters: bool) -> ZooSplit:
    """Networks of the same layout, which vary in the same hyperparameters if those are seen."""
    if test.layout != train.layout:
        raise ZoobenchError(
            f"a predictor trained on {train.zoo.id} ({train.layout.size:,} weights) cannot predict {test.zoo.id} "
            f"({test.layout.size:,} weights); choose a zoo of the same network"
        )
    if from_hyperparameters and set(train.zoo.spec.varies) != set(test.zoo.spec.varies):
        raise ZoobenchError(
            f"{train.zoo.id} and {test.zoo.id} do not vary the same hyperparameters; choose features of weights alone"
        )
    return test


def _check(name: str, predicted: pd.DataFrame, seen: Examples, rows: int) -> None:
    wanted = list(seen.targets.columns)
    missing = [task for task in wanted if task not in predicted.columns]
    if missing or len(predicted) != rows:
        raise ZoobenchError(
            f"baseline {name!r} predicted {len(predicted):,} rows and lacks tasks {missing}; "
            f"expected {rows:,} rows of {', '.join(wanted)}"
        )
    bad = [
        task
        for task in wanted
        if not (
            predicted[task].isin(seen.classes[task])
            if task in seen.classes
            else np.isfinite(predicted[task].to_numpy(dtype=np.float64))
        ).all()
    ]
    if bad:
        raise ZoobenchError(
            f"baseline {name!r} predicted NaN or infinite values, or unknown classes, for {', '.join(bad)}"
        )
