"""CNN Zoo 2 of Liu: CNNs of 75,146 weights, stored at every epoch."""

from __future__ import annotations

from dataclasses import replace

from ..distributions import Choice, LogUniform, Uniform
from .sources import CIFAR10, FASHION_MNIST, MNIST, USPS
from .spec import (
    Activation,
    Conv,
    Dropout,
    GlobalAveragePool,
    HubImages,
    Hyperparameters,
    Linear,
    Network,
    Paper,
    Preprocessing,
    RandomSearch,
    Scale,
    Splits,
    Training,
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

_CHECKPOINTS = tuple(range(1, 101))
_RECIPE = RandomSearch(
    Hyperparameters(
        activation="relu",
        init="xavier_uniform",
        optimizer="adam",
        learning_rate=1e-3,
        batch_size=128,
    ),
    ranges=(
        ("activation", Choice(("relu", "tanh"))),
        ("init", Choice(("xavier_uniform", "kaiming_uniform", "orthogonal"))),
        ("optimizer", Choice(("adam", "sgd"))),
        ("learning_rate", LogUniform(1e-4, 1e-2)),
        ("weight_decay", LogUniform(1e-8, 1e-2)),
        ("dropout", Uniform(0.0, 0.7)),
        ("train_fraction", Choice((0.1, 0.25, 0.5, 1.0))),
    ),
    seed=None,
    # chrisliu298/comvex, collect/models.py: "he" is kaiming_uniform_ with a = sqrt(5), and where `fc` should be
    # initialised the last convolution is once more, so that `fc` starts as PyTorch makes it.
    training=Training(initialisers=(("kaiming_uniform", "torch_default"),), torch_layers=("fc",)),
)
# Some hundred steps instead of some ten thousand: higher learning rates, so that runs get somewhere.
_LITE_RECIPE = replace(
    _RECIPE,
    fixed=replace(_RECIPE.fixed, batch_size=16),
    ranges=tuple(
        (name, LogUniform(3e-4, 3e-2) if name == "learning_rate" else values) for name, values in _RECIPE.ranges
    ),
)
_DEVIATIONS = (
    'The paper\'s split "0.8/0.1/0.2" cannot sum to 1; this zoo is split 0.8/0.1/0.1.',
    "Ranges and initialisers are those of the author's collection code; the paper gives none. Every run has a seed of "
    "its own.",
)


def _zoo(
    config: str,
    images: HubImages,
    mean: float,
    std: float,
    train: int,
    test: int,
    *,
    shrink: int = 2,
    lite_runs: int = 300,
    default: bool = False,
) -> ZooSpec:
    return ZooSpec(
        repo="cnn-zoo-2",
        config=config,
        images=images,
        preprocessing=Preprocessing(mean=mean / 255, std=std / 255),
        network=_NETWORK,
        published_runs=1000,
        published_checkpoints=_CHECKPOINTS,
        published_rows=100_000,
        varies=("activation", "init", "optimizer", "learning_rate", "weight_decay", "dropout", "train_fraction"),
        splits=Splits(0.80, 0.10, 0.10),
        paper=LIU,
        summary="CNNs of 75,146 weights, one random hyperparameter configuration per run.",
        default=default,
        scales=(
            ("full", Scale(_RECIPE, 1000, _CHECKPOINTS, chunk=20, train_images=train, test_images=test)),
            (
                "lite",
                Scale(
                    _LITE_RECIPE,
                    runs=lite_runs,
                    checkpoints=_CHECKPOINTS[1:20:2],
                    chunk=25,
                    train_images=500,
                    test_images=500,
                    image_shrink=shrink,
                ),
            ),
            (
                "tiny",
                Scale(
                    replace(_RECIPE, fixed=replace(_RECIPE.fixed, batch_size=16)),
                    runs=20,
                    checkpoints=_CHECKPOINTS[:2],
                    chunk=8,
                    train_images=48,
                    test_images=30,
                ),
            ),
        ),
        deviations=_DEVIATIONS,
    )


ZOOS = (
    _zoo("cifar10", replace(CIFAR10, luma=True), 122.6, 61.0, 50_000, 10_000, default=True),
    # As many runs as the paper: large enough that its predictors can be told apart.
    _zoo("mnist", MNIST, 33.3, 78.6, 60_000, 10_000, lite_runs=1_000),
    _zoo("fashion_mnist", FASHION_MNIST, 72.9, 90.0, 60_000, 10_000),
    _zoo("usps", USPS, 63.0, 76.2, 7_291, 2_007, shrink=1),
)
