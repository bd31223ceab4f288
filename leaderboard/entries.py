"""The baselines' own entries: which methods are submitted, and with which parameters."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from safetensors.numpy import load_file

from zoobench.data import hub
from zoobench.predictors import fitted, predictor
from zoobench.predictors.examples import examples, learnable
from zoobench.predictors.run import run
from zoobench.scoring.predictions import write_predictions
from zoobench.zoos import Zoo
from zoobench.zoos.layout import layout_of

from .description import FILE_NAME, Description, read_description

SEEDS = (0, 1, 2, 3, 4)
_COUNTED_ON = 512
# Parameters that say how long is trained.
_LENGTHS = ("max_epochs", "epochs", "steps")


@dataclass(frozen=True)
class Entry:
    """A baseline with fixed parameters, submitted as anyone's method is.

    Attributes:
        name: of the submission.
        baseline: entry-point name.
        method: what it is called.
        parameters: of the baseline; all others are at their defaults.
        by_repo: further ones by repo; other repos' zoos are left out then.
        random: its predictions depend on a seed; then they are submitted for each of ``SEEDS``.
        most_weights: networks above this size are left out.
        transfers: repos on whose zoos it predicts the other zoos, too.
        paper: where the method comes from.
    """

    name: str
    baseline: str
    method: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    by_repo: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    random: bool = False
    most_weights: int | None = None
    transfers: tuple[str, ...] = ()
    paper: str = ""

    def covers(self, zoo: Zoo) -> bool:
        if self.by_repo and zoo.spec.repo not in self.by_repo:
            return False
        return self.most_weights is None or layout_of(zoo.spec.network).size <= self.most_weights

    def parameters_on(self, zoo: Zoo) -> dict[str, str]:
        return {**self.parameters, **self.by_repo.get(zoo.spec.repo, {})}

    def description(self, counts: Mapping[str, int]) -> Description:
        """What is said of it; ``counts`` are the numbers that it learned, by zoo."""
        seeds = " --seed 0 (and so on)" if self.random else ""
        same = "fixed parameters, the same for every zoo" if not self.by_repo else "parameters that are fixed by repo"
        further = "".join(f" On {repo}{_options(parameters)}." for repo, parameters in self.by_repo.items())
        sizes = f" Networks of up to {self.most_weights:,} weights." if self.most_weights else ""
        away = (
            f" On {', '.join(self.transfers)}, trained on each zoo and tested on all (--on)." if self.transfers else ""
        )
        return Description(
            method=self.method,
            authors=["zoobench"],
            description=f"The {self.baseline!r} baseline with {same}.{sizes}{away}{further}",
            parameters=dict(counts) or None,
            paper=self.paper,
            code=f"baselines/{_home(self.baseline)}",
            training_data="same-zoo",
            validation_labels="selection",
            seeds=list(SEEDS) if self.random else [],
            command=f"zoobench run {self.baseline} --zoo ZOO{_options(self.parameters)}{seeds} --out ZOO.parquet",
        )


def _home(baseline: str) -> str:
    """The folder of a baseline in ``baselines/``."""
    (point,) = importlib.metadata.entry_points(group=predictor.ENTRY_POINTS, name=baseline)
    return point.module.rpartition(".")[2]


def _options(parameters: Mapping[str, str]) -> str:
    return "".join(f" --param {name}={value}" for name, value in parameters.items())


_UNTERTHINER = "https://arxiv.org/abs/2002.11448"
_LIU = "Liu, Learning Compact Vector Representations from Weight Matrices"
_SCHURHOLT = "https://arxiv.org/abs/2110.15288"
# Every zoo, and the quickstart, in minutes: the authors' 2,000 trees are for searches.
_GBM = {"max_trees": "300", "patience": "20"}
# Large batches: zoos of 100,000 and more rows are trained on, too.
_DNN = {"units": "128", "batch_size": "1024", "learning_rate": "2e-3", "max_epochs": "20", "patience": "4"}
_COMVEX = {"batch_size": "512", "learning_rate": "1e-3", "max_epochs": "30", "patience": "5"}
# A quarter of an hour of one core for each Tetris zoo; the other repos' lengths have not been tried to their end.
# The paper trains for up to 2,500 epochs at 1e-4.
_HYPERREP = {
    "loss": "ecd",
    "beta": "0.1",
    "dropout": "0.0",
    "batch_size": "100",
    "learning_rate": "1e-3",
    "schedule": "cosine",
    "precision": "bfloat16",
}
# Collections of the same networks on other images.
_TRANSFERS = ("small-cnn-zoo",)

ENTRIES = (
    Entry("linear-w", "linear", "Ridge on flat weights", {"features": "W"}, most_weights=10_000, paper=_SCHURHOLT),
    Entry(
        "linear-stats",
        "linear",
        "Ridge on weight statistics",
        {"features": "stats"},
        transfers=_TRANSFERS,
        paper=_SCHURHOLT,
    ),
    Entry(
        "logit-stats",
        "linear",
        "Logit-linear model on weight statistics",
        {"features": "stats", "link": "logit"},
        paper=_UNTERTHINER,
    ),
    Entry("gbm-w", "gbm", "LightGBM on flat weights", {"features": "W"} | _GBM, most_weights=3_000, paper=_UNTERTHINER),
    Entry(
        "gbm-stats",
        "gbm",
        "LightGBM on weight statistics",
        {"features": "stats"} | _GBM,
        transfers=_TRANSFERS,
        paper=_UNTERTHINER,
    ),
    Entry(
        "dnn-stats", "dnn", "DNN on weight statistics", {"features": "stats"} | _DNN, random=True, paper=_UNTERTHINER
    ),
    Entry("comvex-linear", "comvex", "ComVeX-Linear", {"architecture": "linear"} | _COMVEX, random=True, paper=_LIU),
    Entry("comvex-conv", "comvex", "ComVeX-Conv", {"architecture": "conv"} | _COMVEX, random=True, paper=_LIU),
    Entry(
        "hyperrep",
        "hyperrep",
        "Hyper-representation (EcD)",
        _HYPERREP,
        by_repo={
            "tetris-zoo": {"width": "128", "heads": "1", "steps": "8000"},
            "mnist-zoo": {"width": "128", "heads": "4", "feed_forward": "256", "steps": "3000"},
            "small-cnn-zoo": {"width": "128", "heads": "4", "steps": "1000"},
        },
        random=True,
        paper=_SCHURHOLT,
    ),
    Entry("pca", "pca", "Ridge on principal components", most_weights=10_000, paper=_SCHURHOLT),
    Entry("umap", "umap", "Ridge on UMAP", by_repo={"tetris-zoo": {}}, random=True, paper=_SCHURHOLT),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}


def lay_down(board: Path, entry: Entry, zoos: Sequence[Zoo], again: bool = True) -> list[Path]:
    """Lay down the predictions of an entry, and its description.

    Args:
        board: leaderboard folder.
        entry: what to submit.
        zoos: trained on and predicted; those of one repo and scale together where the entry transfers.
        again: replace predictions that are there.

    Returns:
        the predictions files that were made.
    """
    folder = board / "submissions" / entry.name
    made: list[Path] = []
    for family in _families(entry, zoos):
        for seed in SEEDS if entry.random else (None,):
            paths = {
                zoo.id: folder / (f"{zoo.id}.parquet" if seed is None else f"{zoo.id}-seed{seed}.parquet")
                for zoo in family
            }
            if again or not all(path.exists() for path in paths.values()):
                _predict(entry, family, seed, paths)
                made += paths.values()
    known = read_description(folder / FILE_NAME).parameters if (folder / FILE_NAME).exists() else None
    counts = dict(known) if isinstance(known, dict) else {}
    missing = (zoo for zoo in zoos if zoo.id not in counts)
    counts |= {zoo.id: count for zoo in missing if (count := learned(entry, zoo)) is not None}
    content = {name: value for name, value in entry.description(counts).model_dump().items() if value not in ("", None)}
    (folder / FILE_NAME).write_bytes(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    return made


def learned(entry: Entry, zoo: Zoo) -> int | None:
    """How many numbers the baseline learns of a zoo, ``None`` for trees and for what cannot be saved.

    Counted in what it saves when it has seen a few networks for one epoch: it would be as many after all of them.
    """
    parameters = entry.parameters_on(zoo)
    made = predictor.create(entry.baseline, parameters | {name: "1" for name in _LENGTHS if name in parameters})
    if entry.baseline == "gbm" or not hasattr(made, "save"):
        return None
    split = hub.load_split(zoo, "train")
    rows = np.random.RandomState(0).permutation(len(split.weights))[:_COUNTED_ON]
    few = examples(split, learnable(split, None, fitted.uses_hyperparameters(made))).take(np.sort(rows))
    with tempfile.TemporaryDirectory() as temporary:
        made.fit(few, few).save(Path(temporary))  # type: ignore[attr-defined]
        count = 0
        for path in Path(temporary).glob("*.safetensors"):
            arrays = load_file(path)
            count += sum(values.size for name, values in arrays.items() if not name.startswith("scaler."))
    return count


def _families(entry: Entry, zoos: Sequence[Zoo]) -> list[list[Zoo]]:
    """The zoos that are predicted together."""
    families: dict[str, list[Zoo]] = {}
    for zoo in zoos:
        families.setdefault(zoo.repo if zoo.spec.repo in entry.transfers else zoo.id, []).append(zoo)
    return list(families.values())


def _predict(entry: Entry, family: Sequence[Zoo], seed: int | None, paths: Mapping[str, Path]) -> None:
    drawn = {} if seed is None else {"seed": str(seed)}
    if len(family) == 1:
        run(entry.baseline, family[0], entry.parameters_on(family[0]) | drawn, paths[family[0].id])
        return
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "predictions.parquet"
        whole = pd.concat(
            [run(entry.baseline, origin, entry.parameters_on(origin) | drawn, out, on=family) for origin in family]
        )
    for zoo, part in whole.groupby("zoo"):
        paths[str(zoo)].parent.mkdir(parents=True, exist_ok=True)
        write_predictions(part, paths[str(zoo)])
