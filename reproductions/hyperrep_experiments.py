"""Entries of the tables of ``hyperrep``: what is trained for them, once, and what it comes to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoobench.data import hub
from zoobench.predictors.fitted import predict
from zoobench.predictors.run import run
from zoobench.scoring.harness import evaluate
from zoobench.scoring.results import Result
from zoobench.scoring.tasks import get
from zoobench.zoos import Zoo
from zoobench_baselines.encoding import load_encoder
from zoobench_baselines.hyperrep import HyperRepModel, reconstruction_r2
from zoobench_leaderboard.entries import BY_NAME as BY_ENTRY

from .reproduction import ABSENT, Kept, Work, difference, errors_by_norm, scores

# What all tables share but where they say otherwise: one model for all of them.
REFERENCE = {"loss": "ecd", "architecture": "att-n+t", "seed": "0"}
_SMOKE = {"width": "16", "heads": "1", "blocks": "1", "epochs": "1", "latent": "16", "feed_forward": "16"}
# Further parameters of ``zoobench run hyperrep``: of the leaderboard's entry, the authors' own, or, to see whether
# everything runs, ones whose numbers mean nothing.
SIZES: Mapping[str, Callable[[Zoo], Mapping[str, str]]] = {
    "cpu": BY_ENTRY["hyperrep"].parameters_on,
    "paper": lambda zoo: {},
    "smoke": lambda zoo: _SMOKE,
}
# Networks further out than so many times the median train network, where the models cut weights, too, are too large.
WITHIN = 10
# What Table 7 compares out of distribution.
TRANSFERRED = "generalization_gap"
# Name, baseline and parameters of what is compared.
Representation = tuple[str, str, Mapping[str, str]]


@dataclass(frozen=True)
class Predicted:
    """Predictions that are made when somebody asks for them, or not at all."""

    zoo: Zoo
    name: str
    make: Callable[[], Path | None]


class Experiments:
    """Entries that are computed once, by name, on zoos, and what they come to."""

    def __init__(self, work: Work, kept: Kept, size: str, train: bool = True) -> None:
        self.work = work
        self.kept = kept
        self.size = size
        self.train = train

    def learned(self, zoo: Zoo, parameters: Mapping[str, str], on: Sequence[Zoo] = ()) -> Predicted:
        """Predictions by a hyper-representation; the model lies beside them in a folder of the same name."""
        whole = {**REFERENCE, **SIZES[self.size](zoo), **parameters}
        name = "-".join(["hyperrep", zoo.repo, zoo.spec.config, *(f"{k}={v}" for k, v in sorted(whole.items()))])
        checkpoints = {"checkpoints": str(self.work.folder / "checkpoints")}

        def make() -> Path | None:
            if not self.train and not (self.work.folder / f"{name}.parquet").exists():
                return None
            path = self.work.entry(
                name, lambda out: run("hyperrep", zoo, whole | checkpoints, out, keep=out.with_suffix(""))
            )
            return self.work.entry(f"{name}-on-all", lambda out: predict(path.with_suffix(""), on, out)) if on else path

        return Predicted(zoo, name, make)

    def other(self, zoo: Zoo, entry: Representation) -> Predicted:
        """Predictions by another representation behind the same probe."""
        label, baseline, parameters = entry
        name = f"{label}-{zoo.repo}-{zoo.spec.config}"
        return Predicted(zoo, name, lambda: self.work.entry(name, lambda path: run(baseline, zoo, parameters, path)))

    def transferred(self, zoo: Zoo, entry: Representation, on: Sequence[Zoo]) -> Predicted:
        """The same of other zoos' networks, and of Table 7's task alone."""
        label, baseline, parameters = entry
        name = f"{label}-{zoo.repo}-{zoo.spec.config}-on-all"

        def make() -> Path:
            return self.work.entry(name, lambda path: run(baseline, zoo, parameters, path, on=on, only=[TRANSFERRED]))

        return Predicted(zoo, name, make)

    def value(self, entry: Predicted, task: str) -> str:
        """A task's main score."""
        metric = get(task).main_metric
        return self._number(entry, task, lambda path: str(scores(path, task, "all")[metric]))

    def over(self, entry: Predicted, other: Predicted, task: str) -> str:
        """How much more that is than another entry's, on the same networks."""

        def text(path: Path) -> str:
            beside = other.make()
            return ABSENT if beside is None else difference(path, beside, task, metric=get(task).main_metric)

        return self._number(entry, f"{task} over {other.name}", text)

    def reconstruction(self, entry: Predicted, split: str = "test", *, moderate: bool = False) -> str:
        """R² of the reconstruction of a split's networks; ``moderate``: without those that are too large."""

        def text(path: Path) -> str:
            weights = hub.load_split(entry.zoo, split).weights
            if moderate:
                weights = weights[within(weights, hub.load_split(entry.zoo, "train").weights)]
            model = load_encoder(path.with_suffix(""))
            assert isinstance(model, HyperRepModel), f"{entry.name} rebuilds no networks"
            return f"{reconstruction_r2(model, weights):.3f}"

        return self._number(entry, f"reconstruction, {split}{f', within {WITHIN}' if moderate else ''}", text)

    def tau(self, entry: Predicted, zoo: Zoo) -> str:
        """Kendall's τ-b of the generalization gap on a zoo's test networks."""

        def text(path: Path) -> str:
            (part,) = (part for part in evaluated(path).results if part.zoo == zoo.id)
            return str(part.tasks[TRANSFERRED].scores["kendall_tau"])

        return self._number(entry, f"{TRANSFERRED}, kendall_tau on {zoo.id}", text)

    def errors(self, entry: Predicted) -> str:
        """How far networks of large weights decide the error of accuracy."""
        return self._number(entry, "accuracy, errors by norm", lambda path: errors_by_norm(path, entry.zoo))

    def _number(self, entry: Predicted, what: str, text: Callable[[Path], str]) -> str:
        def make() -> str:
            path = entry.make()
            return ABSENT if path is None else text(path)

        return self.kept.number(entry.zoo, entry.name, what, make, lambda: self.work.seconds().get(entry.name, 0.0))


def within(weights: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which networks (rows,) have no weight of more than ``WITHIN`` times the largest of the median known network."""
    largest, median = np.abs(weights).max(axis=1), np.median(np.abs(known).max(axis=1))
    return np.asarray(largest <= WITHIN * median)


@functools.cache
def evaluated(path: Path) -> Result:
    return evaluate(path, protocols=["all"])
