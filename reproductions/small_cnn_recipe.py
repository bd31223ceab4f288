"""What the released trainer's recipe changes on the Small CNN Zoo: linear probes of accuracy, before and after.

    python -m reproductions.small_cnn_recipe [--runs 128] [--images ../shared/images]

Trains the first runs of ``small-cnn-zoo-lite/mnist`` by the zoo's recipe, which is that of the release's trainer, and
by the one that zoobench had before: learning rates up to the first version's 0.5 and the constants of ``torch.optim``
with momentum 0.9. Prints R² of ridge probes on W and s(W), out of fold: five folds of runs, of which three are learned
from, one chooses the penalty and one is predicted.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from sklearn.metrics import r2_score

from zoobench.distributions import LogUniform
from zoobench.predictors.predictor import Examples
from zoobench.scoring.tasks import get
from zoobench.training.images import load_images
from zoobench.zoos import Zoo, resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.runs import runs_of
from zoobench.zoos.spec import RandomSearch, Training
from zoobench_baselines.linear import LinearPredictor

from .populations import population

ZOO = "small-cnn-zoo-lite/mnist"
FOLDS = 5
TASK = "accuracy"


def before(zoo: Zoo) -> Zoo:
    """The zoo by the recipe that it had: another range of learning rates, and ``torch.optim``'s constants."""
    recipe = zoo.size.recipe
    assert isinstance(recipe, RandomSearch)
    ranges = tuple((name, LogUniform(1e-3, 0.5) if name == "learning_rate" else drawn) for name, drawn in recipe.ranges)
    changed = dataclasses.replace(recipe, ranges=ranges, training=Training())
    scales = tuple(
        (name, dataclasses.replace(scale, recipe=changed) if name == zoo.scale else scale)
        for name, scale in zoo.spec.scales
    )
    return Zoo(dataclasses.replace(zoo.spec, scales=scales), zoo.scale)


def probes(zoo: Zoo, runs: int, images: Path) -> tuple[str, dict[str, float]]:
    """What the weights are like, and R² of each feature set's probe, out of fold."""
    spec, chosen = zoo.spec, runs_of(zoo)[:runs]
    weights, labels = population(spec, chosen, load_images(spec, zoo.size, images), zoo.size.checkpoints)
    size = np.sqrt((weights.astype(np.float64) ** 2).mean(axis=1))
    quantiles = " / ".join(f"{value:.2f}" for value in np.quantile(size, [0.5, 0.95, 1]))
    names, task = labels["run_id"].unique(), get(TASK)
    fold = labels["run_id"].map({run: number % FOLDS for number, run in enumerate(names)}).to_numpy()

    def examples(rows: np.ndarray) -> Examples:
        part = labels[rows].reset_index(drop=True)
        targets = part.assign(**{TASK: task.target(part)})[[TASK]]
        return Examples(weights[rows], layout_of(spec.network), part["run_id"].to_numpy(), targets, {TASK: (0.0, 1.0)})

    found = {}
    for features in ("W", "stats"):
        predicted = np.empty(len(labels))
        for number in range(FOLDS):
            after = (fold - number) % FOLDS
            fitted = LinearPredictor(features).fit(examples(after > 1), examples(after == 1))
            predicted[after == 0] = fitted.predict(examples(after == 0))[TASK]
        found[features] = r2_score(task.target(labels), predicted)
    return quantiles, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=128)
    parser.add_argument("--images", type=Path, default=Path("..") / "shared" / "images")
    asked = parser.parse_args()
    zoo = resolve(ZOO)
    print(f"{ZOO}, {asked.runs} runs    rms weight, 50 / 95 / 100 %    R² on W    on s(W)")
    for name, one in (("before", before(zoo)), ("the release's trainer", zoo)):
        quantiles, found = probes(one, asked.runs, asked.images)
        print(f"{name:38} {quantiles:26} {found['W']:9.3f} {found['stats']:10.3f}", flush=True)


if __name__ == "__main__":
    main()
