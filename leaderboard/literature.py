"""What papers report, to be shown beside the boards: not re-scored, of other networks or splits, and never ranked.

Every number names the version of its source, the table there, and how it was measured. A number that only other texts
quote has the text that tabulates it as its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zoobench.scoring.tasks import get


@dataclass(frozen=True)
class Source:
    """A paper, or a release of data, in one version."""

    name: str
    version: str
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
    table: str
    protocol: str

    @property
    def where(self) -> str:
        """Version of the source, table, and how it was measured."""
        return f"{self.source.version}, {self.table}: {self.protocol}"


@dataclass(frozen=True)
class Table:
    """Numbers of one table.

    Attributes:
        source: the paper.
        table: in it.
        protocol: which networks, which split, how chosen.
        repo: of the zoos.
        methods: the paper's names.
        values: (config, task) -> one value for each method, as printed; R² and accuracies as fractions.
        metric: name of a metric; "" for each task's main one.
    """

    source: Source
    table: str
    protocol: str
    repo: str
    methods: tuple[str, ...]
    values: Mapping[tuple[str, str], tuple[float, ...]]
    metric: str = ""

    def numbers(self) -> Iterator[Reported]:
        for (config, task), values in self.values.items():
            metric, zoo = self.metric or get(task).main_metric, f"{self.repo}/{config}"
            for method, value in zip(self.methods, values, strict=True):
                yield Reported(zoo, task, metric, method, value, self.source, self.table, self.protocol)


UNTERTHINER = Source("Unterthiner et al. 2020", "arXiv version 1", "https://arxiv.org/abs/2002.11448v1")
# The data that can be downloaded are those of the paper's later version: other learning rates, optimizers and lengths.
SMALL_CNN_RELEASE = Source(
    "Small CNN Zoo, release",
    "commit 1e78a0f",
    "https://github.com/google-research/google-research/tree/1e78a0f0a6f52942ad633927ffbdc86d19396204/dnn_predict_accuracy",
)
SCHURHOLT = Source("Schürholt et al. 2021", "NeurIPS 2021", "https://arxiv.org/abs/2110.15288")
LIU = Source("Liu, Learning Compact Vector Representations from Weight Matrices", "manuscript, 2022")
NFN = Source(
    "Zhou et al. 2023, Permutation Equivariant Neural Functionals", "NeurIPS 2023", "https://arxiv.org/abs/2302.14040"
)
DNG = Source(
    "Dynamic Neural Graph Encoding of Inference Processes in Deep Weight Space",
    "arXiv 2607.02166",
    "https://arxiv.org/abs/2607.02166",
)

_FIRST_VERSION = "final checkpoints after 18 epochs, 15,000 runs to learn from, best of 1,000 draws by 3 folds of them"
_RELEASE = "R² on final checkpoints, 15,000 runs to learn from; its notebook stops early on the test runs"
_NFN = "protocol nfn, CIFAR10-GS and SVHN-GS"
_BY_RUN = "all checkpoints, split 70/15/15 by run, linear probes"
_BY_BATCH = "split .8/.1/.2 as printed, best of 100 draws by validation; R² averaged over batches, by its code"

_PROBED = ("W", "s(W)", "hyper-representation")
# Table 6 of Schürholt, rows in its order; learning rate and L2 coefficient as they are, without a logarithm.
_HYP_TASKS = (
    *("epoch", "accuracy", "generalization_gap", "learning_rate", "weight_decay", "dropout", "train_fraction"),
    *("activation", "init", "optimizer"),
)
_TABLE_6 = {
    "mnist": (
        (0.258, 0.332, 0.500),
        (0.747, 0.815, 0.949),
        (0.234, 0.244, 0.274),
        (0.293, 0.343, 0.371),
        (0.125, 0.165, 0.201),
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
        (0.335, 0.356, 0.424),
        (0.119, 0.163, 0.250),
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
        (0.274, 0.323, 0.447),
        (0.087, 0.138, 0.280),
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
        (0.245, 0.334, 0.491),
        (0.090, 0.136, 0.280),
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
        "Table 2",
        _FIRST_VERSION,
        "small-cnn-zoo",
        ("GBM, statistics per layer", "GBM, W", "GBM, λ"),
        {
            ("mnist", "accuracy"): (0.988, 0.976, 0.915),
            ("fashion_mnist", "accuracy"): (0.982, 0.976, 0.931),
            ("cifar10", "accuracy"): (0.977, 0.970, 0.941),
            ("svhn", "accuracy"): (0.977, 0.968, 0.924),
        },
    ),
    Table(
        UNTERTHINER,
        "Table 5",
        _FIRST_VERSION,
        "small-cnn-zoo",
        ("DNN, statistics per layer", "DNN, W", "logit-linear, statistics per layer", "logit-linear, W"),
        {
            ("mnist", "accuracy"): (0.989, 0.951, 0.815, 0.799),
            ("fashion_mnist", "accuracy"): (0.977, 0.951, 0.835, 0.832),
            ("cifar10", "accuracy"): (0.977, 0.952, 0.730, 0.329),
            ("svhn", "accuracy"): (0.978, 0.926, 0.759, 0.644),
        },
    ),
    Table(
        SMALL_CNN_RELEASE,
        "best_configs.json, lgbm",
        _RELEASE,
        "small-cnn-zoo",
        ("GBM, statistics per layer", "GBM, W", "GBM, λ", "GBM, learning rate"),
        {
            ("mnist", "accuracy"): (0.9928, 0.9879, 0.9177, 0.0241),
            ("fashion_mnist", "accuracy"): (0.9931, 0.9895, 0.9244, 0.0346),
            ("cifar10", "accuracy"): (0.9840, 0.9704, 0.9337, 0.0149),
            ("svhn", "accuracy"): (0.9857, 0.9711, 0.9349, 0.0339),
        },
    ),
    Table(
        SMALL_CNN_RELEASE,
        "best_configs.json, dnn and linear",
        _RELEASE,
        "small-cnn-zoo",
        ("DNN, statistics per layer", "DNN, W", "logit-linear, statistics per layer", "logit-linear, W"),
        {
            ("mnist", "accuracy"): (0.9928, 0.9799, 0.9204, 0.8466),
            ("fashion_mnist", "accuracy"): (0.9919, 0.9805, 0.8043, 0.7329),
            ("cifar10", "accuracy"): (0.9802, 0.9536, 0.7268, 0.6623),
            ("svhn", "accuracy"): (0.9852, 0.9308, 0.8524, 0.7861),
        },
    ),
    Table(
        NFN,
        "Table 2",
        _NFN,
        "small-cnn-zoo",
        ("StatNN", "NFN-NP", "NFN-HNP"),
        {("cifar10", "accuracy"): (0.915, 0.922, 0.934), ("svhn", "accuracy"): (0.843, 0.856, 0.931)},
        metric="kendall_tau",
    ),
    Table(
        DNG,
        "Table 2",
        f"{_NFN}; NFT, NG-GNN and NG-T as tabulated there",
        "small-cnn-zoo",
        ("NFT", "NG-GNN", "NG-T", "DNG-Encoder"),
        {("cifar10", "accuracy"): (0.926, 0.930, 0.935, 0.936), ("svhn", "accuracy"): (0.858, 0.863, 0.872, 0.867)},
        metric="kendall_tau",
    ),
    Table(
        SCHURHOLT,
        "Table 6",
        f"{_BY_RUN}; EcD",
        "small-cnn-zoo",
        _PROBED,
        {(zoo, task): row for zoo, rows in _TABLE_6.items() for task, row in zip(_HYP_TASKS, rows, strict=True)},
    ),
    Table(
        SCHURHOLT,
        "Table 5",
        f"{_BY_RUN}; EcD",
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
            ("hyp", "learning_rate"): (-0.047, 0.534, 0.511),
            ("hyp", "activation"): (0.747, 0.736, 0.869),
            ("hyp", "init"): (0.385, 0.466, 0.471),
        },
    ),
    Table(
        SCHURHOLT,
        "Table 4",
        f"{_BY_RUN}; Ec+D on seed and hyp-1-rand-seed, EcD on the others",
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
        "Tables 2 to 5",
        _BY_BATCH,
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
        "Tables 6 to 9",
        f"the original zoo; {_BY_BATCH}",
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
