"""The paper's side of docs/reproduction/hyperrep.md: the tables of Schürholt 2021 that no board shows, in percent."""

from collections.abc import Mapping

TETRIS_TASKS = ("epoch", "accuracy", "f1_class_0", "f1_class_1", "f1_class_2", "f1_class_3")
# Table 1, losses: reconstruction R², then TETRIS_TASKS.
LOSSES: Mapping[str, tuple[float | None, ...]] = {
    "ec": (None, 96.7, 90.8, 67.7, 72.0, 74.4, 85.8),
    "ed": (96.1, 88.3, 68.9, 47.8, 57.2, 33.0, 58.1),
    "ecd": (84.1, 97.0, 90.2, 70.7, 75.9, 69.4, 86.6),
    "ec+d": (95.9, 94.0, 69.9, 48.9, 58.1, 32.5, 58.8),
}
# Table 2, architectures, likewise.
ARCHITECTURES: Mapping[str, tuple[float | None, ...]] = {
    "ff": (0.0, 80.0, 85.3, 57.3, 53.9, 64.5, 80.1),
    "att-w": (6.8, 95.3, 71.1, 47.9, 69.0, 49.9, 61.3),
    "att-w+t": (74.1, 95.4, 88.6, 65.6, 69.8, 69.9, 86.8),
    "att-n": (89.4, 97.1, 88.4, 71.4, 80.8, 69.1, 82.3),
    "att-n+t": (84.1, 97.0, 90.2, 70.7, 75.9, 69.4, 86.6),
}
# Table 3, augmentations by loss: reconstruction R².
AUGMENTATIONS = ("", "P", "E", "N", "PE", "PN", "EN", "PEN")
RECONSTRUCTION: Mapping[str, tuple[float, ...]] = {
    "ed": (88.1, 95.5, 89.8, 88.8, 96.1, 95.6, 89.7, 96.1),
    "ecd": (49.2, 72.9, 67.3, 59.4, 84.1, 81.9, 65.4, 84.1),
    "ec+d": (86.3, 95.6, 88.5, 87.6, 95.9, 95.8, 89.0, 96.0),
}
# Table 4, top: variance of the weights, and within groups of one initialiser and activation.
MNIST_VARIANCES: Mapping[str, tuple[float, float]] = {
    "seed": (0.234, 0.234),
    "hyp-1-fix-seed": (0.155, 0.101),
    "hyp-1-rand-seed": (0.152, 0.164),
    "hyp-5-fix-seed": (0.091, 0.094),
    "hyp-5-rand-seed": (0.092, 0.100),
}
# The same: reconstruction R² of train and test networks, Ec+D.
MNIST_RECONSTRUCTION: Mapping[str, tuple[float, float]] = {
    "seed": (73.4, 59.0),
    "hyp-1-fix-seed": (91.3, 72.9),
    "hyp-1-rand-seed": (80.0, 37.2),
    "hyp-5-fix-seed": (81.3, 70.0),
    "hyp-5-rand-seed": (65.6, 38.6),
}
# Table 4, bottom: the loss of the hyper-representation there, which differs between zoos.
MNIST_LOSS: Mapping[str, str] = {
    "seed": "ec+d",
    "hyp-1-fix-seed": "ecd",
    "hyp-1-rand-seed": "ec+d",
    "hyp-5-fix-seed": "ecd",
    "hyp-5-rand-seed": "ecd",
}
# Table 5: what stands between W and s(W) there; W, s(W) and EcD are in the leaderboard's literature.
REDUCED: Mapping[str, Mapping[str, tuple[float, float, float, float]]] = {
    "seed": {
        "epoch": (46.9, 77.8, 93.5, 0.00),
        "accuracy": (23.9, 74.7, 74.9, 0.01),
        "generalization_gap": (28.3, 72.9, 75.7, 0.01),
        "f1_class_0": (0.07, 52.8, 49.1, 0.02),
        "f1_class_1": (30.2, 48.6, 58.6, 0.01),
        "f1_class_2": (0.06, 38.3, 38.5, 0.01),
        "f1_class_3": (44.6, 73.8, 72.2, 0.00),
    },
    "hyp": {
        "epoch": (2.7, 0.04, 13.1, 0.03),
        "accuracy": (14.0, 0.81, 73.8, 0.7),
        "generalization_gap": (12.9, 0.31, 76.0, 0.3),
        "activation": (72.7, 45.1, 74.2, 45.9),
        "init": (36.4, 32.7, 35.4, 33.6),
    },
}
# Table 7: Kendall's τ of the generalization gap; trained on -> tested on -> W, s(W), Ec+D.
TRANSFER: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "mnist": {
        "mnist": (0.36, 0.29, 0.36),
        "fashion_mnist": (0.21, 0.14, 0.27),
        "svhn": (0.26, 0.12, 0.23),
        "cifar10": (-0.01, -0.04, 0.02),
    },
    "fashion_mnist": {
        "mnist": (-0.02, 0.08, 0.02),
        "fashion_mnist": (0.54, 0.48, 0.56),
        "svhn": (0.06, 0.14, 0.01),
        "cifar10": (0.07, 0.10, 0.27),
    },
    "svhn": {
        "mnist": (0.05, 0.15, -0.04),
        "fashion_mnist": (-0.02, 0.27, 0.10),
        "svhn": (0.44, 0.34, 0.45),
        "cifar10": (-0.02, 0.08, 0.10),
    },
    "cifar10": {
        "mnist": (0.11, 0.09, 0.06),
        "fashion_mnist": (0.38, 0.36, 0.39),
        "svhn": (0.14, 0.14, 0.15),
        "cifar10": (0.41, 0.28, 0.35),
    },
}
