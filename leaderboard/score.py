"""Scoring: every submission is re-scored from its predictions; each gets results of its own."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from zoobench import __version__, zoos
from zoobench.data import hub
from zoobench.errors import ZoobenchError, shown
from zoobench.files import locked, remove_abandoned, sha256_of
from zoobench.scoring import harness
from zoobench.scoring.averages import Estimates, mean_skill
from zoobench.scoring.jackknife import Jackknife, over_seeds
from zoobench.scoring.joining import Joined
from zoobench.scoring.metrics import METRICS
from zoobench.scoring.predictions import read_predictions
from zoobench.scoring.results import Score
from zoobench.scoring.scores import given, rounded
from zoobench.scoring.tasks import tasks_of

from .results import RESULTS, labels_of_results, read_scored, remove_results, scores_path, write_scored
from .scored import SCHEMA_VERSION, BoardResult, MeanSkill, Points, ScoredSubmission
from .submission import SUBMISSIONS, Submission, is_name, read_submissions, submissions_folder
from .targets import (
    BOARD_PROTOCOLS,
    LABELS,
    SHOWN,
    TARGETS,
    axis_of,
    keep_targets,
    labels_of,
    reading,
    remove_targets,
    shown_rows,
)

# Means without a group of runs are multiples of this: seven decimals, about, in single precision.
_STEP = 2.0**-24


def inputs_of(submission: Submission, store: hub.Store) -> str:
    """sha256 of the predictions, the description, the labels and references, and the versions of what scores them.

    Raises:
        ZoobenchError: labels that cannot be found, or are not what their manifest says.
    """
    predicted = {zoo.id: zoo for _, zoo in submission.predictions}
    facts = {
        "schema": SCHEMA_VERSION,
        "zoobench": __version__,
        "submission": submission.description.model_dump(),
        "predictions": [
            (path.relative_to(path.parents[1]).as_posix(), sha256_of(path)) for path, _ in submission.predictions
        ],
        "labels": {
            name: sorted((path, sha256) for path, (_, sha256) in hub.scoring_files(zoo, store)[1].items())
            for name, zoo in predicted.items()
        },
        "tasks": {task.name: task.version for zoo in predicted.values() for task in tasks_of(zoo.spec)},
        "metrics": {metric.name: metric.version for metric in METRICS},
        "protocols": BOARD_PROTOCOLS,
        "shown": SHOWN,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def score_submission(submission: Submission, store: hub.Store) -> ScoredSubmission:
    """Score every predictions file of one submission, against the labels of a leaderboard (see ``labels_of``).

    Raises:
        ZoobenchError: a predictions file that the harness refuses, that is about another zoo than its place says, or
            two that cover the same.
    """
    for path, zoo in submission.predictions:
        # The harness reads them again, and warns.
        with warnings.catch_warnings(action="ignore"):
            groups = read_predictions(path).groups
        for group in groups:
            if group.zoo != zoo:
                raise ZoobenchError(f"{path} predicts {group.zoo.id}, but lies where predictions of {zoo.id} belong")
    paths = [path for path, _ in submission.predictions]
    with reading(f"the labels of {submission.name}"):
        inputs = inputs_of(submission, store)
        found = harness.score(paths, BOARD_PROTOCOLS, store=store)
    means = {(part.zoo, part.protocol): _mean(part) for part in found.estimates}
    results = []
    for part, joined in zip(found.result.results, found.joined, strict=True):
        extra: dict[str, object] = {}
        if part.zoo == part.trained_on:
            extra["mean"] = means[part.zoo, part.stamp.protocol]
            extra["points"] = _points(joined) if part.stamp.protocol == BOARD_PROTOCOLS[0] else {}
        extra["tasks"] = {name: task.model_copy(update={"tau_beside": None}) for name, task in part.tasks.items()}
        results.append(BoardResult.model_validate(dict(part) | extra))
    return ScoredSubmission(
        schema_version=SCHEMA_VERSION,
        name=submission.name,
        submission=submission.description,
        inputs_sha256=inputs,
        results=sorted(results, key=lambda result: (result.zoo, result.trained_on, result.stamp.protocol)),
    )


def _mean(part: Estimates) -> MeanSkill | None:
    wanted = [task for task in tasks_of(zoos.resolve(part.zoo).spec) if task.ranked]
    if any(task.name not in part.values for task in wanted):
        return None
    skills = {task.name: part.values[task.name][task.ranking_metric] for task in wanted}
    defined = {name: values for name, values in skills.items() if np.isfinite(values[:, 0]).all()}
    # Files of one submission have the same seeds, but one task may come from one file alone.
    if not defined or len({len(values) for values in defined.values()}) > 1:
        return None
    mean = mean_skill(defined)
    deleted = np.round(mean.mean(axis=0)[1:] / _STEP) * _STEP
    seeds = over_seeds(mean)
    if not np.isfinite(deleted).all():
        return None
    gain = mean_skill(part.gains) if part.gains else None
    return MeanSkill(
        without=[float(value) for value in deleted],
        seed_variance=rounded(seeds.variance) or 0.0,
        seeds=len(mean),
        over_hyperparameters=None if gain is None else _gain(gain),
    )


def _gain(values: np.ndarray) -> Score:
    value = float(values[:, 0].mean())
    return given(value, Jackknife().interval(values), "a score is undefined")


def _points(joined: Joined) -> dict[str, Points]:
    rows = shown_rows(len(joined.labels))
    axes = {task: axis_of(sample.target) for task, sample in joined.samples.items() if task not in joined.classes}
    return {
        task: Points(axis=axis, predicted=axis.drawn(joined.samples[task].prediction[rows]))
        for task, axis in axes.items()
    }


def score_all(
    board: Path, on_step: Callable[[str], None] = lambda name: None, again: bool = False
) -> list[ScoredSubmission]:
    """Re-score every submission that changed and write the results; results of submissions that are gone are removed.

    Each result is written when it is computed: a scorer that is killed has lost nothing. One scores at a time.

    Args:
        board: leaderboard folder.
        on_step: told the name of each submission that is scored.
        again: whether submissions that have not changed are scored, too.

    Raises:
        ZoobenchError: invalid submissions, when all others have been scored; the results that they have stay as they
            were. Or nothing can be scored, or written.
    """
    submissions_folder(board)
    try:
        with locked(board / RESULTS):
            return _score_all(board, on_step, again)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise ZoobenchError(f"cannot write results to {board}: {error.strerror or error}{where}") from error


def _score_all(board: Path, on_step: Callable[[str], None], again: bool) -> list[ScoredSubmission]:
    listing, store = read_submissions(board), labels_of(board)
    scored, refused, kept = [], dict(listing.refused), set()
    if not listing.submissions and not refused:
        raise ZoobenchError(f"no submissions in {board / SUBMISSIONS}")
    for submission in listing.submissions:
        try:
            for zoo in {zoo.id: zoo for _, zoo in submission.predictions if zoo.id not in kept}.values():
                keep_targets(board, zoo, store, again)
                kept.add(zoo.id)
            found = None if again else _unchanged(board, submission, store)
            if found is None:
                on_step(submission.name)
                write_scored(board, score_submission(submission, store))
                found = read_scored(board, submission.name)
            scored.append(found)
        except ZoobenchError as error:
            refused[submission.name] = error
    # A folder that was given a bad name has not been withdrawn under its good one.
    if all(map(is_name, refused)):
        remove_results(board, {submission.name for submission in listing.submissions} | refused.keys())
    remove_targets(board, labels_of_results(board))
    for left in (board / RESULTS, *board.glob(f"{LABELS}/*/{TARGETS}")):
        remove_abandoned(left)
    if refused:
        counted = f"{len(refused)} submissions are refused: " if len(refused) > 1 else ""
        raise ZoobenchError(counted + "; ".join(map(_named, refused, refused.values())))
    return scored


def _named(name: str, error: ZoobenchError) -> str:
    text = str(error)
    return text if shown(name) in text else f"{name}: {text}"


def _unchanged(board: Path, submission: Submission, store: hub.Store) -> ScoredSubmission | None:
    """The result that is there, if it is of the very same inputs."""
    if not scores_path(board, submission.name).exists():
        return None
    try:
        found = read_scored(board, submission.name)
    except ZoobenchError:
        return None
    with reading(f"what {submission.name} is scored from"):
        return found if found.inputs_sha256 == inputs_of(submission, store) else None
