"""Scored submissions: scores, and what ranking and the page need of them."""

from __future__ import annotations

from pydantic import Field

from zoobench.scoring.results import Finite, Score, ZooResult
from zoobench.strict import Strict

from .description import Description
from .targets import Axis

SCHEMA_VERSION = 5


class Points(Strict):
    """Predictions of the shown networks on an axis (see ``targets``), of the first seed."""

    axis: Axis
    predicted: str


class MeanSkill(Finite):
    """The mean skill (see ``averages``) of the tasks that have a score, as ranking needs it.

    ``without`` has it without each group of runs, in single precision; ``seed_variance`` is what so many ``seeds`` add
    to the variance over runs. ``over_hyperparameters`` is the mean skill of the tasks that the hyperparameters'
    reference predicts, less its.
    """

    without: list[float]
    seed_variance: float
    seeds: int
    over_hyperparameters: Score | None = None


class BoardResult(ZooResult, Finite):
    """A result, with what ranking and the page need; in distribution only, but for the scores.

    ``mean`` is ``None`` where tasks of the zoo are missing, or undefined without some of the runs. ``points`` are of
    the regression tasks.
    """

    mean: MeanSkill | None = None
    points: dict[str, Points] = Field(default_factory=dict)


class ScoredSubmission(Strict):
    """A submission with its scores.

    ``inputs_sha256`` is of everything that the scores depend on: with the same one, they are not computed again.
    """

    schema_version: int
    name: str
    submission: Description
    inputs_sha256: str
    results: list[BoardResult]
