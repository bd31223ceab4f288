"""The harness: predictions in, stamped scores out.

Needs the labels of the test split only (kilobytes), and neither torch nor transformers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
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
from . import invariance, metrics, ranks, tasks
from .averages import Estimates, averages
from .classification import confusion as count_confusion
from .jackknife import Jackknife
from .joining import Joined, join
from .methods import Method, methods
from .predictions import Source, read_predictions, sources
from .protocols import BY_NAME as PROTOCOLS
from .protocols import named
from .results import (
    SCHEMA_VERSION,
    Collapsed,
    Confusion,
    OverReference,
    Reference,
    Result,
    Score,
    Stamp,
    TaskResult,
    TauBeside,
    ZooResult,
)
from .sample import Sample
from .scores import given, rounded, score_of, why_undefined

SPLIT = "test"

# The reference predictions that know how networks were trained, by any protocol.
_HYPERPARAMETERS = "hyperparameters"


@dataclass(frozen=True)
class Scored:
    """A result, and what else scoring found on the way.

    Attributes:
        result: the scores.
        estimates: the scores with and without each group of runs, of what is in distribution. Groups are the same for
            all predictions of a zoo, so that those of two methods may be compared one by one.
        joined: for each of ``result.results``, the predictions (of the first seed) beside their targets.
    """

    result: Result
    estimates: list[Estimates]
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
    jackknife: Jackknife | None = None,
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
        jackknife: how intervals are made.

    Raises:
        ZoobenchError: not a complete, finite set of predictions for known zoos and tasks, two that predict the same
            thing, or a protocol that leaves nothing of a zoo.
    """
    scored = score(predictions, protocols, against, Store(homes), jackknife)
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
    jackknife: Jackknife | None = None,
) -> Scored:
    """As ``evaluate``, with all that was found on the way; labels are found in the store."""
    given = sources(predictions)
    files = [read_predictions(source, name=_name(given, k)) for k, source in enumerate(given)]
    found = methods(files)
    perturbed = None if against is None else read_predictions(against, perturbed=True)
    if perturbed:
        invariance.check(perturbed, found)
    store, jackknife = store or Store(), jackknife or Jackknife()
    results, joined = [], []
    estimates: dict[tuple[str, str], Estimates] = {}
    for method in found:
        for groups in method.groups:
            for protocol in named(protocols):
                seeds = [join(file, group, protocol, store) for file, group in zip(method.files, groups, strict=True)]
                zoo, trained_on = groups[0].zoo, groups[0].trained_on
                part, found_here = _score_zoo(method, seeds, zoo, trained_on, protocol, store, jackknife)
                if perturbed:
                    changes = invariance.changes(perturbed, groups[0], seeds[0], store, jackknife)
                    part = part.model_copy(update={"perturbed": changes})
                results.append(part)
                if zoo == trained_on:
                    known = estimates.get((zoo.id, protocol))
                    estimates[zoo.id, protocol] = known.joined(found_here) if known else found_here
                joined.append(seeds[0])
    in_distribution = list(estimates.values())
    result = Result(schema_version=SCHEMA_VERSION, results=results, averages=averages(in_distribution, jackknife))
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
    jackknife: Jackknife,
) -> tuple[ZooResult, Estimates]:
    chosen = [tasks.get(name) for name in seeds[0].samples]
    references = _references(zoo, protocol, store)
    rate = hub.majority_rate(zoo, store)
    learned = None if rate is None else ~at_most(rate, seeds[0].labels)
    beside = next((one for name, _, one in references if name.startswith(_HYPERPARAMETERS)), None)
    # One task per core; the linear algebra inside would only compete for the same cores.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
        scored = list(pool.map(lambda task: _score_task(task, seeds, beside, learned, jackknife), chosen))
    kinds = {task.kind for task in chosen}
    result = ZooResult(
        zoo=zoo.id,
        trained_on=trained_on.id,
        seeds=list(method.seeds) if method.seeds else None,
        runs=seeds[0].runs,
        rows=len(seeds[0].labels),
        collapsed=collapsed(zoo, seeds[0].labels, store),
        tasks={task.name: score for task, (score, _, _) in zip(chosen, scored, strict=True)},
        references=_scored(references, [task.name for task in chosen]),
        stamp=Stamp(
            labels_sha256=seeds[0].chosen.sha256,
            split=SPLIT,
            protocol=protocol,
            task_versions={task.name: task.version for task in chosen},
            metric_versions={metric.name: metric.version for metric in metrics.METRICS if metric.kind in kinds},
            jackknife={"level": jackknife.level, "groups": jackknife.groups, "seed": jackknife.seed},
            zoobench=__version__,
            predictions_sha256=[file.sha256 for file in method.files],
        ),
    )
    values = {task.name: found for task, (_, found, _) in zip(chosen, scored, strict=True)}
    gains = {task.name: gain for task, (_, _, gain) in zip(chosen, scored, strict=True) if gain is not None}
    return result, Estimates(zoo.id, protocol, values, gains)


def _score_task(
    task: tasks.Task,
    seeds: Sequence[Joined],
    beside: Joined | None,
    learned: np.ndarray | None,
    jackknife: Jackknife,
) -> tuple[TaskResult, dict[str, np.ndarray], np.ndarray | None]:
    """The scores, each metric by seed (seeds, 1 + groups), and the skill gained over the reference beside it."""
    samples, classes = [joined.samples[task.name] for joined in seeds], seeds[0].classes.get(task.name)
    runs = samples[0].runs
    counts = jackknife.counts(runs)
    scores, values = {}, {}
    for metric in metrics.metrics_of(task.kind):
        by_seed = np.stack([metric.compute(sample, counts) for sample in samples])
        values[metric.name] = metric.bounded(by_seed)
        why = next((why_undefined(s) for s, v in zip(samples, by_seed[:, 0], strict=True) if not np.isfinite(v)), "")
        score = score_of(metric, by_seed, runs, jackknife, why)
        if len(seeds) > 1:
            given_by_seed = values[metric.name][:, 0]
            spread = rounded(float(np.std(given_by_seed, ddof=1)))
            score = score.model_copy(update={"by_seed": [rounded(v) for v in given_by_seed], "spread": spread})
        scores[metric.name] = score
    known = None if beside is None else beside.samples.get(task.name)
    over, gain = (None, None) if known is None else _over(task, known, samples, values, jackknife)
    confusion = None
    if classes:
        counts_by_seed = [count_confusion(sample, len(classes)) for sample in samples]
        confusion = Confusion(classes=classes, counts=np.sum(counts_by_seed, axis=0).tolist())
    result = TaskResult(
        kind=task.kind,
        main_metric=task.main_metric,
        unit=task.unit,
        scores=scores,
        tau_ceiling=None if classes else rounded(ranks.tau_ceiling(samples[0].target)),
        tau_beside=None if classes else _tau_beside(task, samples, learned),
        confusion=confusion,
        over_hyperparameters=over,
    )
    return result, values, gain


def _tau_beside(task: tasks.Task, samples: Sequence[Sample], learned: np.ndarray | None) -> TauBeside:
    """``learned`` (rows,) bool: which networks are not collapsed, if that is known."""
    of_rounded = [ranks.tau_rounded(sample) for sample in samples] if task.unit == "fraction" else [math.nan]
    of_learned = [math.nan] if learned is None else [ranks.tau_among(sample, learned) for sample in samples]
    return TauBeside(rounded=rounded(float(np.mean(of_rounded))), not_collapsed=rounded(float(np.mean(of_learned))))


def _over(
    task: tasks.Task,
    reference: Sample,
    samples: Sequence[Sample],
    values: Mapping[str, np.ndarray],
    jackknife: Jackknife,
) -> tuple[OverReference, np.ndarray]:
    """What predictions gain over a reference, on the same runs; and by seed, the gain of the ranking metric."""
    counts = jackknife.counts(reference.runs)

    def gained(name: str) -> np.ndarray:
        metric = metrics.BY_NAME[name]
        return values[name] - metric.bounded(metric.compute(reference, counts))

    difference = gained(task.main_metric)
    known = np.isfinite(difference[:, 0]).all()
    value = float(difference[:, 0].mean())
    ends = jackknife.interval(difference, of_shares=metrics.BY_NAME[task.main_metric].share) if known else None
    why = "" if known else why_undefined(reference)
    return OverReference(
        difference=given(value, ends, why),
        left_r2=_left_r2(reference, samples, counts, jackknife) if task.kind == metrics.REGRESSION else None,
    ), gained(task.ranking_metric)


def _left_r2(reference: Sample, samples: Sequence[Sample], counts: np.ndarray, jackknife: Jackknife) -> Score:
    """R² of what the reference leaves: its residuals, as what the predictions say beyond it."""
    left = [Sample(s.target - reference.prediction, s.prediction - reference.prediction, s.run) for s in samples]
    metric = metrics.BY_NAME["r2"]
    return score_of(
        metric,
        np.stack([metric.compute(one, counts) for one in left]),
        reference.runs,
        jackknife,
        "the reference is exact",
    )


def at_most(rate: float, labels: pd.DataFrame) -> np.ndarray:
    """Which networks reach no more than a test accuracy: (rows,) bool."""
    # Accuracies may have been stored in single precision.
    return (labels["test_accuracy"] <= rate + 1e-6).to_numpy()


def collapsed(zoo: Zoo, labels: pd.DataFrame, store: Store) -> Collapsed:
    """How many of the networks with these labels are no better than naming one class."""
    rate = hub.majority_rate(zoo, store)
    if rate is None:
        reason = "the zoo's manifest does not say how many test images each class has"
        return Collapsed(share=None, majority_rate=None, reason=reason)
    share = float(at_most(rate, labels).mean())
    return Collapsed(share=rounded(share), majority_rate=rounded(rate))


def references_of(zoo: Zoo, protocol: str, names: Sequence[str], store: Store) -> list[Reference]:
    """Scores on tasks of the predictions that the zoo carries for the protocol."""
    return _scored(_references(zoo, protocol, store), names)


def _references(zoo: Zoo, protocol: str, store: Store) -> list[tuple[str, str, Joined]]:
    """Name and sha256 of the predictions that the zoo carries for the protocol, and they beside their targets."""
    found, wanted = [], PROTOCOLS[protocol].references
    for path in hub.reference_files(zoo, store) if wanted else ():
        if path.stem in wanted:
            file = read_predictions(path)
            found.append((path.stem, file.sha256, join(file, file.groups[0], protocol, store)))
    return found


def _scored(references: Sequence[tuple[str, str, Joined]], names: Sequence[str]) -> list[Reference]:
    return [
        Reference(
            name=name,
            predictions_sha256=sha256,
            tasks={task: _points(tasks.get(task), joined.samples[task]) for task in names if task in joined.samples},
        )
        for name, sha256, joined in references
    ]


def _points(task: tasks.Task, sample: Sample) -> dict[str, Score]:
    once = np.ones((1, sample.runs))
    return {
        metric.name: Score(value=value, reason=None if value is not None else why_undefined(sample))
        for metric in metrics.metrics_of(task.kind)
        for value in [rounded(float(metric.bounded(metric.compute(sample, once))[0]))]
    }
