"""The Small CNN Zoo of Unterthiner et al. 2020: CNNs of 4,970 weights over random hyperparameters."""

from __future__ import annotations

from .sources import CIFAR10, FASHION_MNIST, MNIST, SVHN, UNTERTHINER_2020
from .spec import (
    Activation,
    Conv,
    Dropout,
    GlobalAveragePool,
    HubImages,
    Linear,
    Network,
    Preprocessing,
    Splits,
    ZooSpec,
)

_NETWORK = Network(
    "CNN, 3 conv x 16, stride 2",
    (
        Conv("conv1", 1, 16, 3, stride=2),
        Activation(),
        Dropout(),
        Conv("conv2", 16, 16, 3, stride=2),
        Activation(),
        Dropout(),
        Conv("conv3", 16, 16, 3, stride=2),
        Activation(),
        Dropout(),
        GlobalAveragePool(),
        Linear("fc", 16, 10),
    ),
)


def _zoo(config: str, images: HubImages, rows: int, alias: str) -> ZooSpec:
    return ZooSpec(
        repo="small-cnn-zoo",
        config=config,
        images=images,
        preprocessing=Preprocessing(mean=0.5, std=0.5),
        network=_NETWORK,
        published_runs=30_000,
        published_checkpoints=(0, 1, 2, 3, 20, 40, 60, 80, 86),
        published_rows=rows,
        varies=(
            "activation",
            "init",
            "optimizer",
            "learning_rate",
            "weight_decay",
            "dropout",
            "train_fraction",
            "init_std",
        ),
        splits=Splits(0.70, 0.15, 0.15, folds=3),
        paper=UNTERTHINER_2020,
        summary="CNNs of 4,970 weights, one random hyperparameter configuration per run.",
        also_known_as=alias,
    )


ZOOS = (
    _zoo("mnist", MNIST, 269_973, "MNIST-HYP"),
    _zoo("fashion_mnist", FASHION_MNIST, 270_000, "FASHION-HYP"),
    _zoo("cifar10", CIFAR10, 270_000, "CIFAR10-HYP"),
    _zoo("svhn", SVHN, 269_892, "SVHN-HYP"),
)
