"""CNN Zoo 2 of Liu: CNNs of 75,146 weights, stored at every epoch."""

from __future__ import annotations

from .sources import CIFAR10, FASHION_MNIST, MNIST, USPS
from .spec import (
    Activation,
    Conv,
    Dropout,
    GlobalAveragePool,
    HubImages,
    Linear,
    Network,
    Paper,
    Preprocessing,
    Splits,
    ZooSpec,
)

LIU = Paper(
    key="liu2022learning",
    title="Learning Compact Vector Representations from Weight Matrices",
    authors="Liu, Chris",
    year=2022,
    venue="manuscript",
    url="",
)
_NETWORK = Network(
    "CNN, 3 conv x 64",
    (
        Conv("conv1", 1, 64, 3),
        Activation(),
        Dropout(),
        Conv("conv2", 64, 64, 3),
        Activation(),
        Dropout(),
        Conv("conv3", 64, 64, 3),
        Activation(),
        Dropout(),
        GlobalAveragePool(),
        Linear("fc", 64, 10),
    ),
)


def _zoo(config: str, images: HubImages, mean: float, std: float, *, default: bool = False) -> ZooSpec:
    return ZooSpec(
        repo="cnn-zoo-2",
        config=config,
        images=images,
        preprocessing=Preprocessing(mean=mean / 255, std=std / 255),
        network=_NETWORK,
        published_runs=1000,
        published_checkpoints=tuple(range(1, 101)),
        published_rows=100_000,
        varies=("activation", "init", "optimizer", "learning_rate", "weight_decay", "dropout", "train_fraction"),
        splits=Splits(0.80, 0.10, 0.10),
        paper=LIU,
        summary="CNNs of 75,146 weights, one random hyperparameter configuration per run, every epoch stored.",
        default=default,
    )


ZOOS = (
    _zoo("cifar10", CIFAR10, 122.6, 61.0, default=True),
    _zoo("mnist", MNIST, 33.3, 78.6),
    _zoo("fashion_mnist", FASHION_MNIST, 72.9, 90.0),
    _zoo("usps", USPS, 63.0, 76.2),
)
