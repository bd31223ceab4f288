"""Entries made from a real one: other names, zoos, scores and descriptions, for boards larger than tests can score."""

import numpy as np

from zoobench_leaderboard.description import Description
from zoobench_leaderboard.results import BoardResult, ScoredSubmission


def shifted(result: BoardResult, by: float, **changes) -> BoardResult:
    """All scores, and the means on resamples, moved by a number."""

    def shift(score):
        moved = {
            side: getattr(score, side) + by for side in ("value", "low", "high") if getattr(score, side) is not None
        }
        return score.model_copy(update=moved)

    tasks = {
        name: task.model_copy(update={"scores": {metric: shift(score) for metric, score in task.scores.items()}})
        for name, task in result.tasks.items()
    }
    drawn = result.mean_resamples and [value + by for value in result.mean_resamples]
    return result.model_copy(update={"tasks": tasks, "mean_resamples": drawn, **changes})


def renamed(entry: ScoredSubmission, name: str, results: list[BoardResult], **description) -> ScoredSubmission:
    described = Description.model_validate(entry.submission.model_dump() | description)
    return entry.model_copy(update={"name": name, "submission": described, "results": results})


def crowd(entry: ScoredSubmission, submissions: int, zoos: list[str], resamples: int) -> list[ScoredSubmission]:
    """Many submissions on many zoos, on the tasks of one."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(submissions):
        results = []
        for zoo in zoos:
            for result in entry.results:
                by = float(rng.normal(0, 0.05))
                drawn = (rng.normal(0.5, 0.02, resamples) + by).tolist()
                results.append(shifted(result, by, zoo=zoo, trained_on=zoo, mean_resamples=drawn))
        made.append(renamed(entry, f"method-{number:03d}", results, parameters=10 ** (2 + number % 5)))
    return made
