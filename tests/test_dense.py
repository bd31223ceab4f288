"""Gradients of dense networks in lanes; the judge is PyTorch's autograd on each network alone."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from zoobench import dense
from zoobench.layout import layout_of
from zoobench.nets import module
from zoobench.population import train
from zoobench.runs import runs_of
from zoobench.zoos import resolve
from zoobench.zoos.spec import Activation, Conv, Dropout, Flatten, Linear, Network

from .test_population import small_images

NETWORKS = {
    "one layer": (Linear("fc1", 9, 3),),
    "as on Tetris": (Linear("fc1", 9, 5, bias=False), Activation(), Linear("fc2", 5, 4, bias=False)),
    "deep": (
        Linear("fc1", 9, 17),
        Activation(),
        Linear("fc2", 17, 2, bias=False),
        Linear("fc3", 2, 20),
        Activation(),
        Linear("fc4", 20, 3),
    ),
    "with an activation at the end": (Linear("fc1", 9, 3), Activation()),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 7, 130])
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_gradients_are_those_of_pytorch(layers, batch, dtype):
    """More runs than lanes, every activation, batches of different sizes that do not fill the loops."""
    network = Network("net", (Flatten(), *layers))
    assert dense.only_dense(network)
    generator = torch.Generator().manual_seed(0)
    names = tuple(itertools.islice(itertools.cycle(["relu", "tanh", "sigmoid", "gelu", "tanh"]), 19))
    weights = torch.randn(19, layout_of(network).size, generator=generator, dtype=dtype)
    images = torch.randn(40, 1, 3, 3, generator=generator, dtype=dtype)
    labels = torch.randint(0, 3, (40,), generator=generator)
    chosen = torch.randint(0, 40, (19, batch), generator=generator)
    sizes = torch.randint(1, batch + 1, (19, 1), generator=generator)
    found = dense.gradient(network, weights, images, labels, chosen, sizes, names)
    for run, name in enumerate(names):
        own = chosen[run, : sizes[run, 0]]
        alone = module(network, name).to(dtype)
        torch.nn.utils.vector_to_parameters(weights[run], alone.parameters())
        loss = F.cross_entropy(alone(images[own]), labels[own])
        expected = torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(alone.parameters()))])
        rounding = 1e-5 if dtype == torch.float32 else 1e-13
        torch.testing.assert_close(found[run], expected, rtol=0, atol=rounding * (1 + expected.abs().max().item()))


def test_networks_that_diverge_do_so_as_in_pytorch():
    network = Network("net", (Flatten(), *NETWORKS["as on Tetris"]))
    weights = torch.ones(3, layout_of(network).size)
    weights[0] = float("nan")
    weights[1] = 1e30
    chosen, sizes = torch.zeros(3, 2, dtype=torch.int64), torch.full((3, 1), 2)
    images, labels = torch.ones(1, 9), torch.zeros(1, dtype=torch.int64)
    found = dense.gradient(network, weights, images, labels, chosen, sizes, ("relu",) * 3)
    assert found.isfinite().all(1).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "layers",
    [
        (Conv("conv", 1, 2, 3), Flatten(), Linear("fc", 8, 3)),
        (Flatten(), Linear("fc", 9, 3), Dropout(), Linear("fc2", 3, 3)),
        (Flatten(), Linear("fc", 9, 3), Activation(), Activation()),
        (Flatten(),),
    ],
)
def test_what_else_a_network_may_have_is_left_to_pytorch(layers):
    assert not dense.only_dense(Network("net", layers))


def test_populations_are_the_same_in_lanes_and_by_pytorchs_products():
    """Twenty epochs of a zoo with several activations and learning rates, in double precision."""
    zoo = resolve("tetris-zoo/hyp")
    images = small_images((1, 4, 4), 4, train_count=50, test_count=30)
    exact = dataclasses.replace(
        images, train_images=images.train_images.astype(np.float64), test_images=images.test_images.astype(np.float64)
    )
    runs = runs_of(zoo)[::170]
    (found,), (expected,) = (train(zoo.spec.network, runs, exact, (20,), conv=conv) for conv in ("lanes", "grouped"))
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(found.test.correct, expected.test.correct)
