"""Tables 2 to 9 of Liu on our zoos beside the paper's, its Figure 3, and its pictures of embeddings with numbers.

    python -m reproductions.comvex [--scale lite] [--trials 5] [--work build/comvex] [--pictures mnist]

Every row is a search over the ranges of the paper's appendix A, judged by 3-fold cross-validation on the train runs
(CNN Zoo 2: on the validation runs), fitted once more and scored on the test split. Predictions, models and trials stay
in ``--work``, and what is there is not computed again. Tables go into docs/reproduction/comvex.md, where each zoo has a
section between two marks, so that zoos can be done one after the other; pictures into docs/reproduction/comvex/.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import r2_score

from zoobench.data import hub
from zoobench.files import write_atomically
from zoobench.predictors.examples import examples
from zoobench.predictors.predictor import Examples
from zoobench.predictors.run import Selection, run
from zoobench.publishing.documents import table, write
from zoobench.scoring.tasks import get
from zoobench.weightspace import embeddings
from zoobench.weightspace.figures import Figure
from zoobench.zoos import Zoo
from zoobench_baselines.comvex import ComVeXConfig, ComVeXModel, ComVeXPredictor
from zoobench_baselines.encoding import encoded, load_encoder
from zoobench_leaderboard.literature import LIU, reported

from .reproduction import DOCUMENTS, Work, about, built, difference, kept_numbers, parser, scores

TITLE = "Compact vectors from weight matrices: ComVeX of Liu on our zoos"
TASK = "accuracy"
ARCHITECTURES: Mapping[str, str] = {
    "fc": "FC network",
    "fc-linear": "FC-Linear",
    "linear": "ComVeX-Linear",
    "conv": "ComVeX-Conv",
}
# Of the comparison of splits: within the ranges of the paper's appendix A.
SAME: Mapping[str, Any] = {
    "hidden_layers": 3,
    "hidden_size": 256,
    "dropout": 0.1,
    "learning_rate": 5e-4,
    "batch_size": 128,
    "max_epochs": 25,
    "patience": 6,
}
# (repo, config) -> the paper's table, and by architecture its parameters and test loss.
PAPER: Mapping[tuple[str, str], tuple[int, tuple[tuple[int, float], ...]]] = {
    ("cnn-zoo-2", "cifar10"): (
        2,
        (
            (35_608_249, 0.011631),
            (19_974_475, 0.016832),
            (5_954_785, 0.010816),
            (391_325, 0.001233),
        ),
    ),
    ("cnn-zoo-2", "fashion_mnist"): (
        3,
        (
            (32_530_569, 0.023807),
            (19_827_601, 0.024885),
            (5_851_759, 0.008128),
            (1_530_671, 0.00173),
        ),
    ),
    ("cnn-zoo-2", "mnist"): (
        4,
        (
            (36_295_603, 0.02099),
            (19_930_939, 0.031575),
            (6_249_599, 0.00694),
            (1_400_207, 0.002254),
        ),
    ),
    ("cnn-zoo-2", "usps"): (
        5,
        (
            (38_509_217, 0.04628),
            (20_236_345, 0.057672),
            (6_065_281, 0.037939),
            (843_887, 0.002792),
        ),
    ),
    ("small-cnn-zoo", "cifar10"): (
        6,
        (
            (3_538_509, 0.000171),
            (1_774_519, 0.000168),
            (1_623_967, 0.000169),
            (458_153, 0.000167),
        ),
    ),
    ("small-cnn-zoo", "fashion_mnist"): (
        7,
        (
            (3_848_853, 0.000558),
            (2_017_377, 0.000564),
            (842_399, 0.000505),
            (966_321, 0.000513),
        ),
    ),
    ("small-cnn-zoo", "mnist"): (
        8,
        (
            (2_817_777, 0.000658),
            (1_956_661, 0.000586),
            (1_397_399, 0.000521),
            (1_339_361, 0.000533),
        ),
    ),
    ("small-cnn-zoo", "svhn"): (
        9,
        (
            (3_675_685, 0.000265),
            (2_054_869, 0.000269),
            (1_192_327, 0.000206),
            (950_801, 0.000203),
        ),
    ),
}


def fitted(work: Work, zoo: Zoo, architecture: str, trials: int) -> Path:
    """The predictions file of one row; the model is saved beside it, in a folder of the same name."""

    def make(path: Path) -> None:
        selection = Selection(trials, work.folder / "trials.db")
        parameters = {"architecture": architecture, "seed": "0"}
        run("comvex", zoo, parameters, path, only=[TASK], selection=selection, keep=path.with_suffix(""))

    return work.entry(f"{architecture}-{zoo.repo}-{zoo.spec.config}", make)


def size(folder: Path) -> int:
    """Parameters of a saved model."""
    return sum(parameter.numel() for parameter in load_encoder(folder).parameters())


def rows_of(work: Work, zoo: Zoo, trials: int) -> list[list[str]]:
    # The smallest models first.
    paths = {architecture: fitted(work, zoo, architecture, trials) for architecture in reversed(list(ARCHITECTURES))}
    r2 = {number.method: number.value for number in reported(zoo.spec.id) if number.source == LIU}
    rows = []
    for (architecture, name), paper in zip(
        ARCHITECTURES.items(), PAPER[zoo.spec.repo, zoo.spec.config][1], strict=True
    ):
        path = paths[architecture]
        found = scores(path, TASK, "all")
        parameters = size(path.with_suffix(""))
        texts = [name, f"{paper[0]:,}", f"{parameters:,}", f"{paper[1]:.6f}", f"{found['mse'].value:.6f}"]
        texts += [
            f"{r2[name]:.4f}",
            str(found["r2"]),
            *(difference(path, paths[other], TASK) if architecture != other else "–" for other in ("fc", "linear")),
        ]
        rows.append(texts)
    return rows


def trials_picture(work: Work, zoo: Zoo) -> Figure:
    """Figure 3: parameters against validation R² of every trial."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    layout = hub.load_split(zoo, "validation").layout.to_json()
    for architecture, name in ARCHITECTURES.items():
        record = json.loads(
            (work.folder / f"{architecture}-{zoo.repo}-{zoo.spec.config}-chosen.json").read_text(encoding="utf-8")
        )
        points = [
            (sized(architecture, layout, trial["parameters"]), max(trial["scores"][TASK], 0.0))
            for trial in record["trials"]
            if trial["scores"][TASK] is not None
        ]
        parameters, judged = zip(*points, strict=True)
        axes.scatter(parameters, judged, s=18, label=name)
    axes.set(xscale="log", xlabel="parameters", ylabel="validation R² (below 0: at 0)", title=zoo.id)
    axes.legend(fontsize="x-small")
    return figure


def sized(architecture: str, layout: list[dict[str, object]], parameters: Mapping[str, int]) -> int:
    """Parameters of the model of one trial."""
    head = {"task": TASK, "low": 0.0, "high": 1.0, "bounded": True, "classes": ()}
    with torch.device("meta"):
        layers, width = parameters["hidden_layers"], parameters["hidden_size"]
        config = ComVeXConfig(architecture, layout, hidden_layers=layers, hidden_size=width, heads=[head])
        model = ComVeXModel(config)
    return sum(parameter.numel() for parameter in model.parameters())


def same_parameters(work: Work, zoo: Zoo, architecture: str) -> Path:
    """Predictions by an architecture with the parameters ``SAME``, on the zoo's own splits."""
    parameters = {name: str(value) for name, value in SAME.items()} | {"architecture": architecture, "seed": "0"}
    return work.entry(
        f"same-{architecture}-{zoo.repo}-{zoo.spec.config}",
        lambda path: run("comvex", zoo, parameters, path, only=[TASK]),
    )


def by_rows(work: Work, zoo: Zoo) -> Mapping[str, float]:
    """Test R² of the architectures with the parameters ``SAME`` where rows are split instead of runs.

    Other checkpoints of the very runs that are tested are in the train split then.
    """
    path = work.folder / f"split-by-rows-{zoo.repo}-{zoo.spec.config}.json"
    found = kept_numbers(path)
    for name in reversed(list(ARCHITECTURES)):
        if name not in found:
            train, validation, test = shuffled(
                *(examples(hub.load_split(zoo, split), [get(TASK)]) for split in ("train", "validation", "test"))
            )
            predicted = ComVeXPredictor(name, **SAME).fit(train, validation).predict(test.only(()))
            found[name] = r2_score(test.targets[TASK], predicted[TASK])
            write_atomically(path, (json.dumps(found, indent=1) + "\n").encode())
            print(f"{name}, split by rows: {found[name]:.3f}", flush=True)
    return found


def splits_table(work: Work, zoo: Zoo) -> str:
    """What the split does to every architecture."""
    leaked = by_rows(work, zoo)
    paths = {name: same_parameters(work, zoo, name) for name in reversed(list(ARCHITECTURES))}
    rows = []
    for name, label in ARCHITECTURES.items():
        over = [difference(paths[name], paths[other], TASK) if other != name else "–" for other in ("fc", "linear")]
        found = scores(paths[name], TASK, "all")
        rows.append([label, str(found["r2"]), *over, str(found["kendall_tau"]), f"{leaked[name]:.3f}"])
    head = ["architecture", "test R², split by runs", "over FC", "over ComVeX-Linear", "τ-b, split by runs"]
    head += ["test R², split by rows"]
    return table(head, rows)


def shuffled(*splits: Examples) -> list[Examples]:
    """The same rows in splits of the same sizes, without regard to runs."""
    sizes = [len(split.weights) for split in splits]
    whole = dataclasses.replace(
        splits[0],
        weights=np.concatenate([split.weights for split in splits]),
        runs=np.concatenate([split.runs for split in splits]),
        targets=pd.concat([split.targets for split in splits]),
        folds=None,
    )
    order = np.random.RandomState(0).permutation(sum(sizes))
    return [whole.take(rows) for rows in np.split(order, np.cumsum(sizes)[:-1])]


def separations(work: Work, zoo: Zoo) -> list[list[str]]:
    """Figures 4 to 13: pictures of raw weights and of each encoder's vectors, and how well they separate networks."""
    networks = hub.load_split(zoo, "test")
    vectors = {"weights": networks.weights}
    for architecture in ("fc-linear", "linear", "conv"):
        encoder = load_encoder(work.folder / f"{architecture}-{zoo.repo}-{zoo.spec.config}")
        vectors[architecture] = np.stack(encoded(encoder, networks)["z"].to_numpy())
    folder = DOCUMENTS / "comvex" / f"{zoo.repo}-{zoo.spec.config}"
    found = embeddings.draw_embeddings(vectors, networks.labels, zoo.id, folder)
    return [
        [
            {"weights": "raw weights"}.get(name) or ARCHITECTURES[name],
            f"{measured.dimensions:,}",
            f"{measured.neighbour_gap:.3f}",
            f"{measured.random_gap:.3f}",
            f"{measured.trustworthiness:.3f}",
            f"{measured.explained:.0%}",
        ]
        for name, measured in found.items()
    ]


def section(work: Work, zoo: Zoo, trials: int, pictures: bool) -> list[str]:
    """What is said of one zoo."""
    head = ["architecture", "parameters, paper", "ours", "test loss, paper", "ours", "test R², paper", "ours"]
    head += ["over FC", "over ComVeX-Linear"]
    runs = {split: hub.load_labels(zoo, split).frame["run_id"].nunique() for split in ("train", "validation", "test")}
    counted = ", ".join(f"{count:,} {split}" for split, count in runs.items())
    number = PAPER[zoo.spec.repo, zoo.spec.config][0]
    parts = [f"**Table {number}, `{zoo.id}`** ({counted} runs).\n\n{table(head, rows_of(work, zoo, trials))}"]
    folder = f"comvex/{zoo.repo}-{zoo.spec.config}"
    DOCUMENTS.joinpath(folder).mkdir(parents=True, exist_ok=True)
    trials_picture(work, zoo).savefig(DOCUMENTS / folder / "trials.png", dpi=100, metadata={"Software": None})
    parts.append(f"**Figure 3.**\n\n![parameters against validation R² of every trial]({folder}/trials.png)")
    if pictures and zoo.spec.repo == "cnn-zoo-2":
        said = ", ".join(f"{name} {value}" for name, value in SAME.items())
        parts.append(f"**What splits do, `{zoo.id}`** ({said}).\n\n{splits_table(work, zoo)}")
    if pictures:
        head = ["vectors", "dimensions", "neighbour gap", "random gap", "trustworthiness", "variance shown"]
        parts.append(f"**Figures 4 to 13, `{zoo.id}`**, test split.\n\n{table(head, separations(work, zoo))}")
    return parts


def main() -> None:
    options = parser(__doc__, "comvex")
    options.add_argument("--repos", default="cnn-zoo-2,small-cnn-zoo")
    options.add_argument("--pictures", default="mnist", help="config whose embeddings are drawn")
    arguments = options.parse_args()
    for repo in arguments.repos.split(","):
        configs = [config for name, config in PAPER if name == repo]
        for zoo in built(repo, configs, arguments.scale, arguments.collections):
            work = Work(arguments.work / f"{zoo.repo}-{zoo.spec.config}")
            parts = section(work, zoo, arguments.trials, zoo.spec.config == arguments.pictures)
            command = f"python -m reproductions.comvex --scale {arguments.scale} --trials {arguments.trials}"
            command += f" --repos {repo} --collections {zoo.spec.config}"
            write(DOCUMENTS / "comvex.md", TITLE, [about(command, work, [zoo]), *parts], zoo.id)


if __name__ == "__main__":
    main()
