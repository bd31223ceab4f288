"""The baselines' own entries: which methods are submitted, and with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from zoobench.layout import layout_of
from zoobench.run import run
from zoobench.zoos import Zoo

from .description import FILE_NAME, Description

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Entry:
    """A baseline with fixed parameters, submitted as anyone's method is.

    Attributes:
        name: of the submission.
        baseline: entry-point name.
        method: what it is called.
        parameters: of the baseline; all others are at their defaults.
        random: its predictions depend on a seed; then they are submitted for each of ``SEEDS``.
        most_weights: networks above this size are left out.
        paper: where the method comes from.
    """

    name: str
    baseline: str
    method: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    random: bool = False
    most_weights: int | None = None
    paper: str = ""

    def covers(self, zoo: Zoo) -> bool:
        return self.most_weights is None or layout_of(zoo.spec.network).size <= self.most_weights

    @property
    def options(self) -> str:
        return "".join(f" --param {name}={value}" for name, value in self.parameters.items())

    def description(self) -> Description:
        seeds = " --seed 0 (and so on)" if self.random else ""
        sizes = f" Networks of up to {self.most_weights:,} weights." if self.most_weights else ""
        return Description(
            method=self.method,
            authors=["zoobench"],
            description=f"The {self.baseline!r} baseline with fixed parameters, the same for every zoo.{sizes}",
            paper=self.paper,
            code=f"baselines/{self.baseline}",
            training_data="same-zoo",
            validation_labels="selection",
            seeds=list(SEEDS) if self.random else [],
            command=f"zoobench run {self.baseline} --zoo ZOO{self.options}{seeds} --out ZOO.parquet",
        )


_UNTERTHINER = "https://arxiv.org/abs/2002.11448"
_LIU = "Liu, Learning Compact Vector Representations from Weight Matrices"
_SCHURHOLT = "https://arxiv.org/abs/2110.15288"
# Large batches: zoos of 100,000 and more rows are trained on, too.
_DNN = {"units": "128", "batch_size": "1024", "learning_rate": "2e-3", "max_epochs": "20", "patience": "4"}
_COMVEX = {"batch_size": "512", "learning_rate": "1e-3", "max_epochs": "30", "patience": "5"}

ENTRIES = (
    Entry("linear-w", "linear", "Ridge on flat weights", {"features": "W"}, most_weights=10_000, paper=_SCHURHOLT),
    Entry("linear-stats", "linear", "Ridge on weight statistics", {"features": "stats"}, paper=_SCHURHOLT),
    Entry(
        "logit-stats",
        "linear",
        "Logit-linear model on weight statistics",
        {"features": "stats", "link": "logit"},
        paper=_UNTERTHINER,
    ),
    Entry("gbm-w", "gbm", "LightGBM on flat weights", {"features": "W"}, most_weights=3_000, paper=_UNTERTHINER),
    Entry("gbm-stats", "gbm", "LightGBM on weight statistics", {"features": "stats"}, paper=_UNTERTHINER),
    Entry(
        "dnn-stats", "dnn", "DNN on weight statistics", {"features": "stats"} | _DNN, random=True, paper=_UNTERTHINER
    ),
    Entry("comvex-linear", "comvex", "ComVeX-Linear", {"architecture": "linear"} | _COMVEX, random=True, paper=_LIU),
    Entry("comvex-conv", "comvex", "ComVeX-Conv", {"architecture": "conv"} | _COMVEX, random=True, paper=_LIU),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}


def submit(board: Path, entry: Entry, zoo: Zoo, again: bool = True) -> list[Path]:
    """Lay down the predictions of an entry on a zoo, and its description.

    Args:
        board: leaderboard folder.
        entry: what to submit.
        zoo: trained on and predicted.
        again: replace predictions that are there.

    Returns:
        the predictions files that were made.
    """
    folder = board / "submissions" / entry.name
    made = []
    for seed in SEEDS if entry.random else (None,):
        path = folder / (f"{zoo.id}.parquet" if seed is None else f"{zoo.id}-seed{seed}.parquet")
        if again or not path.exists():
            run(entry.baseline, zoo, {**entry.parameters, **({} if seed is None else {"seed": str(seed)})}, path)
            made.append(path)
    content = {name: value for name, value in entry.description().model_dump().items() if value not in ("", None)}
    (folder / FILE_NAME).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return made
