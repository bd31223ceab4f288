"""Tables 1, 2, 3 and 5 of Unterthiner et al. 2020 on our zoos, beside the paper's.

    python -m reproductions.unterthiner [--scale lite] [--trials 5] [--tables 2,5] [--work build/unterthiner]

Every entry is a search over the paper's ranges by 3-fold cross-validation on the train runs, fitted once more and
scored on the test split: predictions, and what was chosen, stay in ``--work``, and what is there is not computed again.
Tables go into docs/reproduction/unterthiner.md, each into a section between two marks; the text around them stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zoobench.predictors.run import Selection, run
from zoobench.publishing.documents import table, write
from zoobench.scoring.harness import evaluate
from zoobench.zoos import Zoo

from .reproduction import (
    DOCUMENTS,
    ERRORS_BY_NORM,
    Work,
    about,
    add_tables,
    built,
    difference,
    errors_by_norm,
    parser,
    scores,
)

TITLE = "Predicting accuracy from weights: Unterthiner et al. 2020 on our zoos"
TASK = "accuracy"
COLLECTIONS = ("mnist", "fashion_mnist", "cifar10", "svhn")
# Features as the paper names them, ours, and R² of the GBM on the four collections.
TABLE_2: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "W¹": ("W1", (0.921, 0.937, 0.944, 0.931)),
    "W²": ("W2", (0.905, 0.917, 0.893, 0.831)),
    "W³": ("W3", (0.904, 0.929, 0.913, 0.845)),
    "W⁴": ("W4", (0.976, 0.976, 0.967, 0.960)),
    "W": ("W", (0.976, 0.976, 0.970, 0.968)),
    "ℓ1 norms": ("l1", (0.965, 0.962, 0.955, 0.961)),
    "ℓ2 norms": ("l2", (0.963, 0.959, 0.951, 0.961)),
    "statistics of W": ("stats-global", (0.853, 0.896, 0.857, 0.778)),
    "statistics per layer": ("stats", (0.988, 0.982, 0.977, 0.977)),
    "λ": ("lambda", (0.915, 0.931, 0.941, 0.924)),
    "learning rate": ("learning-rate", (0.545, 0.598, 0.590, 0.390)),
    "λ, W": ("lambda+W", (0.980, 0.980, 0.975, 0.972)),
    "statistics, last layer": ("stats-last", (0.948, 0.962, 0.919, 0.922)),
    "statistics, first and last": ("stats-first-last", (0.965, 0.976, 0.962, 0.963)),
}
# Table 5: the three predictors on the same four collections.
TABLE_5: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("linear", "W4"): (0.876, 0.901, 0.840, 0.825),
    ("linear", "W"): (0.799, 0.832, 0.329, 0.644),
    ("linear", "stats-global"): (0.410, 0.511, 0.345, 0.103),
    ("linear", "stats"): (0.815, 0.835, 0.730, 0.759),
    **{("gbm", ours): paper for ours, paper in TABLE_2.values() if ours in ("W4", "W", "stats-global", "stats")},
    ("dnn", "W4"): (0.975, 0.976, 0.973, 0.966),
    ("dnn", "W"): (0.951, 0.951, 0.952, 0.926),
    ("dnn", "stats-global"): (0.819, 0.871, 0.825, 0.768),
    ("dnn", "stats"): (0.989, 0.977, 0.977, 0.978),
}
TABLE_3 = ((0.92, 0.76, 0.78, 0.69), (0.70, 0.90, 0.76, 0.66), (0.70, 0.62, 0.90, 0.71), (0.62, 0.57, 0.70, 0.85))
PROTOCOLS = ("final", "all")
NAMES = {"gbm": "GBM", "linear": "logit-linear", "dnn": "DNN"}


def predictions(work: Work, zoo: Zoo, baseline: str, features: str, trials: int, on: Sequence[Zoo] = ()) -> Path:
    """The predictions file of one entry."""
    parameters = {"features": features} | ({"link": "logit"} if baseline == "linear" else {"seed": "0"})
    selection = None if baseline == "linear" else Selection(trials, work.folder / "trials.db")
    return work.entry(
        f"{baseline}-{features}-{zoo.spec.config}{'-on-all' if on else ''}",
        lambda path: run(baseline, zoo, parameters, path, on=on, only=[TASK], selection=selection),
    )


def entries(
    work: Work, zoos: Sequence[Zoo], trials: int, baseline: str, features: str, paper: Sequence[float], protocol: str
) -> list[str]:
    """A row: for every zoo the paper's R² and ours."""
    texts = []
    for zoo in zoos:
        path = predictions(work, zoo, baseline, features, trials)
        texts += [f"{paper[column(zoo)]:.3f}", str(scores(path, TASK, protocol)["r2"])]
    return texts


def column(zoo: Zoo) -> int:
    """Of a zoo in the paper's tables."""
    return COLLECTIONS.index(zoo.spec.config)


def columns(zoos: Sequence[Zoo]) -> list[str]:
    return [text for zoo in zoos for text in (f"{zoo.spec.config}, paper", "ours")]


def inputs(work: Work, zoos: Sequence[Zoo], trials: int) -> list[str]:
    parts = []
    for protocol in PROTOCOLS:
        rows = [
            [name, *entries(work, zoos, trials, "gbm", ours, paper, protocol)]
            for name, (ours, paper) in TABLE_2.items()
        ]
        head = ["features", *columns(zoos)]
        parts.append(f"**Table 2, protocol `{protocol}`.** R² of the GBM.\n\n{table(head, rows)}")
    return parts


def predictors(work: Work, zoos: Sequence[Zoo], trials: int) -> list[str]:
    parts = []
    for protocol in PROTOCOLS:
        rows = [
            [NAMES[baseline], f"`{features}`", *entries(work, zoos, trials, baseline, features, paper, protocol)]
            for (baseline, features), paper in TABLE_5.items()
        ]
        head = ["predictor", "features", *columns(zoos)]
        parts.append(f"**Tables 1 and 5, protocol `{protocol}`.** R² of all predictors.\n\n{table(head, rows)}")
    return parts


def order(work: Work, zoos: Sequence[Zoo], trials: int) -> list[str]:
    """The paper's order on W and statistics: what each method has over the next, on the same networks."""
    pairs = (("gbm", "stats"), ("gbm", "W"), ("linear", "W"))
    rows = []
    for protocol in PROTOCOLS:
        for (better, first), (worse, second) in itertools.pairwise(pairs):
            texts = []
            for zoo in zoos:
                files = [predictions(work, zoo, *pair, trials) for pair in ((better, first), (worse, second))]
                texts.append(difference(files[0], files[1], TASK, protocol))
            names = [f"{NAMES[baseline]} on `{features}`" for baseline, features in ((better, first), (worse, second))]
            rows.append([f"`{protocol}`", " over ".join(names), *texts])
    head = ["protocol", "R²", *(zoo.spec.config for zoo in zoos)]
    return [f"**The order of Table 1**, by a paired bootstrap over test runs.\n\n{table(head, rows)}"]


def errors(work: Work, zoos: Sequence[Zoo], trials: int) -> list[str]:
    """Where the logit-linear model errs."""
    rows = [
        [f"`{features}`", *(errors_by_norm(predictions(work, zoo, "linear", features, trials), zoo) for zoo in zoos)]
        for features in ("W", "stats")
    ]
    head = ["features", *(zoo.spec.config for zoo in zoos)]
    return [f"**Errors of the logit-linear model, protocol `all`.** {ERRORS_BY_NORM}\n\n{table(head, rows)}"]


def transfer(work: Work, zoos: Sequence[Zoo], trials: int) -> list[str]:
    files = [predictions(work, zoo, "gbm", "stats", trials, zoos) for zoo in zoos]
    parts = []
    for protocol in PROTOCOLS:
        (matrix,) = evaluate(files, protocols=[protocol]).matrices()
        rows = []
        for zoo, found in zip(zoos, matrix.scores, strict=True):
            texts = [
                (f"{TABLE_3[column(zoo)][column(on)]:.2f}", str(score)) for on, score in zip(zoos, found, strict=True)
            ]
            rows.append([zoo.spec.config, *(text for pair in texts for text in pair)])
        parts.append(
            f"**Table 3, protocol `{protocol}`.** Kendall's τ-b, rows trained on, columns tested on.\n\n"
            + table(["trained on", *columns(zoos)], rows)
        )
    return parts


TABLES: Mapping[str, Callable[[Work, Sequence[Zoo], int], list[str]]] = {
    "2": inputs,
    "5": predictors,
    "order": order,
    "errors": errors,
    "3": transfer,
}


def main() -> None:
    options = parser(__doc__, "unterthiner")
    add_tables(options, list(TABLES))
    arguments = options.parse_args()
    zoos = built("small-cnn-zoo", COLLECTIONS, arguments.scale, arguments.collections)
    for name in arguments.tables:
        work = Work(arguments.work)
        parts = TABLES[name](work, zoos, arguments.trials)
        command = f"python -m reproductions.unterthiner --scale {arguments.scale} --trials {arguments.trials}"
        command += f" --tables {name} --collections {','.join(zoo.spec.config for zoo in zoos)}"
        write(DOCUMENTS / "unterthiner.md", TITLE, [about(command, work, zoos), *parts], f"table {name}")


if __name__ == "__main__":
    main()
