"""A population trains every run as it would be trained alone; the judge is a serial PyTorch loop."""

import dataclasses
import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import nn

from zoobench.errors import ZoobenchError
from zoobench.training import formulation, streams
from zoobench.training.dropout import RunDropout
from zoobench.training.formulation import Formulation, conv_outputs
from zoobench.training.images import Images
from zoobench.training.initialisers import INITIALISERS, initial_weights
from zoobench.training.nets import module
from zoobench.training.population import train
from zoobench.zoos import resolve
from zoobench.zoos.optimizers import KERAS
from zoobench.zoos.runs import Run, runs_of
from zoobench.zoos.spec import Hyperparameters, Training

# Rounding of float32 sums in another order, amplified over some hundred Adam steps.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


class MaskedDropout(nn.Module):
    """Dropout whose mask is the run's own draw for the current step."""

    def __init__(self, run, layer):
        super().__init__()
        self.run, self.layer, self.step = run, layer, 0

    def forward(self, hidden):
        seeds, rates = torch.tensor([self.run.seed]), torch.tensor([self.run.hyperparameters.dropout])
        return hidden * RunDropout(seeds, rates, self.step).mask(self.layer, tuple(hidden.shape))[0]


class KerasAdam(torch.optim.Optimizer):
    """Adam as TensorFlow 2's Keras has it: epsilon is added to the root of the second moment as it is."""

    def __init__(self, groups, lr):
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self.steps = 0

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for group in self.param_groups:
            rate = group["lr"] * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
            for weight in group["params"]:
                gradient = weight.grad + group["weight_decay"] * weight
                state = self.state[weight]
                state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
                state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
                weight -= rate * state["m"] / (state["v"].sqrt() + 1e-7)


def torch_optimizer(run, model):
    values, rate = run.hyperparameters, run.hyperparameters.learning_rate
    if run.training.optimizers == KERAS:
        kernels = [value for name, value in model.named_parameters() if name.endswith("weight")]
        biases = [value for name, value in model.named_parameters() if name.endswith("bias")]
        groups = [{"params": kernels, "weight_decay": 2 * values.weight_decay}, {"params": biases}]
        if values.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=rate)
        if values.optimizer == "rmsprop":
            return torch.optim.RMSprop(groups, lr=rate, alpha=0.9, eps=1e-7)
        return KerasAdam(groups, rate)
    settings = {"lr": rate, "weight_decay": values.weight_decay}
    if values.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, **settings)
    if values.optimizer == "rmsprop":
        return torch.optim.RMSprop(model.parameters(), **settings)
    kind = torch.optim.AdamW if run.training.decoupled_decay else torch.optim.Adam
    return kind(model.parameters(), **settings)


def train_alone(network, run, images, epochs, build=module):
    """One run as anybody would write it: nn.Module, torch.optim, a loop over batches of the run's own images.

    ``build``: (network, activation, weights) -> nn.Sequential with a part for each layer.
    Returns its weights, and of the last epoch how many images it saw and how many of them it recognised."""
    values, seeds = run.hyperparameters, torch.tensor([run.seed])
    start = initial_weights(network, [run], torch.device("cpu"))[0].numpy()
    x, y = torch.from_numpy(images.train_images), torch.from_numpy(images.train_labels)
    model = build(network, values.activation, start).to(x.dtype)
    for number, part in enumerate(model):
        if isinstance(part, nn.Dropout):
            model[number] = MaskedDropout(run, number)
    optimizer = torch_optimizer(run, model)
    count = round(values.train_fraction * len(y))
    if count < len(y):
        own = streams.permutation(seeds, "subset", 0, len(y))[0, :count].sort().values
        x, y = x[own], y[own]
    for epoch in range(1, epochs + 1):
        order, seen, right = streams.permutation(seeds, "order", epoch, count)[0], 0, 0
        for number, batch in enumerate(order.split(values.batch_size)):
            if run.training.drop_last and len(batch) < values.batch_size:
                break
            for part in model:
                if isinstance(part, MaskedDropout):
                    part.step = epoch * (1 << 20) + number
            logits = model(x[batch])
            seen, right = seen + len(batch), right + int((logits.argmax(1) == y[batch]).sum())
            loss = nn.functional.cross_entropy(logits, y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return np.concatenate([value.numpy().ravel() for value in model.state_dict().values()]), seen, right


def small_images(shape, classes, train_count, test_count, dtype=np.float32):
    """Class means plus noise: enough to learn from, in any shape."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(classes, *shape))

    def part(count):
        labels = np.arange(count) % classes
        return (means[labels] + rng.normal(size=(count, *shape))).astype(dtype), labels.astype(np.int64)

    return Images(*part(train_count), *part(test_count), sha256="", origin="test")


SHAPES = {
    "tetris-zoo/seed": (1, 4, 4),
    "mnist-zoo/seed": (1, 28, 28),
    "small-cnn-zoo/mnist": (1, 28, 28),
    "cnn-zoo-2/usps": (1, 16, 16),
}
FORMULATIONS = get_args(Formulation)
KERAS_TRAINING = Training(l2_factor=2.0, decay_biases=False, optimizers=KERAS)
RATES = {"adam": 1e-3, "sgd": 1e-2, "rmsprop": 3e-4}


@pytest.mark.parametrize("way", FORMULATIONS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_optimizer_and_activation_trains_as_a_serial_pytorch_loop(name, way, monkeypatch):
    """One population in which everything varies: 3 optimizers x 4 activations, with initialisers, learning rates,
    weight decays, dropout rates and training fractions mixed over them, in no particular order.

    In float64: in float32 a sum rounded otherwise can take a ReLU or a tiny Adam gradient over its edge."""
    network = resolve(name).spec.network
    images = small_images(SHAPES[name], network.layers[-1].outputs, train_count=50, test_count=20, dtype=np.float64)
    inits = itertools.cycle(sorted(INITIALISERS))
    runs = []
    for i, (optimizer, activation) in enumerate(itertools.product(RATES, ["relu", "tanh", "sigmoid", "gelu"])):
        values = Hyperparameters(
            activation=activation,
            init=next(inits),
            optimizer=optimizer,
            learning_rate=RATES[optimizer] * (1 + i % 3),
            weight_decay=(0.0, 1e-2)[i % 2],
            dropout=(0.0, 0.3, 0.6)[i % 3],
            train_fraction=(1.0, 0.5, 0.25, 0.1)[(7 * i) % 4],
            init_std=0.3,
            batch_size=16,
        )
        training = Training(0.01 * i, decoupled_decay=i % 5 == 0)
        if i % 2 == 1:
            training = dataclasses.replace(KERAS_TRAINING, initial_bias=0.01 * i)
        training = dataclasses.replace(training, drop_last=i in (0, 3, 11))  # of others with as many images
        runs.append(Run(f"run-{i}", "c", values, seed=100 + i, training=training))
    runs = [run for run in runs if not run.training.decoupled_decay or run.hyperparameters.optimizer == "adam"]
    assert {run.hyperparameters.optimizer for run in runs if run.training.optimizers == KERAS} == set(RATES)
    outputs = conv_outputs(network, SHAPES[name])
    monkeypatch.setattr(formulation, "_FEATURE_ENTRIES", 5 * 16 * outputs)
    first, last = train(network, runs, images, (0, 3), formulation=way)  # per_run: five runs at once
    assert not first.running_count.any()
    for i, run in enumerate(runs):
        alone, seen, right = train_alone(network, run, images, 3)
        assert (last.running_count[i], last.running_correct[i]) == (seen, right)
        start = initial_weights(network, [run], torch.device("cpu"))[0].numpy()
        np.testing.assert_allclose(last.weights[i], alone, rtol=1e-6, atol=1e-8 * np.abs(alone).max())
        assert np.abs(alone - start).max() > 1e-3  # it has moved, much further than the tolerance


def test_tetris_runs_train_as_they_do_alone(tetris_images):
    zoo = resolve("tetris-zoo/seed")
    runs = [
        dataclasses.replace(run, hyperparameters=dataclasses.replace(run.hyperparameters, learning_rate=(1 + i) * 1e-3))
        for i, run in enumerate(runs_of(zoo)[:6])
    ]
    *_, last = train(zoo.spec.network, runs, tetris_images, range(1, 11))
    for i, run in enumerate(runs):
        alone, _, right = train_alone(zoo.spec.network, run, tetris_images, 10)
        np.testing.assert_allclose(last.weights[i], alone, **TOLERANCE)
        assert abs(last.running_correct[i] - right) <= 1


def test_training_accuracy_is_measured_on_the_runs_own_images():
    network = resolve("tetris-zoo/seed").spec.network
    images = small_images((1, 4, 4), 4, train_count=40, test_count=20)
    base = runs_of(resolve("tetris-zoo/seed"))[0]
    fractions = (0.1, 1.0, 0.5)
    runs = [
        dataclasses.replace(
            base, seed=i, hyperparameters=dataclasses.replace(base.hyperparameters, train_fraction=fraction)
        )
        for i, fraction in enumerate(fractions)
    ]
    (checkpoint,) = train(network, runs, images, (5,))
    assert checkpoint.train.count.tolist() == [4, 40, 20]
    assert checkpoint.test.count.tolist() == [20, 20, 20]
    for i, run in enumerate(runs):
        own = streams.permutation(torch.tensor([run.seed]), "subset", 0, 40)[0, : checkpoint.train.count[i]].numpy()
        model = module(network, "tanh", checkpoint.weights[i])
        logits = model(torch.from_numpy(images.train_images[own])).detach()
        labels = images.train_labels[own]
        assert checkpoint.train.accuracy[i] == accuracy_score(labels, logits.argmax(1).numpy())
        expected = log_loss(labels, logits.double().softmax(1).numpy(), labels=range(4))
        assert checkpoint.train.loss[i] == pytest.approx(expected, rel=1e-5)


def test_chunking_changes_nothing_but_rounding(tetris_images):
    zoo = resolve("tetris-zoo/seed")
    runs = runs_of(zoo)[:7]
    *_, together = train(zoo.spec.network, runs, tetris_images, (10,))
    parts = [list(train(zoo.spec.network, runs[a:b], tetris_images, (10,)))[-1] for a, b in ((0, 1), (1, 4), (4, 7))]
    np.testing.assert_allclose(np.concatenate([part.weights for part in parts]), together.weights, **TOLERANCE)


def test_scores_are_those_of_scikit_learn(tetris_images):
    zoo = resolve("tetris-zoo/seed")
    runs = runs_of(zoo)[:3]
    (checkpoint,) = train(zoo.spec.network, runs, tetris_images, (12,))
    for i, run in enumerate(runs):
        model = module(zoo.spec.network, run.hyperparameters.activation, checkpoint.weights[i])
        for scores, x, y in (
            (checkpoint.train, tetris_images.train_images, tetris_images.train_labels),
            (checkpoint.test, tetris_images.test_images, tetris_images.test_labels),
        ):
            logits = model(torch.from_numpy(x)).detach()
            choice = logits.argmax(1).numpy()
            assert scores.accuracy[i] == accuracy_score(y, choice)
            assert scores.f1[i] == pytest.approx(f1_score(y, choice, average=None, zero_division=0))
            assert scores.loss[i] == pytest.approx(log_loss(y, logits.double().softmax(1).numpy()), rel=1e-5)


def test_a_run_without_one_full_batch_is_refused_where_others_are_dropped(tetris_images):
    zoo = resolve("tetris-zoo/seed")
    run = runs_of(zoo)[0]
    values = dataclasses.replace(run.hyperparameters, batch_size=64, train_fraction=0.5)
    images = small_images((1, 4, 4), 4, train_count=100, test_count=10)
    run = dataclasses.replace(run, hyperparameters=values, training=Training(drop_last=True))
    with pytest.raises(ZoobenchError, match="seed-0001 has 50 training images, fewer than a batch of 64"):
        next(train(zoo.spec.network, [run], images, (0, 1)))


def test_checkpoint_zero_is_the_untrained_network(tetris_images):
    zoo = resolve("tetris-zoo/seed")
    runs = runs_of(zoo)[:2]
    first = next(train(zoo.spec.network, runs, tetris_images, (0, 1)))
    assert first.epoch == 0
    assert np.array_equal(first.weights, initial_weights(zoo.spec.network, runs, torch.device("cpu")).numpy())


def test_initial_weights_are_those_of_the_recipe():
    zoo = resolve("mnist-zoo/seed")
    weights = initial_weights(zoo.spec.network, runs_of(zoo)[:200], torch.device("cpu")).numpy()
    biases = weights[:, 200:208]
    assert (biases == np.float32(0.01)).all()
    kernel = weights[:, :200]
    assert kernel.min() >= 0
    assert kernel.max() <= 1
    assert kernel.mean() == pytest.approx(0.5, abs=0.01)
    assert kernel.var() == pytest.approx(1 / 12, abs=0.003)


def test_runs_that_cannot_share_a_population_are_refused(tetris_images):
    zoo = resolve("tetris-zoo/seed")
    one, other = runs_of(zoo)[:2]

    def changed(**values):
        return dataclasses.replace(other, hyperparameters=dataclasses.replace(other.hyperparameters, **values))

    for values, message in (
        ({"batch_size": 5}, r"a population shares one batch size, these runs have \[4, 5\]"),
        ({"optimizer": "adamm"}, "unknown optimizer 'adamm'; did you mean 'adam'"),
        ({"activation": "rely"}, "unknown activation 'rely'; did you mean 'relu'"),
    ):
        with pytest.raises(ZoobenchError, match=message):
            list(train(zoo.spec.network, [one, changed(**values)], tetris_images, (1,)))


@pytest.mark.parametrize(("device", "message"), [("gpu0", "unknown device 'gpu0'"), ("cuda:99", "'cuda:99'")])
def test_a_device_that_is_not_there_is_named(tetris_images, device, message):
    zoo = resolve("tetris-zoo/seed")
    with pytest.raises(ZoobenchError, match=message):
        list(train(zoo.spec.network, runs_of(zoo)[:1], tetris_images, (1,), device=device))
