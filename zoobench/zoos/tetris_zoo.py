"""The Tetris zoos of Schuerholt et al. 2021: 100-weight MLPs on drawn 4x4 images."""

from __future__ import annotations

from dataclasses import replace

from .sources import SCHURHOLT_2021, TETRIS
from .spec import (
    Activation,
    Flatten,
    Grid,
    Hyperparameters,
    Linear,
    Network,
    Preprocessing,
    Scale,
    SeedSweep,
    Splits,
    ZooSpec,
)

_NETWORK = Network(
    "MLP 16-5-4, no bias",
    (Flatten(), Linear("fc1", 16, 5, bias=False), Activation(), Linear("fc2", 5, 4, bias=False)),
)
_SPLITS = Splits(0.70, 0.15, 0.15, folds=3)
_EPOCHS = tuple(range(1, 76))
_IMAGES_DIFFER = (
    "The paper does not publish how the Tetris images are drawn and how many they are, nor the batch size and learning "
    "rate of the seed zoo. zoobench fixes its own (see 'Images' and 'Recipe')."
)

_SEED_RECIPE = SeedSweep(
    Hyperparameters(
        activation="tanh",
        init="uniform",
        optimizer="adam",
        learning_rate=3e-4,
        batch_size=4,
    )
)

# Twenty steps an epoch instead of five hundred: a higher rate, so that runs get somewhere.
_TINY_RECIPE = replace(_SEED_RECIPE, fixed=replace(_SEED_RECIPE.fixed, learning_rate=1e-3))

SEED = ZooSpec(
    repo="tetris-zoo",
    config="seed",
    images=TETRIS,
    preprocessing=Preprocessing(mean=0.25, std=0.5),
    network=_NETWORK,
    published_runs=1000,
    published_checkpoints=_EPOCHS,
    published_rows=75_000,
    varies=(),
    splits=_SPLITS,
    gap_of="running_train_accuracy",
    paper=SCHURHOLT_2021,
    summary="1,000 MLPs of 100 weights on drawn 4x4 tetromino images; the seed is the only difference between runs.",
    also_known_as="TETRIS-SEED",
    default=True,
    scales=(
        (
            "full",
            Scale(
                _SEED_RECIPE,
                runs=1000,
                checkpoints=_EPOCHS,
                chunk=500,
                rows_sha256="8292961bd454b6890ee44ced9008da1f5cd3ddf7a4c775cf2c558c1fc5f704e1",
            ),
        ),
        ("lite", Scale(_SEED_RECIPE, runs=200, checkpoints=_EPOCHS, chunk=100)),
        ("tiny", Scale(_TINY_RECIPE, runs=40, checkpoints=tuple(range(1, 7)), chunk=16, train_images=80)),
    ),
    deviations=(_IMAGES_DIFFER,),
)

_HYP_RECIPE = Grid(
    _SEED_RECIPE.fixed,
    axes=(
        ("activation", ("tanh", "relu")),
        ("init", ("uniform", "normal", "kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform")),
        ("learning_rate", (1e-3, 1e-4, 1e-5)),
    ),
    seeds=100,
)

HYP = ZooSpec(
    repo="tetris-zoo",
    config="hyp",
    images=TETRIS,
    preprocessing=Preprocessing(mean=0.25, std=0.5),
    network=_NETWORK,
    published_runs=2900,
    published_checkpoints=_EPOCHS,
    published_rows=217_500,
    varies=("activation", "init", "learning_rate"),
    splits=replace(_SPLITS, by="seed"),
    gap_of="running_train_accuracy",
    paper=SCHURHOLT_2021,
    summary="MLPs of 100 weights over 36 configurations (activation, initialiser, learning rate) x 100 seeds.",
    also_known_as="TETRIS-HYP",
    scales=(
        (
            "full",
            Scale(
                _HYP_RECIPE,
                runs=3600,
                checkpoints=_EPOCHS,
                chunk=600,
                rows_sha256="94aa981d7060b942aea087f3df054747bdf442d4a353bbedbb06db3bbb13394b",
            ),
        ),
        ("lite", Scale(replace(_HYP_RECIPE, seeds=20), runs=720, checkpoints=_EPOCHS, chunk=360)),
        ("tiny", Scale(replace(_HYP_RECIPE, seeds=6), runs=72, checkpoints=_EPOCHS[:4], chunk=30, train_images=80)),
    ),
    deviations=(
        _IMAGES_DIFFER,
        "The paper kept 2,900 of 3,600 runs, since the remainder crashed. Training a population does not crash; a run "
        "is dropped only when its weights or losses are not finite, so nearly all are here.",
    ),
)

ZOOS = (SEED, HYP)
