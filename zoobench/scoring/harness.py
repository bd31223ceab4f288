"""The harness: predictions in, stamped scores out.

Needs the labels of the test split only (kilobytes), and neither torch nor transformers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from .. import __version__
from ..cores import usable_cores
from ..data import hub
from ..data.hub import Store
from ..errors import ZoobenchError
from ..zoos import Zoo
from . import invariance, metrics, tasks
from .averages import Resampled, averages
from .bootstrap import Bootstrap, Sample
from .classification import confusion as count_confusion
from .joining import Joined, join
from .methods import Method, methods
from .predictions import Source, read_predictions, sources
from .protocols import BY_NAME as PROTOCOLS
from .protocols import named
from .ranks import tau_ceiling
from .results import SCHEMA_VERSION, Collapsed, Confusion, Reference, Result, Score, Stamp, TaskResult, ZooResult
from .scores import rounded, score_of, why_undefined

SPLIT = "test"

# Task name -> metric name -> value and resamples (1 + resamples,).
_Values = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Scored:
    """A result, and what else scoring found on the way.

    Attributes:
        result: the scores.
        resampled: the scores on every resample of the runs, of what is in distribution. Resamples are the same for all
            predictions of a zoo, so that those of two methods may be compared one by one.
        joined: for each of ``result.results``, the predictions (of the first seed) beside their targets.
    """

    result: Result
    resampled: list[Resampled]
    joined: list[Joined]

    def draw(self, folder: Path) -> list[Path]:
        """Write all pictures of the result into a folder.

        Raises:
            ZoobenchError: the folder cannot be written, or something cannot be drawn.
        """
        try:
            from .score_plots import draw_scores
        except ImportError:
            raise
        except Exception as error:
            raise ZoobenchError(f"cannot draw pictures: matplotlib cannot be used ({error})") from error
        return draw_scores(self.result, list(zip(self.result.results, self.joined, strict=True)), folder)


def evaluate(
    predictions: Source | Iterable[Source],
    protocols: str | Sequence[str] | None = ("all",),
    against: Source | None = None,
    pictures: Path | str | None = None,
    homes: Sequence[Path] = (),
    bootstrap: Bootstrap | None = None,
) -> Result:
    """Score predictions on every zoo that they cover.

    >>> result = zoobench.evaluate("preds.parquet", protocols=["all", "final"])
    >>> result.to_frame(), result.to_json()

    Args:
        predictions: parquet or ``.csv`` files, DataFrames, Arrow tables, or a list of them (see ``predictions``). Files
            whose names differ only in the number after "seed" are seeds of one method and are scored together.
        protocols: which checkpoints are scored, one result per zoo and protocol (see ``protocols``); one or several.
        against: predictions of perturbed networks by the same predictors (see ``perturb``).
        pictures: a folder to draw predictions against targets in, and train x test matrices; what cannot be drawn is
            warned about.
        homes: folders to search for labels before ``ZOOBENCH_DATA`` and the Hub.
        bootstrap: how intervals are made.

    Raises:
        ZoobenchError: not a complete, finite set of predictions for known zoos and tasks, two that predict the same
            thing, or a protocol that leaves nothing of a zoo.
    """
    scored = score(predictions, protocols, against, Store(homes), bootstrap)
    if pictures is not None:
        try:
            scored.draw(Path(pictures))
        except (ZoobenchError, ImportError) as error:
            warnings.warn(f"scored, but not drawn: {error}", stacklevel=2)
    return scored.result


def score(
    predictions: Source | Iterable[Source],
    protocols: str | Sequence[str] | None = ("all",),
    against: Source | None = None,
    store: Store | None = None,
    bootstrap: Bootstrap | None = None,
) -> Scored:
    """As ``evaluate``, with all that was found on the way; labels are found in the store."""
    given = sources(predictions)
    files = [read_predictions(source, name=_name(given, k)) for k, source in enumerate(given)]
    found = methods(files)
    perturbed = None if against is None else read_predictions(against, perturbed=True)
    if perturbed:
        invariance.check(perturbed, found)
    store, bootstrap = store or Store(), bootstrap or Bootstrap()
    results, joined = [], []
    resampled: dict[tuple[str, str], _Values] = {}
    for method in found:
        for groups in method.groups:
            for protocol in named(protocols):
                seeds = [join(file, group, protocol, store) for file, group in zip(method.files, groups, strict=True)]
                zoo, trained_on = groups[0].zoo, groups[0].trained_on
                part, values = _score_zoo(method, seeds, zoo, trained_on, protocol, store, bootstrap)
                if perturbed:
                    changes = invariance.changes(perturbed, groups[0], seeds[0], store, bootstrap)
                    part = part.model_copy(update={"perturbed": changes})
                results.append(part)
                if zoo == trained_on:
                    resampled.setdefault((zoo.id, protocol), {}).update(values)
                joined.append(seeds[0])
    in_distribution = [Resampled(*key, values) for key, values in resampled.items()]
    result = Result(schema_version=SCHEMA_VERSION, results=results, averages=averages(in_distribution, bootstrap))
    return Scored(result, in_distribution, joined)


def _name(given: Sequence[Source], position: int) -> str:
    return "the DataFrame" if len(given) == 1 else f"DataFrame {position + 1}"


def _score_zoo(
    method: Method,
    seeds: Sequence[Joined],
    zoo: Zoo,
    trained_on: Zoo,
    protocol: str,
    store: Store,
    bootstrap: Bootstrap,
) -> tuple[ZooResult, _Values]:
    chosen = [tasks.get(name) for name in seeds[0].samples]
    # One task per core; the linear algebra inside would only compete for the same cores.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
        scored = list(pool.map(lambda task: _score_task(task, seeds, bootstrap), chosen))
    kinds = {task.kind for task in chosen}
    result = ZooResult(
        zoo=zoo.id,
        trained_on=trained_on.id,
        seeds=list(method.seeds) if method.seeds else None,
        runs=seeds[0].runs,
        rows=len(seeds[0].labels),
        collapsed=collapsed(zoo, seeds[0].labels, store),
        tasks={task.name: score for task, (score, _) in zip(chosen, scored, strict=True)},
        references=references_of(zoo, protocol, [task.name for task in chosen], store),
        stamp=Stamp(
            labels_sha256=seeds[0].chosen.sha256,
            split=SPLIT,
            protocol=protocol,
            task_versions={task.name: task.version for task in chosen},
            metric_versions={metric.name: metric.version for metric in metrics.METRICS if metric.kind in kinds},
            bootstrap={"resamples": bootstrap.resamples, "level": bootstrap.level, "seed": bootstrap.seed},
            zoobench=__version__,
            predictions_sha256=[file.sha256 for file in method.files],
        ),
    )
    return result, {task.name: values for task, (_, values) in zip(chosen, scored, strict=True)}


def _score_task(
    task: tasks.Task, seeds: Sequence[Joined], bootstrap: Bootstrap
) -> tuple[TaskResult, dict[str, np.ndarray]]:
    samples, classes = [joined.samples[task.name] for joined in seeds], seeds[0].classes.get(task.name)
    counts = bootstrap.all_and_counts(samples[0].runs)
    scores, values = {}, {}
    for metric in metrics.metrics_of(task.kind):
        by_seed = np.stack([metric.compute(sample, counts) for sample in samples])
        values[metric.name] = bootstrap.over_seeds(by_seed)
        why = next((why_undefined(s) for s, v in zip(samples, by_seed[:, 0], strict=True) if not np.isfinite(v)), "")
        score = score_of(values[metric.name], bootstrap, why)
        if len(seeds) > 1:
            spread = rounded(float(np.std(by_seed[:, 0], ddof=1)))
            score = score.model_copy(update={"by_seed": [rounded(v) for v in by_seed[:, 0]], "spread": spread})
        scores[metric.name] = score
    confusion = None
    if classes:
        counts_by_seed = [count_confusion(sample, len(classes)) for sample in samples]
        confusion = Confusion(classes=classes, counts=np.sum(counts_by_seed, axis=0).tolist())
    result = TaskResult(
        kind=task.kind,
        main_metric=task.main_metric,
        unit=task.unit,
        scores=scores,
        tau_ceiling=None if classes else rounded(tau_ceiling(samples[0].target)),
        confusion=confusion,
    )
    return result, values


def collapsed(zoo: Zoo, labels: pd.DataFrame, store: Store) -> Collapsed:
    """How many of the networks with these labels are no better than naming one class."""
    rate = hub.majority_rate(zoo, store)
    if rate is None:
        reason = "the zoo's manifest does not say how many test images each class has"
        return Collapsed(share=None, majority_rate=None, reason=reason)
    # Accuracies may have been stored in single precision.
    share = float((labels["test_accuracy"] <= rate + 1e-6).mean())
    return Collapsed(share=rounded(share), majority_rate=rounded(rate))


def references_of(zoo: Zoo, protocol: str, names: Sequence[str], store: Store) -> list[Reference]:
    """Scores on tasks of the predictions that the zoo carries of its test split, where the protocol scores that."""
    found = []
    for path in hub.reference_files(zoo, store) if PROTOCOLS[protocol].references else ():
        file = read_predictions(path)
        joined = join(file, file.groups[0], protocol, store)
        scores = {name: _points(tasks.get(name), joined.samples[name]) for name in names if name in joined.samples}
        found.append(Reference(name=path.stem, predictions_sha256=file.sha256, tasks=scores))
    return found


def _points(task: tasks.Task, sample: Sample) -> dict[str, Score]:
    once = np.ones((1, sample.runs))
    return {
        metric.name: Score(value=value, reason=None if value is not None else why_undefined(sample))
        for metric in metrics.metrics_of(task.kind)
        for value in [rounded(float(metric.compute(sample, once)[0]))]
    }
