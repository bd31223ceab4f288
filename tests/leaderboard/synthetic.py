"""Entries made from a real one: other names, zoos, scores and descriptions, for boards larger than tests can score."""

import numpy as np

from zoobench_leaderboard.description import Description
from zoobench_leaderboard.scored import BoardResult, MeanSkill, ScoredSubmission


def shifted(result: BoardResult, by: float, **changes) -> BoardResult:
    """All scores, and the means without each run, moved by a number."""

    def shift(score):
        moved = {
            side: getattr(score, side) + by for side in ("value", "low", "high") if getattr(score, side) is not None
        }
        return score.model_copy(update=moved)

    tasks = {
        name: task.model_copy(update={"scores": {metric: shift(score) for metric, score in task.scores.items()}})
        for name, task in result.tasks.items()
    }
    mean = result.mean and result.mean.model_copy(update={"without": [value + by for value in result.mean.without]})
    return result.model_copy(update={"tasks": tasks, "mean": mean, **changes})


def mean_of(without: np.ndarray) -> MeanSkill:
    """A mean with these values without each run, of one seed."""
    return MeanSkill(without=[float(value) for value in without], seed_variance=0.0, seeds=1)


def renamed(entry: ScoredSubmission, name: str, results: list[BoardResult], **description) -> ScoredSubmission:
    described = Description.model_validate(entry.submission.model_dump() | description)
    return entry.model_copy(update={"name": name, "submission": described, "results": results})


def crowd(entry: ScoredSubmission, submissions: int, zoos: list[str], runs: int) -> list[ScoredSubmission]:
    """Many submissions on many zoos, on the tasks of one."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(submissions):
        results = []
        for zoo in zoos:
            for result in entry.results:
                by = float(rng.normal(0, 0.05))
                mean = mean_of(rng.normal(0.5, 0.02 / runs**0.5, runs) + by)
                results.append(shifted(result, by, zoo=zoo, trained_on=zoo, mean=mean))
        made.append(renamed(entry, f"method-{number:03d}", results, parameters=10 ** (2 + number % 5)))
    return made
