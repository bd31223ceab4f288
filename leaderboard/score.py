"""Scoring: every submission is re-scored from its predictions; each gets a result file of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from zoobench.errors import ZoobenchError
from zoobench.harness import evaluate
from zoobench.manifest import write_atomically
from zoobench.results import SCHEMA_VERSION, ZooResult

from .submission import Description, Submission, read_submissions

LABELS = "labels"
RESULTS = "results"


class Entry(BaseModel):
    """A scored submission, as stored in ``results/<name>.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int
    name: str
    submission: Description
    results: list[ZooResult]


def score_submission(board: Path, submission: Submission) -> Entry:
    """Score every predictions file of one submission against the labels pinned in ``board/labels``.

    Raises:
        ZoobenchError: a predictions file that the harness refuses, or two that cover the same zoo.
    """
    results = evaluate(submission.predictions, homes=[board / LABELS]).results
    return Entry(
        schema_version=SCHEMA_VERSION,
        name=submission.name,
        submission=submission.description,
        results=sorted(results, key=lambda result: (result.zoo, result.trained_on)),
    )


def score_all(board: Path, on_step: Callable[[str], None] = lambda name: None) -> list[Entry]:
    """Re-score every submission and write the results; results of submissions that are gone are removed.

    Raises:
        ZoobenchError: an invalid submission; no result file has been changed then.
    """
    entries = []
    for submission in read_submissions(board):
        on_step(submission.name)
        entries.append(score_submission(board, submission))
    if not entries:
        raise ZoobenchError(f"no submissions in {board / 'submissions'}")
    folder = board / RESULTS
    try:
        for entry in entries:
            write_atomically(folder / f"{entry.name}.json", (entry.model_dump_json(indent=1) + "\n").encode())
        for path in folder.glob("*.json"):
            if path.stem not in {entry.name for entry in entries}:
                path.unlink()
    except OSError as error:
        raise ZoobenchError(f"cannot write results to {folder}: {error.strerror or error}") from error
    return entries


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
