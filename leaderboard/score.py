"""Scoring: every submission is re-scored from its predictions; each gets a result file of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from zoobench import __version__, zoos
from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.files import remove_abandoned, sha256_of, write_atomically
from zoobench.scoring import tasks
from zoobench.scoring.averages import Resampled
from zoobench.scoring.harness import score
from zoobench.scoring.joining import Joined
from zoobench.scoring.metrics import METRICS
from zoobench.scoring.predictions import read_predictions
from zoobench.scoring.results import SCHEMA_VERSION, ZooResult
from zoobench.scoring.tasks import tasks_of
from zoobench.strict import Strict

from .description import Description
from .submission import Submission, read_submissions

LABELS = "labels"
RESULTS = "results"


# Of each zoo.
PROTOCOLS = ("all", "final")
# Networks of a zoo whose predictions the page shows, of the first protocol: the same ones for every submission.
SHOWN = 150


class Points(Strict):
    """Predictions against targets of ``SHOWN`` networks, four digits each; of the first seed."""

    target: list[float]
    predicted: list[float]


class BoardResult(ZooResult):
    """A result, with what ranking and the page need; in distribution only, but for the scores.

    ``mean_resamples`` is the mean of the tasks' main metrics on each resample of the runs, six digits each, of the
    tasks that have a score; ``None`` where tasks of the zoo are missing, or a resample has no score. ``points`` are of
    the regression tasks.
    """

    mean_resamples: list[float] | None = None
    points: dict[str, Points] = Field(default_factory=dict)


class Entry(Strict):
    """A scored submission, as stored in ``results/<name>.json``.

    ``inputs_sha256`` is of everything that the scores depend on: with the same one, they are not computed again.
    """

    schema_version: int
    name: str
    submission: Description
    inputs_sha256: str
    results: list[BoardResult]


def inputs_of(board: Path, submission: Submission) -> str:
    """sha256 of the predictions, the description, the labels and references, and the versions of what scores them.

    Raises:
        ZoobenchError: labels that cannot be found, or are not what their manifest says.
    """
    predicted = {zoo.id: zoo for _, zoo in submission.predictions}
    store = hub.Store([board / LABELS])
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
        "protocols": PROTOCOLS,
        "shown": SHOWN,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def score_submission(board: Path, submission: Submission) -> Entry:
    """Score every predictions file of one submission against the labels pinned in ``board/labels``.

    Raises:
        ZoobenchError: a predictions file that the harness refuses, that is about another zoo than its place says, or
            two that cover the same.
    """
    for path, zoo in submission.predictions:
        for group in read_predictions(path).groups:
            if group.zoo != zoo:
                raise ZoobenchError(f"{path} predicts {group.zoo.id}, but lies where predictions of {zoo.id} belong")
    paths = [path for path, _ in submission.predictions]
    scored = score(paths, PROTOCOLS, store=hub.Store([board / LABELS]))
    means = {(part.zoo, part.protocol): _mean_resamples(part) for part in scored.resampled}
    results = []
    for part, joined in zip(scored.result.results, scored.joined, strict=True):
        extra: dict[str, object] = {}
        if part.zoo == part.trained_on:
            extra["mean_resamples"] = means[part.zoo, part.stamp.protocol]
            extra["points"] = _points(joined) if part.stamp.protocol == PROTOCOLS[0] else {}
        results.append(BoardResult.model_validate(part.model_dump() | extra))
    return Entry(
        schema_version=SCHEMA_VERSION,
        name=submission.name,
        submission=submission.description,
        inputs_sha256=inputs_of(board, submission),
        results=sorted(results, key=lambda result: (result.zoo, result.trained_on, result.stamp.protocol)),
    )


def _mean_resamples(part: Resampled) -> list[float] | None:
    wanted = [task.name for task in tasks_of(zoos.resolve(part.zoo).spec)]
    if any(task not in part.values for task in wanted):
        return None
    main = [part.values[task][tasks.get(task).main_metric] for task in wanted]
    defined = [values[1:] for values in main if np.isfinite(values[0])]
    mean = np.mean(defined, axis=0) if defined else np.array([np.nan])
    return [float(f"{value:.6g}") for value in mean] if np.isfinite(mean).all() else None


def _points(joined: Joined) -> dict[str, Points]:
    rows = np.random.RandomState(0).permutation(len(joined.labels))[:SHOWN]

    def short(values: np.ndarray) -> list[float]:
        return [float(f"{value:.4g}") for value in values[rows]]

    return {
        task: Points(target=short(sample.target), predicted=short(sample.prediction))
        for task, sample in joined.samples.items()
        if task not in joined.classes
    }


def score_all(board: Path, on_step: Callable[[str], None] = lambda name: None, again: bool = False) -> list[Entry]:
    """Re-score every submission that changed and write the results; results of submissions that are gone are removed.

    Each result is written when it is computed: a scorer that is killed has lost nothing, and two at a time write the
    same.

    Args:
        board: leaderboard folder.
        on_step: told the name of each submission that is scored.
        again: whether submissions that have not changed are scored, too.

    Raises:
        ZoobenchError: an invalid submission; its result file, if it has one, stays as it was.
    """
    submissions = read_submissions(board)
    if not submissions:
        raise ZoobenchError(f"no submissions in {board / 'submissions'}")
    folder = board / RESULTS
    entries, refused = [], []
    try:
        for submission in submissions:
            path = folder / f"{submission.name}.json"
            entry = None if again else _unchanged(path, board, submission)
            if entry is None:
                on_step(submission.name)
                try:
                    entry = score_submission(board, submission)
                except ZoobenchError as error:
                    refused.append(str(error))
                    continue
                write_atomically(path, (entry.model_dump_json(indent=1) + "\n").encode())
            entries.append(entry)
        for path in folder.glob("*.json"):
            if path.stem not in {submission.name for submission in submissions}:
                path.unlink()
        remove_abandoned(folder)
    except OSError as error:
        raise ZoobenchError(f"cannot write results to {folder}: {error.strerror or error}") from error
    if refused:
        more = f" (and {len(refused) - 1} more submissions are refused)" if len(refused) > 1 else ""
        raise ZoobenchError(refused[0] + more)
    return entries


def _unchanged(path: Path, board: Path, submission: Submission) -> Entry | None:
    """The result that is there, if it is of the very same inputs."""
    try:
        entry = Entry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return entry if entry.inputs_sha256 == inputs_of(board, submission) else None


def read_entries(board: Path) -> list[Entry]:
    """The scored submissions of a leaderboard folder.

    Raises:
        ZoobenchError: nothing is scored yet, or a result file is of another schema.
    """
    entries = []
    for path in sorted((board / RESULTS).glob("*.json")):
        try:
            content = json.loads(path.read_text())
            if content.get("schema_version") != SCHEMA_VERSION:
                raise ZoobenchError(f"{path} has another schema version; run zoobench leaderboard score --dir {board}")
            entries.append(Entry.model_validate(content))
        except (ValueError, ValidationError) as error:
            raise ZoobenchError(f"cannot read {path}; run zoobench leaderboard score --dir {board}") from error
    if not entries:
        raise ZoobenchError(f"no results in {board / RESULTS}; run zoobench leaderboard score --dir {board}")
    return entries
