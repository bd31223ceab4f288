"""Checking: whether results say what their predictions score now; by values, not by bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from zoobench.errors import ZoobenchError

from .ranking import Standing, boards, overall
from .results import read_all
from .score import score_submission
from .scored import ScoredSubmission
from .submission import read_submissions
from .targets import labels_of

# What was scored, and by which version: told apart by what came out of it alone. And what results do not keep.
_NOT_COMPARED = {"inputs_sha256", "predictions_sha256", "zoobench", "by_seed"}
# Of the last of ten digits, and of the last bit of means without a group of runs.
_DIGITS = {"rel_tol": 1e-9, "abs_tol": 1e-12}
_WITHOUT = {"rel_tol": 0.0, "abs_tol": 1.5 * 2.0**-24}


def check(board: Path, on_step: Callable[[str], None] = lambda name: None) -> list[str]:
    """Score every submission of a leaderboard folder again, and compare; nothing is written.

    Returns:
        the differences, a line each.

    Raises:
        ZoobenchError: no results, or no submissions, at all.
    """
    refused: list[str] = []
    kept, listing, fresh, store = read_all(board, refused.append), read_submissions(board), [], labels_of(board)
    refused += map(str, listing.refused.values())
    for submission in listing.submissions:
        on_step(submission.name)
        try:
            fresh.append(score_submission(submission, store))
        except ZoobenchError as error:
            refused.append(str(error))
    return [*refused, *differences(kept, fresh)]


def differences(kept: Sequence[ScoredSubmission], fresh: Sequence[ScoredSubmission]) -> list[str]:
    """Where results differ: a score, an interval, a reference, what is drawn, a stamp, a rank or a shared place."""
    return [*_between("", _values(kept), _values(fresh)), *_between("", _places(kept), _places(fresh))]


def _values(submissions: Sequence[ScoredSubmission]) -> dict[str, Any]:
    return {
        one.name: one.submission.model_dump()
        | {
            f"{result.zoo} ({result.stamp.protocol}, trained on {result.trained_on})": result.model_dump()
            for result in one.results
        }
        for one in submissions
    }


def _places(submissions: Sequence[ScoredSubmission]) -> dict[str, Any]:
    listed = boards(submissions)
    named: list[tuple[str, Sequence[Standing]]] = [
        (f"board of {board.zoo} ({board.protocol})", board.rows) for board in listed
    ]
    named += [(f"board of all zoos ({one.protocol})", one.rows) for one in overall(listed)]
    return {
        name: {row.scored.name: {ranking: str(place) for ranking, place in row.places.items()} for row in rows}
        for name, rows in named
    }


def _between(where: str, kept: Any, fresh: Any, tolerance: dict[str, float] = _DIGITS) -> Iterator[str]:
    match kept, fresh:
        case dict(), dict():
            for name in dict.fromkeys((*kept, *fresh)):
                path = f"{where}: {name}" if where else name
                if name not in kept or name not in fresh:
                    yield f"{path} is {'not kept' if name not in kept else 'kept, and not what is scored now'}"
                elif name not in _NOT_COMPARED:
                    close = _WITHOUT if name == "without" else tolerance
                    yield from _between(path, kept[name], fresh[name], close)
        case list(), list() if len(kept) == len(fresh):
            for position, (one, other) in enumerate(zip(kept, fresh, strict=True)):
                yield from _between(f"{where}[{position}]", one, other, tolerance)
        case ((int() | float()), (int() | float())) if math.isclose(kept, fresh, **tolerance):
            pass
        case _ if kept != fresh:
            yield f"{where} is {kept!r}, and {fresh!r} when it is scored now"
