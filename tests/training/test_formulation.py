from typing import get_args

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from zoobench.training import lanes
from zoobench.training.activations import RunActivations
from zoobench.training.dropout import RunDropout
from zoobench.training.formulation import (
    Formulation,
    at_once,
    conv_multiply_adds,
    conv_outputs,
    formulation_for,
    forward,
    gradient,
)
from zoobench.training.nets import module
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.spec import Dropout

NETWORKS = {
    "tetris-zoo/seed": (1, 4, 4),
    "mnist-zoo/seed": (1, 28, 28),
    "small-cnn-zoo/cifar10": (1, 32, 32),
    "cnn-zoo-2/usps": (1, 16, 16),
}
FORMULATIONS = get_args(Formulation)


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_are_those_that_pytorch_counts(name):
    network = resolve(name).spec.network
    model = module(network, "relu").eval()
    counter = FlopCounterMode(display=False)
    with counter:
        model(torch.zeros(1, *NETWORKS[name]))
    convolutions = counter.get_flop_counts()["Global"].get(torch.ops.aten.convolution, 0)
    assert conv_multiply_adds(network, NETWORKS[name]) == convolutions // 2  # a multiply-add is two operations
    outputs = []
    for part in model:
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda part, inputs, output: outputs.append(output.numel()))
    model(torch.zeros(1, *NETWORKS[name]))
    assert conv_outputs(network, NETWORKS[name]) == sum(outputs)


@pytest.mark.parametrize(
    ("name", "side", "batch", "compiler", "expected"),
    [
        ("mnist-zoo/seed", 28, 4, True, "lanes"),
        ("small-cnn-zoo/mnist", 28, 512, True, "lanes"),
        ("cnn-zoo-2/mnist", 28, 1, True, "per_run"),
        ("tetris-zoo/seed", 4, 4, True, "lanes"),
        ("tetris-zoo/seed", 4, 4, False, "grouped"),
        ("mnist-zoo/seed", 28, 4, False, "grouped"),
        ("mnist-zoo/seed", 28, 10, False, "per_run"),
        ("small-cnn-zoo/mnist", 28, 16, False, "grouped"),
        ("small-cnn-zoo/mnist", 28, 32, False, "per_run"),
    ],
)
def test_the_formulation_depends_on_network_batch_and_device(name, side, batch, compiler, expected, monkeypatch):
    """What ``docs/benchmarks.md`` shows to be faster on two CPU cores."""
    network = resolve(name).spec.network
    monkeypatch.setattr(lanes, "available", lambda: compiler)
    assert formulation_for(network, (1, side, side), batch, ["relu"] * 32, torch.device("cpu")) == expected
    assert formulation_for(network, (1, side, side), batch, ["relu"] * 32, torch.device("cuda")) == "grouped"


def test_few_networks_are_in_lanes_too_so_that_they_have_the_same_bits():
    network = resolve("small-cnn-zoo/mnist").spec.network
    assert formulation_for(network, (1, 28, 28), 32, ["relu"], torch.device("cpu")) == "lanes"


def test_images_that_are_not_square_are_not_put_into_lanes():
    network = resolve("mnist-zoo/seed").spec.network
    assert formulation_for(network, (1, 28, 32), 4, ["relu"] * 32, torch.device("cpu")) == "grouped"


def test_no_more_runs_at_once_than_stay_in_the_cache():
    """Feature maps have 13 x 13 + 6 x 6 + 2 x 2 positions of 16 channels."""
    network = resolve("small-cnn-zoo/mnist").spec.network
    assert at_once("per_run", network, (1, 28, 28), 512, torch.device("cpu")) == 2**22 // (512 * 3344)
    assert at_once("lanes", network, (1, 28, 28), 512, torch.device("cpu")) > 1e6
    assert at_once("grouped", network, (1, 28, 28), 512, torch.device("cuda")) > 1e6


@pytest.mark.parametrize("way", FORMULATIONS)
@pytest.mark.parametrize("shared", [False, True], ids=["own images", "shared images"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_population_computes_what_plain_pytorch_modules_compute(name, shared, way):
    network = resolve(name).spec.network
    names = ("gelu", "relu", "relu", "sigmoid", "tanh", "relu")
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(len(names), layout_of(network).size, generator=generator) * 0.3
    images = torch.randn(1 if shared else len(names), 5, *NETWORKS[name], generator=generator)
    logits = forward(network, weights, images, RunActivations(names), way)
    for run, activation in enumerate(names):
        alone = module(network, activation, weights[run].numpy()).eval()
        expected = alone(images[0 if shared else run])
        torch.testing.assert_close(logits[run], expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_a_run_do_not_depend_on_other_runs():
    network = resolve("mnist-zoo/seed").spec.network
    generator = torch.Generator().manual_seed(0)
    weights = (torch.randn(3, 2464, generator=generator) * 0.3).requires_grad_()
    images = torch.randn(3, 4, 1, 28, 28, generator=generator)
    for way in ("grouped", "per_run", "functional"):
        (together,) = torch.autograd.grad(
            forward(network, weights, images, RunActivations(["tanh"] * 3), way).square().sum(), weights
        )
        alone = module(network, "tanh", weights[1].detach().numpy())
        alone(images[1]).square().sum().backward()
        expected = np.concatenate([p.grad.numpy().ravel() for p in alone.parameters()])
        np.testing.assert_allclose(together[1].numpy(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("way", FORMULATIONS)
@pytest.mark.parametrize("name", ["small-cnn-zoo/cifar10", "cnn-zoo-2/usps"])
def test_all_formulations_drop_the_same_entries(name, way):
    network = resolve(name).spec.network
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, layout_of(network).size, generator=generator) * 0.3
    images = torch.randn(3, 4, *NETWORKS[name], generator=generator)
    dropout = RunDropout(torch.arange(3), torch.tensor([0.0, 0.3, 0.6]), step=1)
    activations = RunActivations(["relu", "tanh", "tanh"])
    logits = forward(network, weights, images, activations, way, dropout)
    for run in range(3):
        model = module(network, activations.names[run], weights[run].numpy())
        hidden = images[run]
        for number, part in enumerate(model):
            dropped = isinstance(part, torch.nn.Dropout)
            hidden = hidden * dropout.mask(number, tuple(hidden.shape))[run] if dropped else part(hidden)
        torch.testing.assert_close(logits[run], hidden, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", [way for way in FORMULATIONS if way != "functional"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_the_modules_mapped_over_runs(name, way):
    """With dropout, mixed activations, batches that are padded, in float64."""
    network, names = resolve(name).spec.network, ("relu", "relu", "tanh", "gelu", "sigmoid", "tanh")
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(len(names), layout_of(network).size, generator=generator, dtype=torch.float64) * 0.2
    images = torch.randn(9, *NETWORKS[name], generator=generator, dtype=torch.float64)
    labels, chosen = torch.arange(9) % 4, torch.randint(0, 9, (len(names), 5), generator=generator)
    sizes = torch.tensor([5, 5, 3, 5, 1, 4])[:, None]
    dropout = RunDropout(torch.arange(len(names)), torch.tensor([0.0, 0.5, 0.2, 0.3, 0.0, 0.6]), step=3)
    operands = network, weights, images, labels, chosen, sizes, RunActivations(names)
    expected, correct = gradient(*operands, "functional", dropout)
    drops = any(isinstance(layer, Dropout) for layer in network.layers)
    assert torch.allclose(expected, gradient(*operands, "functional")[0]) != drops
    found, hits = gradient(*operands, way, dropout)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert hits.tolist() == correct.tolist()
