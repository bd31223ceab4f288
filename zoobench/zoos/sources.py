"""Declarations: where images come from, and the papers that defined the zoos."""

from __future__ import annotations

from .spec import HubImages, Paper, TetrisImages

MNIST = HubImages("mnist", "ylecun/mnist", "image", classes=10, test_majority=1135 / 10_000)
FASHION_MNIST = HubImages(
    "fashion_mnist", "zalando-datasets/fashion_mnist", "image", classes=10, test_majority=1000 / 10_000
)
USPS = HubImages("usps", "flwrlabs/usps", "image", classes=10, test_majority=359 / 2_007)
CIFAR10 = HubImages("cifar10", "uoft-cs/cifar10", "img", classes=10, test_majority=1000 / 10_000)
SVHN = HubImages(
    "svhn", "ufldl-stanford/svhn", "image", classes=10, test_majority=5_099 / 26_032, hub_config="cropped_digits"
)

TETRIS = TetrisImages(
    shapes=(
        ("O", ((1, 1), (1, 2), (2, 1), (2, 2))),
        ("T", ((1, 0), (1, 1), (1, 2), (2, 1))),
        ("L", ((0, 1), (1, 1), (2, 1), (2, 2))),
        ("I", ((0, 1), (1, 1), (2, 1), (3, 1))),
    ),
    background=0.25,
    contrast=0.5,
    train_noise_std=0.2,
    test_noise_std=0.5,
    train_per_class=500,
    test_per_class=250,
    seed=0,
)

UNTERTHINER_2020 = Paper(
    key="unterthiner2020predicting",
    title="Predicting Neural Network Accuracy from Weights",
    authors="Unterthiner, Thomas and Keysers, Daniel and Gelly, Sylvain and Bousquet, Olivier and Tolstikhin, Ilya",
    year=2020,
    venue="arXiv:2002.11448",
    url="https://arxiv.org/abs/2002.11448",
)
SCHURHOLT_2021 = Paper(
    key="schurholt2021self",
    title="Self-Supervised Representation Learning on Neural Network Weights for Model Characteristic Prediction",
    authors='Sch{\\"u}rholt, Konstantin and Kostadinov, Dimche and Borth, Damian',
    year=2021,
    venue="NeurIPS 2021",
    url="https://github.com/HSG-AIML/NeurIPS_2021-Weight_Space_Learning",
)
