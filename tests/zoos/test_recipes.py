"""Every zoo's recipe against the authors' code, of which layers, initialisers and optimizers are written out here.

Schürholt et al.: ``def_net.py`` (MLP, CNN, NNmodule) of HSG-AIML/NeurIPS_2021-Weight_Space_Learning. Unterthiner et
al.: ``train_network.py`` of google-research/dnn_predict_accuracy, whose Keras is said in numbers. Liu: ``collect`` of
chrisliu298/comvex.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from zoobench.building.chunks import chunk_table
from zoobench.distributions import Choice, LogUniform, Uniform
from zoobench.training import streams
from zoobench.training.images import Images
from zoobench.training.initialisers import initial_weights
from zoobench.training.nets import module
from zoobench.training.population import train
from zoobench.zoos import ALL, resolve
from zoobench.zoos.runs import Run, runs_of
from zoobench.zoos.spec import Hyperparameters, TetrisImages

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}


def tetris_mlp(act, dropout):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5, bias=False), act(), nn.Linear(5, 4, bias=False))


def mnist_cnn(act, dropout):
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5), nn.MaxPool2d(2, 2), act(), nn.Dropout(dropout)),
        *(nn.Conv2d(8, 6, 5), nn.MaxPool2d(2, 2), act(), nn.Dropout(dropout)),
        *(nn.Conv2d(6, 4, 2), act(), nn.Flatten()),
        *(nn.Linear(36, 20), act(), nn.Dropout(dropout), nn.Linear(20, 10)),
    )


def three_convolutions(width, stride):
    def build(act, dropout):
        convolutions = (nn.Conv2d(inputs, width, 3, stride=stride) for inputs in (1, width, width))
        trunk = (part for conv in convolutions for part in (conv, act(), nn.Dropout(dropout)))
        return nn.Sequential(*trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))

    return build


# What the authors call of torch.nn.init, by the name of ours.
IN_TORCH = {
    "uniform": nn.init.uniform_,
    "normal": nn.init.normal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
}
HE_OF_LIU = {**IN_TORCH, "kaiming_uniform": lambda weight: nn.init.kaiming_uniform_(weight, a=math.sqrt(5))}
STD = 0.07


def _cut(weight, std):
    """Normal, cut at two of its standard deviations."""
    draws = stats.truncnorm(-2, 2, scale=std).rvs(weight.numel(), random_state=int(torch.randint(1 << 30, ())))
    return weight.copy_(torch.from_numpy(draws).view_as(weight))


def _fans(weight):
    return nn.init._calculate_fan_in_and_fan_out(weight)


# VarianceScaling of Keras: the standard deviation of the normal is so much larger than that of what is left of it.
LEFT = 0.87962566103423978
IN_KERAS = {
    "xavier_normal": lambda weight: _cut(weight, math.sqrt(2 / sum(_fans(weight))) / LEFT),
    "kaiming_normal": lambda weight: _cut(weight, math.sqrt(2 / _fans(weight)[0]) / LEFT),
    "orthogonal": nn.init.orthogonal_,
    "normal": lambda weight: weight.normal_(0, STD),
    "truncated_normal": lambda weight: _cut(weight, STD),
}


def in_pytorch(name, model, rate, decay):
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
    return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)


class InKeras:
    """Optimizers as ``tf.keras.optimizers.get(name)`` makes them, and ``regularizers.l2`` on kernels: its penalty is
    the coefficient times the sum of squares."""

    def __init__(self, name, model, rate, decay):
        self.name, self.model, self.rate, self.decay, self.steps = name, model, rate, decay, 0
        self.m, self.v = ({key: 0.0 for key, _ in model.named_parameters()} for _ in range(2))

    def zero_grad(self):
        self.model.zero_grad()

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for key, weight in self.model.named_parameters():
            slope = weight.grad + (2 * self.decay * weight if key.endswith("weight") else 0)
            weight -= self.rate * self._direction(key, slope)

    def _direction(self, key, slope):
        if self.name == "sgd":
            return slope
        if self.name == "rmsprop":
            self.v[key] = 0.9 * self.v[key] + 0.1 * slope**2
            return slope / (self.v[key].sqrt() + 1e-7)
        self.m[key] = 0.9 * self.m[key] + 0.1 * slope
        self.v[key] = 0.999 * self.v[key] + 0.001 * slope**2
        return math.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps) * self.m[key] / (self.v[key].sqrt() + 1e-7)


@dataclass(frozen=True)
class Original:
    """What the authors' code says of a zoo."""

    network: Callable[..., nn.Sequential]
    image: tuple[int, int, int]
    initialisers: dict[str, Any]
    initial_bias: float | None
    optimizer: Callable[..., object]
    drop_last: bool
    gap: str
    pixels: tuple[float, float]
    fixed: dict[str, object]
    varied: dict[str, object]
    epochs: tuple[int, ...]
    torch_layers: tuple[str, ...] = ()


SIX = ("uniform", "normal", "kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform")
TETRIS = Original(
    network=tetris_mlp,
    image=(1, 4, 4),
    initialisers=IN_TORCH,
    initial_bias=None,
    optimizer=in_pytorch,
    drop_last=False,
    gap="running_train_accuracy",
    pixels=(0.25, 0.5),
    fixed={"activation": "tanh", "init": "uniform", "optimizer": "adam", "learning_rate": 3e-4, "batch_size": 4}
    | {"weight_decay": 0.0, "dropout": 0.0, "train_fraction": 1.0},
    varied={},
    epochs=tuple(range(1, 76)),
)
MNIST = dataclasses.replace(
    TETRIS,
    network=mnist_cnn,
    image=(1, 28, 28),
    initial_bias=0.01,
    pixels=(0.1307, 0.3081),
    fixed={**TETRIS.fixed, "batch_size": 10},
    epochs=tuple(range(1, 51)),
)
MNIST_AXES = {
    "activation": {"tanh", "relu", "sigmoid", "gelu"},
    "dropout": {0.0, 0.5},
    "init": {"uniform", "normal", "kaiming_uniform", "kaiming_normal"},
    "optimizer": {"adam", "sgd"},
    "learning_rate": {1e-3, 1e-4},
    "weight_decay": {1e-3, 1e-4},
}
GRID_256 = dataclasses.replace(MNIST, varied=MNIST_AXES)
GRID_1152 = dataclasses.replace(
    MNIST,
    varied=MNIST_AXES
    | {"dropout": {0.0, 0.25, 0.5}, "learning_rate": {1e-3, 3e-4, 1e-4}, "weight_decay": {1e-3, 1e-4, 1e-5, 0.0}},
)
SMALL_CNN = Original(
    network=three_convolutions(16, stride=2),
    image=(1, 28, 28),
    initialisers=IN_KERAS,
    initial_bias=0.0,
    optimizer=InKeras,
    drop_last=True,
    gap="train_accuracy",
    pixels=(0.5, 0.5),
    fixed={"batch_size": 512},
    varied={
        "activation": {"relu", "tanh"},
        "init": set(IN_KERAS),
        "optimizer": {"adam", "sgd", "rmsprop"},
        "learning_rate": LogUniform(5e-4, 5e-2),
        "weight_decay": LogUniform(1e-8, 1e-3),
        "dropout": Uniform(0.0, 0.7),
        "train_fraction": {0.1, 0.25, 0.5, 1.0},
        "init_std": LogUniform(1e-3, 0.5),
    },
    epochs=(0, 1, 2, 3, 20, 40, 60, 80, 86),
)
CNN_ZOO_2 = Original(
    network=three_convolutions(64, stride=1),
    image=(1, 16, 16),
    initialisers=HE_OF_LIU,
    initial_bias=0.0,
    optimizer=in_pytorch,
    drop_last=False,
    gap="train_accuracy",
    pixels=(122.6 / 255, 61.0 / 255),
    fixed={"batch_size": 128, "init_std": None},
    varied={
        "activation": {"relu", "tanh"},
        "init": {"xavier_uniform", "kaiming_uniform", "orthogonal"},
        "optimizer": {"adam", "sgd"},
        "learning_rate": LogUniform(1e-4, 1e-2),
        "weight_decay": LogUniform(1e-8, 1e-2),
        "dropout": Uniform(0.0, 0.7),
        "train_fraction": {0.1, 0.25, 0.5, 1.0},
    },
    epochs=tuple(range(1, 101)),
    torch_layers=("fc",),
)


def of_255(mean, std):
    return dataclasses.replace(CNN_ZOO_2, pixels=(mean / 255, std / 255))


ORIGINALS = {
    "tetris-zoo/seed": TETRIS,
    "tetris-zoo/hyp": dataclasses.replace(
        TETRIS, varied={"activation": {"tanh", "relu"}, "init": set(SIX), "learning_rate": {1e-3, 1e-4, 1e-5}}
    ),
    "mnist-zoo/seed": MNIST,
    "mnist-zoo/fashion-seed": MNIST,
    "mnist-zoo/hyp-1-fix-seed": GRID_1152,
    "mnist-zoo/hyp-1-rand-seed": GRID_1152,
    "mnist-zoo/hyp-5-fix-seed": GRID_256,
    "mnist-zoo/hyp-5-rand-seed": GRID_256,
    **{f"small-cnn-zoo/{name}": SMALL_CNN for name in ("mnist", "fashion_mnist", "cifar10", "svhn")},
    "cnn-zoo-2/cifar10": CNN_ZOO_2,
    "cnn-zoo-2/mnist": of_255(33.3, 78.6),
    "cnn-zoo-2/fashion_mnist": of_255(72.9, 90.0),
    "cnn-zoo-2/usps": of_255(63.0, 76.2),
}
# One zoo of each paper, network and recipe.
ONES = ("tetris-zoo/hyp", "mnist-zoo/hyp-5-rand-seed", "small-cnn-zoo/mnist", "cnn-zoo-2/usps")


def test_every_zoo_is_held_against_its_authors():
    assert set(ORIGINALS) == {spec.id for spec in ALL}


def leaves(model):
    return [repr(part) for part in model.modules() if not list(part.children())]


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_network_is_the_authors(name):
    """Layer by layer, with dropout where they have it and pools before activations."""
    network = resolve(name).spec.network
    for activation, act in ACTIVATIONS.items():
        assert leaves(module(network, activation, dropout=0.3)) == leaves(ORIGINALS[name].network(act, 0.3))


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_hyperparameters_are_the_authors(name):
    """Those that are fixed, each axis of a grid and each range; epochs, pixels, and which gap is meant."""
    spec, original = resolve(name).spec, ORIGINALS[name]
    size = dict(spec.scales)["full"]
    runs = [run.hyperparameters for run in runs_of(resolve(name))]
    assert set(original.varied) == set(spec.varies)
    for field in dataclasses.fields(Hyperparameters):
        found = {getattr(values, field.name) for values in runs}
        match original.varied.get(field.name):
            case None:
                assert found == {original.fixed.get(field.name)}
            case Uniform() | LogUniform() as distribution:
                assert dict(size.recipe.ranges)[field.name] == distribution
                assert distribution.low <= min(found) < max(found) <= distribution.high
            case values:
                assert found == values
    assert size.checkpoints == original.epochs
    assert (spec.preprocessing.mean, spec.preprocessing.std) == original.pixels
    assert spec.gap_of == original.gap


def test_grids_are_whole_and_draws_are_even():
    for name in ("tetris-zoo/hyp", "mnist-zoo/hyp-1-fix-seed", "mnist-zoo/hyp-5-rand-seed"):
        axes = ORIGINALS[name].varied
        found = [tuple(getattr(run.hyperparameters, axis) for axis in axes) for run in runs_of(resolve(name))]
        assert set(found) == set(itertools.product(*axes.values()))
        assert len(set(np.unique(np.array(found, dtype=str), axis=0, return_counts=True)[1])) == 1
    for name in ("small-cnn-zoo/mnist", "cnn-zoo-2/mnist"):
        for axis, values in ORIGINALS[name].varied.items():
            if isinstance(values, set):
                ranges = dict(resolve(name).size.recipe.ranges)
                assert ranges[axis] == Choice(ranges[axis].values)
                assert sorted(ranges[axis].values) == sorted(values)


@pytest.mark.parametrize("name", ONES)
def test_layers_start_as_the_authors_initialise_them(name):
    """Every tensor, under every initialiser of the zoo: same distribution, and no draw in two of them."""
    spec, original = resolve(name).spec, ORIGINALS[name]
    some = runs_of(resolve(name))[0]
    count = 30
    for init in sorted(original.varied["init"]):
        values = dataclasses.replace(
            some.hyperparameters, init=init, init_std=STD if name.startswith("small") else None
        )
        runs = [Run(f"r{seed}", "c", values, seed, some.training) for seed in range(count)]
        ours = initial_weights(spec.network, runs, torch.device("cpu"))
        torch.manual_seed(0)
        theirs = [original.network(nn.ReLU, 0.0) for _ in range(count)]
        with torch.no_grad():
            for model in theirs:
                for layer in (part for part in model if hasattr(part, "weight")):
                    if layer is model[-1] and original.torch_layers:
                        continue
                    original.initialisers[init](layer.weight)
                    if layer.bias is not None:
                        layer.bias.fill_(original.initial_bias)
        start = 0
        for position, tensor in enumerate(theirs[0].parameters()):
            mine = ours[:, start : start + tensor.numel()].numpy().ravel()
            start += tensor.numel()
            other = np.concatenate([list(model.parameters())[position].detach().numpy().ravel() for model in theirs])
            if np.ptp(other) == 0:
                assert np.array_equal(mine, other), (init, position)
                continue
            # Entries of an orthogonal matrix depend on each other; of each network some are enough.
            some_of = np.random.RandomState(0).permutation(len(mine))[:3000]
            assert stats.ks_2samp(mine[some_of], other[some_of]).pvalue > 1e-4, (init, position)
            assert np.abs(mine).max() == pytest.approx(np.abs(other).max(), rel=0.6)
        assert start == ours.shape[1]
        drawn = ours[0][ours[0] != (original.initial_bias or 0)]
        assert len(drawn.unique()) > 0.98 * len(drawn)


def noisy_images(shape, classes, count):
    rng = np.random.default_rng(0)
    levels, labels = rng.normal(size=(count, *shape)), np.arange(count) % classes
    return Images(levels, labels, levels[:10], labels[:10], sha256="", origin="test")


@pytest.mark.parametrize("name", ONES)
def test_training_is_the_authors(name):
    """Two epochs of every optimizer of the zoo with its recipe's constants, a decay that is felt, and 26 images in
    batches of 8; and what the rows say of the gap."""
    zoo, original = resolve(name), ORIGINALS[name]
    images = noisy_images(original.image, 4 if name.startswith("tetris") else 10, 26)
    first = {}
    for run in runs_of(zoo):
        first.setdefault(run.hyperparameters.optimizer, run)
    assert set(first) == original.varied.get("optimizer", {"adam"})
    changed = {"batch_size": 8, "weight_decay": 0.03, "dropout": 0.0, "train_fraction": 1.0, "learning_rate": 1e-2}
    runs = [
        dataclasses.replace(run, hyperparameters=dataclasses.replace(run.hyperparameters, **changed))
        for run in first.values()
    ]
    (last,) = train(zoo.spec.network, runs, images, (2,))
    table, _ = chunk_table(zoo.spec, runs, [dataclasses.replace(last, weights=last.weights.astype(np.float32))])
    x, y = torch.from_numpy(images.train_images), torch.from_numpy(images.train_labels)
    for number, run in enumerate(runs):
        model = original.network(ACTIVATIONS[run.hyperparameters.activation], 0.0).double()
        start = initial_weights(zoo.spec.network, [run], torch.device("cpu"))[0].double()
        nn.utils.vector_to_parameters(start.clone(), model.parameters())
        optimizer = original.optimizer(run.hyperparameters.optimizer, model, 1e-2, 0.03)
        for epoch in (1, 2):
            order, seen, right = streams.permutation(torch.tensor([run.seed]), "order", epoch, 26)[0], 0, 0
            for batch in order.split(8):
                if len(batch) < 8 and original.drop_last:
                    continue
                optimizer.zero_grad()
                logits = model(x[batch])
                nn.functional.cross_entropy(logits, y[batch]).backward()
                optimizer.step()
                seen, right = seen + len(batch), right + int((logits.argmax(1) == y[batch]).sum())
        theirs = nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
        np.testing.assert_allclose(last.weights[number], theirs, rtol=1e-6, atol=1e-9)
        assert np.abs(theirs - start.numpy()).max() > 1e-3
        row = table.slice(number, 1).to_pylist()[0]
        with torch.no_grad():
            fitted = float((model(x).argmax(1) == y).double().mean())
            tested = float((model(x[:10]).argmax(1) == y[:10]).double().mean())
        assert row["running_train_accuracy"] == pytest.approx(right / seen)
        assert row["train_accuracy"] == pytest.approx(fitted)
        expected = right / seen if original.gap == "running_train_accuracy" else fitted
        assert row["generalization_gap"] == pytest.approx(expected - tested)


def test_tetris_has_500_images_of_a_class_and_noisier_ones_to_test():
    """In batches of 4: 500 steps an epoch."""
    source = resolve("tetris-zoo/seed").spec.images
    assert isinstance(source, TetrisImages)
    assert (source.train_per_class, source.train_noise_std, source.test_noise_std) == (500, 0.2, 0.5)
    assert [resolve(name).size.train_images for name in ("tetris-zoo/hyp", "tetris-zoo-lite/hyp")] == [None, None]


def test_the_grey_of_colours():
    """Liu's ``transforms.Grayscale``, and the mean of channels in Unterthiner et al."""
    assert resolve("cnn-zoo-2/cifar10").spec.images.luma
    assert not resolve("small-cnn-zoo/cifar10").spec.images.luma
    assert not resolve("small-cnn-zoo/svhn").spec.images.luma
