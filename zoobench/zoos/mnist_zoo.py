"""The MNIST and Fashion-MNIST zoos of Schuerholt et al. 2021: CNNs of 2,464 weights."""

from __future__ import annotations

from dataclasses import replace

from .sources import FASHION_MNIST, MNIST, SCHURHOLT_2021
from .spec import (
    Activation,
    Conv,
    Dropout,
    Flatten,
    Grid,
    HubImages,
    Hyperparameters,
    Linear,
    MaxPool,
    Network,
    Preprocessing,
    Scale,
    SeedSweep,
    Splits,
    Training,
    ZooSpec,
)

_NETWORK = Network(
    "CNN 8/6/4 conv + fc 20/10",
    (
        Conv("conv1", 1, 8, 5),
        MaxPool(2),
        Activation(),
        Dropout(),
        Conv("conv2", 8, 6, 5),
        MaxPool(2),
        Activation(),
        Dropout(),
        Conv("conv3", 6, 4, 2),
        Activation(),
        Flatten(),
        Linear("fc1", 36, 20),
        Activation(),
        Dropout(),
        Linear("fc2", 20, 10),
    ),
)
_EPOCHS = tuple(range(1, 51))
_Scales = tuple[tuple[str, Scale], ...]
_SEED_RECIPE = SeedSweep(
    Hyperparameters(
        activation="tanh",
        init="uniform",
        optimizer="adam",
        learning_rate=3e-4,
        batch_size=10,
    ),
    training=Training(initial_bias=0.01),
)
_LITE_RECIPE = replace(_SEED_RECIPE, fixed=replace(_SEED_RECIPE.fixed, learning_rate=1e-2, batch_size=16))
_SEED_SCALES = (
    ("full", Scale(_SEED_RECIPE, runs=1000, checkpoints=_EPOCHS, chunk=50, train_images=50_000, test_images=10_000)),
    (
        "lite",
        Scale(_LITE_RECIPE, runs=100, checkpoints=_EPOCHS[:25], chunk=50, train_images=2_000, test_images=2_000),
    ),
    ("tiny", Scale(_LITE_RECIPE, runs=24, checkpoints=_EPOCHS[:3], chunk=10, train_images=200, test_images=200)),
)
# 256 configurations: the grid of the same group's later zoos.
_GRID_256 = (
    ("activation", ("tanh", "relu", "sigmoid", "gelu")),
    ("dropout", (0.0, 0.5)),
    ("init", ("uniform", "normal", "kaiming_uniform", "kaiming_normal")),
    ("optimizer", ("adam", "sgd")),
    ("learning_rate", (1e-3, 1e-4)),
    ("weight_decay", (1e-3, 1e-4)),
)
# 1,152 configurations: the same axes, three of them with more values.
_GRID_1152 = (
    ("activation", ("tanh", "relu", "sigmoid", "gelu")),
    ("dropout", (0.0, 0.25, 0.5)),
    ("init", ("uniform", "normal", "kaiming_uniform", "kaiming_normal")),
    ("optimizer", ("adam", "sgd")),
    ("learning_rate", (1e-3, 3e-4, 1e-4)),
    ("weight_decay", (1e-3, 1e-4, 1e-5, 0.0)),
)
_GRID_NOT_PUBLISHED = (
    "The paper does not spell out its 1,152 configurations; this grid of that size is zoobench's own choice."
)


def _hyp_scales(
    axes: tuple[tuple[str, tuple[str | float, ...]], ...], runs: int, seeds: int, random_seeds: bool
) -> _Scales:
    recipe = Grid(_SEED_RECIPE.fixed, axes, seeds, random_seeds, _SEED_RECIPE.training)
    small = replace(recipe, fixed=replace(recipe.fixed, batch_size=32))
    # A run of 1,000 images is short: ten times the learning rates, so that it gets somewhere.
    rates = tuple(10 * rate for rate in dict(axes)["learning_rate"] if not isinstance(rate, str))
    lite = replace(
        recipe,
        fixed=replace(recipe.fixed, batch_size=16),
        axes=tuple((name, rates if name == "learning_rate" else values) for name, values in axes),
    )
    return (
        ("full", Scale(recipe, runs=runs, checkpoints=_EPOCHS, chunk=64, train_images=50_000, test_images=10_000)),
        ("lite", Scale(lite, runs=250, checkpoints=_EPOCHS[:20], chunk=25, train_images=1_000, test_images=1_000)),
        ("tiny", Scale(small, runs=30, checkpoints=_EPOCHS[:2], chunk=20, train_images=100, test_images=100)),
    )


_HYP_VARIES = ("activation", "init", "optimizer", "learning_rate", "weight_decay", "dropout")


def _zoo(
    config: str,
    images: HubImages,
    runs: int,
    varies: tuple[str, ...],
    summary: str,
    *,
    default: bool = False,
    scales: _Scales,
    deviations: tuple[str, ...] = (),
) -> ZooSpec:
    return ZooSpec(
        repo="mnist-zoo",
        config=config,
        images=images,
        preprocessing=Preprocessing(mean=0.1307, std=0.3081),
        network=_NETWORK,
        published_runs=runs,
        published_checkpoints=_EPOCHS,
        published_rows=runs * len(_EPOCHS),
        varies=varies,
        splits=Splits(0.70, 0.15, 0.15, folds=3),
        gap_of="running_train_accuracy",
        paper=SCHURHOLT_2021,
        summary=summary,
        also_known_as="FASHION-SEED" if config == "fashion-seed" else f"MNIST-{config.upper()}",
        default=default,
        scales=scales,
        deviations=(
            "The paper does not state the batch size; 10 is what the same group used in later zoos.",
            *deviations,
        ),
    )


ZOOS = (
    _zoo(
        "seed",
        MNIST,
        1000,
        (),
        "CNNs of 2,464 weights on MNIST; the seed is the only difference between runs.",
        default=True,
        scales=_SEED_SCALES,
    ),
    _zoo(
        "fashion-seed",
        FASHION_MNIST,
        1000,
        (),
        "CNNs of 2,464 weights on Fashion-MNIST; only the seed differs.",
        scales=_SEED_SCALES,
    ),
    _zoo(
        "hyp-1-fix-seed",
        MNIST,
        1152,
        _HYP_VARIES,
        "1,152 configurations, one fixed seed for all.",
        scales=_hyp_scales(_GRID_1152, runs=1152, seeds=1, random_seeds=False),
        deviations=(_GRID_NOT_PUBLISHED,),
    ),
    _zoo(
        "hyp-1-rand-seed",
        MNIST,
        1152,
        _HYP_VARIES,
        "1,152 configurations, a random seed each.",
        scales=_hyp_scales(_GRID_1152, runs=1152, seeds=1, random_seeds=True),
        deviations=(_GRID_NOT_PUBLISHED,),
    ),
    _zoo(
        "hyp-5-fix-seed",
        MNIST,
        1280,
        _HYP_VARIES,
        "256 configurations, the same five seeds each.",
        scales=_hyp_scales(_GRID_256, runs=1280, seeds=5, random_seeds=False),
    ),
    _zoo(
        "hyp-5-rand-seed",
        MNIST,
        1280,
        _HYP_VARIES,
        "256 configurations, five random seeds each.",
        scales=_hyp_scales(_GRID_256, runs=1280, seeds=5, random_seeds=True),
    ),
)
