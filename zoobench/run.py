"""Running a predictor on a zoo: load, fit, predict the test split, write the predictions file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from . import hub, predictor, tasks
from .errors import ZoobenchError
from .hub import ZooSplit
from .metrics import REGRESSION
from .perturb import PerturbedZoo, read_perturbed
from .predictions import write_predictions
from .zoos import Zoo, resolve


def examples(split: ZooSplit, with_targets: bool) -> predictor.Examples:
    """What a predictor may see of a split; test targets never leave this function.

    An imported zoo may lack a column that its spec varies: that task is left out, and so is classification, which no
    baseline knows yet.
    """
    known = tasks.known_tasks(split.zoo.spec, split.labels) if with_targets else []
    sensible = [task for task in known if task.kind == REGRESSION]
    return predictor.Examples(
        weights=split.weights,
        layout=split.layout,
        runs=split.labels["run_id"].to_numpy(),
        targets=pd.DataFrame({task.name: task.target(split.labels) for task in sensible}, index=split.labels.index),
        bounds={task.name: task.bounds for task in sensible if task.bounds},
    )


def run(
    name: str,
    zoo: Zoo,
    parameters: Mapping[str, str],
    out: Path,
    on_step: Callable[[str], None] = lambda step: None,
    on: Sequence[Zoo] = (),
    perturbed: Path | None = None,
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

    Returns:
        the predictions frame, as written.

    Raises:
        ZoobenchError: unknown predictor, parameter or zoo; a zoo of other networks; a predictor that misses a task or
            predicts non-numbers.
    """
    chosen = predictor.create(name, parameters)
    copies = read_perturbed(perturbed) if perturbed else None
    targets = list(on) or [zoo]
    if copies:
        _check_copies(copies, targets)
    on_step("loading")
    train, validation = (hub.load_split(zoo, split) for split in ("train", "validation"))
    tests = [_same_network(train, hub.load_split(target, "test")) for target in targets]
    on_step("fitting")
    seen = examples(train, with_targets=True)
    fitted = chosen.fit(seen, examples(validation, with_targets=True))
    on_step("predicting")
    everywhere = [{task.name for task in tasks.known_tasks(test.zoo.spec, test.labels)} for test in tests]
    names = [task for task in seen.targets.columns if all(task in known for known in everywhere)]

    def predict(zoo_of: Zoo, ids: np.ndarray, test: predictor.Examples) -> pd.DataFrame:
        predicted = fitted.predict(test)
        _check(name, predicted, names, len(ids))
        frame = pd.DataFrame({"zoo": zoo_of.id, "example_id": ids})
        if on:
            frame["trained_on"] = zoo.id
        return frame.assign(**{task: predicted[task].to_numpy(dtype=np.float32) for task in names})

    frame = pd.concat(
        [predict(t.zoo, t.labels["example_id"].to_numpy(), examples(t, with_targets=False)) for t in tests]
    )
    write_predictions(frame, out)
    if copies:
        parts = []
        for copy in copies:
            on_step(copy.name)
            runs = np.array([example.rpartition("/")[0] for example in copy.example_ids])
            rows = predictor.Examples(copy.weights, train.layout, runs, pd.DataFrame(index=range(len(runs))), {})
            parts.append(predict(resolve(copies.manifest.zoo), copy.example_ids, rows).assign(perturbation=copy.name))
        write_predictions(pd.concat(parts), out.with_name(f"{out.stem}-perturbed{out.suffix}"))
    return frame


def _check_copies(copies: PerturbedZoo, targets: Sequence[Zoo]) -> None:
    zoo = resolve(copies.manifest.zoo)
    if zoo not in targets:
        raise ZoobenchError(f"{copies.folder} holds copies of {zoo.id}, which is not predicted here; name it with --on")
    if hub.load_labels(zoo, "test").sha256 != copies.manifest.labels_sha256:
        raise ZoobenchError(f"{copies.folder} holds copies of another build of {zoo.id}; perturb it again")


def _same_network(train: ZooSplit, test: ZooSplit) -> ZooSplit:
    if test.layout != train.layout:
        raise ZoobenchError(
            f"a predictor trained on {train.zoo.id} ({train.layout.size:,} weights) cannot predict {test.zoo.id} "
            f"({test.layout.size:,} weights); choose a zoo of the same network"
        )
    return test


def _check(name: str, predicted: pd.DataFrame, wanted: list[str], rows: int) -> None:
    missing = [task for task in wanted if task not in predicted.columns]
    if missing or len(predicted) != rows:
        raise ZoobenchError(
            f"baseline {name!r} predicted {len(predicted):,} rows and lacks tasks {missing}; "
            f"expected {rows:,} rows of {', '.join(wanted)}"
        )
    finite = np.isfinite(predicted[wanted].to_numpy(dtype=np.float64)).all(axis=0)
    if not finite.all():
        bad = [task for task, ok in zip(wanted, finite, strict=True) if not ok]
        raise ZoobenchError(f"baseline {name!r} predicted NaN or infinite values for {', '.join(bad)}")
