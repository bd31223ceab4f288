"""How the Tetris recipe was chosen: linear probes of candidate recipes, scored on the validation split.

    python -m reproductions.tetris_recipe

Trains 200 runs of the seed zoo for each candidate (training images per class, grey noise of training and of test
images, learning rate), and prints validation R² in % of ridge probes on W and s(W), with the networks' final test
accuracy and generalization gap. Half a minute of one core for each 500 images of a class.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from zoobench.predictors.predictor import Examples
from zoobench.scoring.tasks import tasks_of
from zoobench.training.images import load_images
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.runs import runs_of
from zoobench.zoos.spec import TetrisImages
from zoobench.zoos.splits import split_of
from zoobench_baselines.linear import LinearPredictor

from .populations import population

CANDIDATES = (
    (250, 0.2, 0.5, 3e-4),
    (500, 0.2, 0.5, 3e-4),
    (500, 0.2, 0.5, 1e-3),
    (500, 0.2, 0.5, 1e-4),
    (500, 0.3, 0.5, 3e-4),
    (500, 0.3, 0.3, 3e-4),
)
RUNS = 200


def candidate_population(
    per_class: int, noise: float, test_noise: float, rate: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """Weights (rows, 100) and labels of a candidate's runs."""
    zoo = resolve("tetris-zoo/seed")
    assert isinstance(zoo.spec.images, TetrisImages)
    drawn = dataclasses.replace(zoo.spec.images, train_per_class=per_class)
    images = dataclasses.replace(drawn, train_noise_std=noise, test_noise_std=test_noise)
    spec = dataclasses.replace(zoo.spec, images=images)
    fixed = dataclasses.replace(zoo.size.recipe.fixed, learning_rate=rate)
    runs = [dataclasses.replace(run, hyperparameters=fixed) for run in runs_of(zoo)[:RUNS]]
    return population(spec, runs, load_images(spec, zoo.size), zoo.size.checkpoints)


def probe(weights: np.ndarray, labels: pd.DataFrame, features: str) -> dict[str, float]:
    """Validation R² of the linear probe per task."""
    spec = resolve("tetris-zoo/seed").spec
    targets = pd.DataFrame({task.name: task.target(labels) for task in tasks_of(spec)})
    split = labels["run_id"].map({run: split_of(spec, run) for run in labels["run_id"].unique()})

    def examples(name: str) -> Examples:
        rows = (split == name).to_numpy()
        runs = labels["run_id"].to_numpy()[rows]
        return Examples(weights[rows], layout_of(spec.network), runs, targets[rows].reset_index(drop=True), {})

    train_examples, validation = examples("train"), examples("validation")
    predicted = LinearPredictor(features).fit(train_examples, validation).predict(validation)
    error = (predicted - validation.targets).pow(2).mean()
    return dict(1 - error / validation.targets.var(ddof=0))


def main() -> None:
    print(f"{'images/class, noise, test noise, rate':38} feat  epoch   acc   gap    f1 of the classes   final acc, gap")
    for candidate in CANDIDATES:
        weights, labels = candidate_population(*candidate)
        last = labels[labels["epoch"] == labels["epoch"].max()]
        ends = f"{last['test_accuracy'].mean():.2f} {last['generalization_gap'].mean():.2f}"
        for features in ("W", "stats"):
            r2 = {task: 100 * value for task, value in probe(weights, labels, features).items()}
            main_tasks = " ".join(f"{r2[task]:5.1f}" for task in ("epoch", "accuracy", "generalization_gap"))
            classes = " ".join(f"{r2[f'f1_class_{k}']:4.0f}" for k in range(4))
            print(f"{candidate!s:38} {features:5} {main_tasks}  {classes}   {ends}", flush=True)


if __name__ == "__main__":
    main()
