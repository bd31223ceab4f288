"""What papers report, to be shown beside the boards: not re-scored, of other networks or splits, and never ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zoobench.scoring.tasks import get


@dataclass(frozen=True)
class Source:
    """A paper, or several that tabulate the same."""

    name: str
    link: str = ""


@dataclass(frozen=True)
class Reported:
    """One number: ``zoo`` is ``repo/config``, whatever the scale."""

    zoo: str
    task: str
    metric: str
    method: str
    value: float
    source: Source
    where: str


@dataclass(frozen=True)
class Table:
    """Numbers of one table.

    Attributes:
        source: the paper.
        where: in it, and on which networks.
        repo: of the zoos.
        methods: the paper's names.
        values: (config, task) -> one value for each method, as printed; R² and accuracies as fractions.
        metric: name of a metric; "" for each task's main one.
    """

    source: Source
    where: str
    repo: str
    methods: tuple[str, ...]
    values: Mapping[tuple[str, str], tuple[float, ...]]
    metric: str = ""

    def numbers(self) -> Iterator[Reported]:
        for (config, task), values in self.values.items():
            metric = self.metric or get(task).main_metric
            for method, value in zip(self.methods, values, strict=True):
                yield Reported(f"{self.repo}/{config}", task, metric, method, value, self.source, self.where)


UNTERTHINER = Source("Unterthiner et al. 2020", "https://arxiv.org/abs/2002.11448")
SCHURHOLT = Source("Schürholt et al. 2021", "https://arxiv.org/abs/2110.15288")
LIU = Source("Liu, Learning Compact Vector Representations from Weight Matrices")
LATER = Source("as tabulated in later papers")

_PROBED = ("W", "s(W)", "hyper-representation")
# Table 6 of Schürholt names the tasks that have a task of one meaning here; its learning rate has two.
_HYP_TASKS = ("epoch", "accuracy", "generalization_gap", "dropout", "train_fraction", "activation", "init", "optimizer")
_TABLE_6 = {
    "mnist": (
        (0.258, 0.332, 0.500),
        (0.747, 0.815, 0.949),
        (0.234, 0.244, 0.274),
        (0.285, 0.192, 0.358),
        (0.038, 0.078, 0.159),
        (0.886, 0.811, 0.887),
        (0.946, 0.720, 0.806),
        (0.767, 0.654, 0.664),
    ),
    "fashion_mnist": (
        (0.266, 0.346, 0.513),
        (0.709, 0.785, 0.962),
        (0.481, 0.411, 0.490),
        (0.267, 0.213, 0.383),
        (0.081, 0.082, 0.221),
        (0.898, 0.824, 0.901),
        (0.957, 0.765, 0.867),
        (0.799, 0.674, 0.730),
    ),
    "cifar10": (
        (0.257, 0.303, 0.533),
        (0.764, 0.829, 0.927),
        (0.377, 0.374, 0.404),
        (0.167, 0.165, 0.338),
        (0.084, 0.069, 0.354),
        (0.883, 0.803, 0.900),
        (0.935, 0.733, 0.826),
        (0.740, 0.655, 0.710),
    ),
    "svhn": (
        (0.228, 0.378, 0.526),
        (0.805, 0.821, 0.911),
        (0.387, 0.422, 0.442),
        (0.090, 0.146, 0.233),
        (0.032, 0.088, 0.214),
        (0.869, 0.788, 0.872),
        (0.910, 0.730, 0.828),
        (0.725, 0.682, 0.723),
    ),
}

TABLES = (
    Table(
        UNTERTHINER,
        "Tables 2 and 5, final checkpoints of the original zoo, own split",
        "small-cnn-zoo",
        ("GBM, statistics per layer", "GBM, W", "DNN, statistics per layer", "logit-linear, W", "GBM, λ"),
        {
            ("mnist", "accuracy"): (0.988, 0.976, 0.989, 0.799, 0.915),
            ("fashion_mnist", "accuracy"): (0.982, 0.976, 0.977, 0.832, 0.931),
            ("cifar10", "accuracy"): (0.977, 0.970, 0.977, 0.329, 0.941),
            ("svhn", "accuracy"): (0.977, 0.968, 0.978, 0.644, 0.924),
        },
    ),
    Table(
        LATER,
        "CIFAR10-GS and SVHN-GS, protocol nfn",
        "small-cnn-zoo",
        ("StatNN", "NFN-NP", "NFN-HNP", "NFT", "NG-GNN", "NG-T", "DNG"),
        {
            ("cifar10", "accuracy"): (0.915, 0.922, 0.934, 0.926, 0.930, 0.935, 0.936),
            ("svhn", "accuracy"): (0.843, 0.856, 0.931, 0.858, 0.863, 0.872, 0.867),
        },
        metric="kendall_tau",
    ),
    Table(
        LATER,
        "CIFAR10-GS and SVHN-GS, protocol nfn-relu",
        "small-cnn-zoo",
        ("ScaleGMN", "GMN"),
        {("cifar10", "accuracy"): (0.932, 0.927), ("svhn", "accuracy"): (0.866, 0.867)},
        metric="kendall_tau",
    ),
    Table(
        SCHURHOLT,
        "Table 6, own split",
        "small-cnn-zoo",
        _PROBED,
        {(zoo, task): row for zoo, rows in _TABLE_6.items() for task, row in zip(_HYP_TASKS, rows, strict=True)},
    ),
    Table(
        SCHURHOLT,
        "Table 5, own split",
        "tetris-zoo",
        _PROBED,
        {
            ("seed", "epoch"): (0.554, 0.964, 0.970),
            ("seed", "accuracy"): (0.491, 0.869, 0.902),
            ("seed", "generalization_gap"): (0.439, 0.810, 0.819),
            ("seed", "f1_class_0"): (0.266, 0.625, 0.707),
            ("seed", "f1_class_1"): (0.414, 0.631, 0.759),
            ("seed", "f1_class_2"): (0.415, 0.609, 0.694),
            ("seed", "f1_class_3"): (0.539, 0.752, 0.866),
            ("hyp", "epoch"): (0.028, 0.163, 0.167),
            ("hyp", "accuracy"): (0.110, 0.802, 0.837),
            ("hyp", "generalization_gap"): (0.129, 0.792, 0.816),
            ("hyp", "activation"): (0.747, 0.736, 0.869),
            ("hyp", "init"): (0.385, 0.466, 0.471),
        },
    ),
    Table(
        SCHURHOLT,
        "Table 4, own split",
        "mnist-zoo",
        _PROBED,
        {
            ("seed", "epoch"): (0.845, 0.977, 0.973),
            ("seed", "accuracy"): (0.913, 0.987, 0.989),
            ("seed", "generalization_gap"): (0.569, 0.662, 0.667),
            ("hyp-1-fix-seed", "epoch"): (0.072, 0.062, 0.116),
            ("hyp-1-fix-seed", "accuracy"): (0.736, 0.729, 0.895),
            ("hyp-1-fix-seed", "generalization_gap"): (0.553, 0.421, 0.619),
            ("hyp-1-fix-seed", "init"): (0.877, 0.633, 0.754),
            ("hyp-1-rand-seed", "epoch"): (-0.34, 0.005, 0.041),
            ("hyp-1-rand-seed", "accuracy"): (-0.06, 0.601, 0.857),
            ("hyp-1-rand-seed", "generalization_gap"): (-0.36, 0.311, 0.549),
            ("hyp-1-rand-seed", "init"): (0.383, 0.561, 0.482),
            ("hyp-5-fix-seed", "epoch"): (-0.027, 0.074, 0.102),
            ("hyp-5-fix-seed", "accuracy"): (0.577, 0.751, 0.794),
            ("hyp-5-fix-seed", "generalization_gap"): (0.378, 0.367, 0.577),
            ("hyp-5-fix-seed", "init"): (0.806, 0.545, 0.514),
            ("hyp-5-rand-seed", "epoch"): (-0.14, 0.096, 0.072),
            ("hyp-5-rand-seed", "accuracy"): (-0.13, 0.745, 0.825),
            ("hyp-5-rand-seed", "generalization_gap"): (-0.032, 0.461, 0.605),
            ("hyp-5-rand-seed", "init"): (0.355, 0.472, 0.404),
        },
    ),
    Table(
        LIU,
        "Tables 2 to 5, own split",
        "cnn-zoo-2",
        ("FC network", "FC-Linear", "ComVeX-Linear", "ComVeX-Conv"),
        {
            ("cifar10", "accuracy"): (0.5214, 0.2971, 0.5541, 0.9496),
            ("fashion_mnist", "accuracy"): (0.3966, 0.3718, 0.7828, 0.9562),
            ("mnist", "accuracy"): (0.7596, 0.6361, 0.9205, 0.9741),
            ("usps", "accuracy"): (0.4995, 0.373, 0.5748, 0.9693),
        },
    ),
    Table(
        LIU,
        "Tables 6 to 9, own split of the original zoo",
        "small-cnn-zoo",
        ("FC network", "FC-Linear", "ComVeX-Linear", "ComVeX-Conv"),
        {
            ("cifar10", "accuracy"): (0.9866, 0.9867, 0.9869, 0.9868),
            ("fashion_mnist", "accuracy"): (0.993, 0.9929, 0.9935, 0.9936),
            ("mnist", "accuracy"): (0.9944, 0.995, 0.9955, 0.9955),
            ("svhn", "accuracy"): (0.9834, 0.9832, 0.9871, 0.9875),
        },
    ),
)


def reported(zoo: str) -> list[Reported]:
    """The numbers for ``repo/config``."""
    return [number for table in TABLES for number in table.numbers() if number.zoo == zoo]
