"""The MNIST and Fashion-MNIST zoos of Schuerholt et al. 2021: CNNs of 2,464 weights."""

from __future__ import annotations

from dataclasses import replace

from .sources import FASHION_MNIST, MNIST, SCHURHOLT_2021
from .spec import (
    Activation,
    Conv,
    Flatten,
    HubImages,
    Hyperparameters,
    Linear,
    MaxPool,
    Network,
    Preprocessing,
    Scale,
    SeedSweep,
    Splits,
    ZooSpec,
)

_NETWORK = Network(
    "CNN 8/6/4 conv + fc 20/10",
    (
        Conv("conv1", 1, 8, 5),
        MaxPool(2),
        Activation(),
        Conv("conv2", 8, 6, 5),
        MaxPool(2),
        Activation(),
        Conv("conv3", 6, 4, 2),
        Activation(),
        Flatten(),
        Linear("fc1", 36, 20),
        Activation(),
        Linear("fc2", 20, 10),
    ),
)
_EPOCHS = tuple(range(1, 51))
_SEED_RECIPE = SeedSweep(
    Hyperparameters(
        activation="tanh",
        init="uniform",
        optimizer="adam",
        learning_rate=3e-4,
        weight_decay=0.0,
        dropout=0.0,
        train_fraction=1.0,
        init_std=None,
        batch_size=10,
    ),
    initial_bias=0.01,
)
_LITE_RECIPE = replace(_SEED_RECIPE, fixed=replace(_SEED_RECIPE.fixed, learning_rate=1e-2, batch_size=16))
_SEED_SCALES = (
    ("full", Scale(_SEED_RECIPE, runs=1000, checkpoints=_EPOCHS, chunk=50, train_images=50_000)),
    (
        "lite",
        Scale(_LITE_RECIPE, runs=100, checkpoints=_EPOCHS[:25], chunk=50, train_images=2_000, test_images=2_000),
    ),
    ("tiny", Scale(_LITE_RECIPE, runs=24, checkpoints=_EPOCHS[:3], chunk=10, train_images=200, test_images=200)),
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
    scales: tuple[tuple[str, Scale], ...] = (),
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
        paper=SCHURHOLT_2021,
        summary=summary,
        also_known_as="FASHION-SEED" if config == "fashion-seed" else f"MNIST-{config.upper()}",
        default=default,
        scales=scales,
        deviations=("The paper does not state the batch size; 10 is what the same group used in later zoos.",),
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
    _zoo("fashion-seed", FASHION_MNIST, 1000, (), "CNNs of 2,464 weights on Fashion-MNIST; only the seed differs."),
    _zoo("hyp-1-fix-seed", MNIST, 1152, _HYP_VARIES, "1,152 configurations, one fixed seed for all."),
    _zoo("hyp-1-rand-seed", MNIST, 1152, _HYP_VARIES, "1,152 configurations, a random seed each."),
    _zoo("hyp-5-fix-seed", MNIST, 1280, _HYP_VARIES, "256 configurations, the same five seeds each."),
    _zoo("hyp-5-rand-seed", MNIST, 1280, _HYP_VARIES, "256 configurations, five random seeds each."),
)
