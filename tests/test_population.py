"""A population trains every run as it would be trained alone; the judge is a serial PyTorch loop."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import nn

from zoobench import streams
from zoobench.errors import ZoobenchError
from zoobench.images import load_images
from zoobench.nets import module
from zoobench.population import initial_weights, train
from zoobench.runs import runs_of
from zoobench.zoos import resolve

# Rounding of float32 sums in another order, amplified over some hundred Adam steps.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


def train_alone(network, run, images, epochs):
    """One run as anybody would write it: nn.Module, torch.optim.Adam, a loop over batches."""
    seeds = torch.tensor([run.seed])
    start = initial_weights(network, [run], torch.device("cpu"))[0].numpy()
    model = module(network, run.hyperparameters.activation, start)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=run.hyperparameters.learning_rate, weight_decay=run.hyperparameters.weight_decay
    )
    x, y = torch.from_numpy(images.train_images), torch.from_numpy(images.train_labels)
    size = run.hyperparameters.batch_size
    for epoch in range(1, epochs + 1):
        order = streams.permutation(seeds, "order", epoch, len(y))[0]
        for batch in order.split(size):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return np.concatenate([value.numpy().ravel() for value in model.state_dict().values()])


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_tetris_runs_train_as_they_do_alone(tetris_images, weight_decay):
    zoo = resolve("tetris-zoo/seed")
    runs = [
        dataclasses.replace(
            run,
            hyperparameters=dataclasses.replace(
                run.hyperparameters, learning_rate=(1 + i) * 1e-3, weight_decay=weight_decay
            ),
        )
        for i, run in enumerate(runs_of(zoo)[:6])
    ]
    *_, last = train(zoo.spec.network, runs, tetris_images, range(1, 11))
    for i, run in enumerate(runs):
        alone = train_alone(zoo.spec.network, run, tetris_images, 10)
        np.testing.assert_allclose(last.weights[i], alone, **TOLERANCE)
        start = initial_weights(zoo.spec.network, [run], torch.device("cpu"))[0].numpy()
        assert np.abs(alone - start).mean() > 0.02  # the runs have moved, much further than the tolerance


@pytest.mark.parametrize("conv", ["grouped", "per_run"])
def test_cnn_runs_train_as_they_do_alone(images_folder, conv):
    zoo = resolve("mnist-zoo-tiny/seed")
    images = load_images(zoo.spec, zoo.size, images_folder)
    runs = runs_of(zoo)[:4]
    *_, last = train(zoo.spec.network, runs, images, (2,), conv=conv)
    for i, run in enumerate(runs):
        alone = train_alone(zoo.spec.network, run, images, 2)
        np.testing.assert_allclose(last.weights[i], alone, rtol=1e-2, atol=1e-3)


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
    relu = dataclasses.replace(other, hyperparameters=dataclasses.replace(other.hyperparameters, activation="relu"))
    with pytest.raises(ZoobenchError, match=r"a population shares one activation, these runs have \['relu', 'tanh'\]"):
        list(train(zoo.spec.network, [one, relu], tetris_images, (1,)))
    bad = dataclasses.replace(one, hyperparameters=dataclasses.replace(one.hyperparameters, optimizer="adamm"))
    with pytest.raises(ZoobenchError, match="unknown optimizer 'adamm'; did you mean 'adam'"):
        list(train(zoo.spec.network, [bad], tetris_images, (1,)))


@pytest.mark.parametrize(("device", "message"), [("gpu0", "unknown device 'gpu0'"), ("cuda:99", "'cuda:99'")])
def test_a_device_that_is_not_there_is_named(tetris_images, device, message):
    zoo = resolve("tetris-zoo/seed")
    with pytest.raises(ZoobenchError, match=message):
        list(train(zoo.spec.network, runs_of(zoo)[:1], tetris_images, (1,), device=device))
