"""The compiled trunk, and what happens where it cannot be compiled. Its results are tests of nets and populations."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from zoobench import lanes, native
from zoobench.layout import layout_of
from zoobench.nets import RunActivations, RunDropout, forward
from zoobench.population import train
from zoobench.runs import runs_of
from zoobench.zoos import resolve
from zoobench.zoos.spec import Activation, Conv, Dropout, Flatten, Linear, MaxPool, Network

from .test_population import small_images


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "stride", "pool"),
    [(1, 5, 3, 1, 2), (3, 2, 2, 2, 3), (7, 9, 5, 1, 1), (2, 1, 1, 3, 2), (4, 4, 4, 3, 2), (5, 3, 7, 1, 2)],
)
def test_any_shape_of_convolution_and_pool_is_that_of_pytorch(inputs, outputs, kernel, stride, pool, dtype):
    """Channels and positions that do not fill the blocks of the loops, more runs than lanes, and every gradient."""
    layers = (Conv("conv", inputs, outputs, kernel, stride), MaxPool(pool), Activation(), Dropout(), Flatten())
    side = 17
    features = outputs * ((((side - kernel) // stride) + 1) // pool) ** 2
    network = Network("net", (*layers, Linear("fc", features, 3)))
    generator = torch.Generator().manual_seed(0)
    names = list(itertools.islice(itertools.cycle(["relu", "tanh", "sigmoid", "gelu"]), 19))
    weights = torch.randn(19, layout_of(network).size, generator=generator, dtype=dtype) / 2
    # Whole numbers, so that entries of a pool are often equal.
    images = torch.randn(19, 4, inputs, side, side, generator=generator, dtype=dtype).round()
    dropout = RunDropout(torch.arange(19), torch.linspace(0, 0.7, 19), step=5, first=3)
    found, expected = {}, {}
    for conv, results in (("lanes", found), ("per_run", expected)):
        leaf = weights.clone().requires_grad_()
        logits = forward(network, leaf, images, RunActivations(names), conv, dropout)
        (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
        results.update(logits=logits.detach(), gradient=gradient)
    for name, value in expected.items():
        rounding = 1e-5 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(found[name], value, rtol=0, atol=rounding * value.abs().max().item())


@pytest.mark.parametrize(("name", "function"), [("tanh", torch.tanh), ("sigmoid", torch.sigmoid), ("gelu", F.gelu)])
def test_activations_are_as_exact_as_pytorchs(name, function):
    x = torch.linspace(-12, 12, 64 * lanes.LANES).reshape(-1, lanes.LANES).requires_grad_()
    kinds = torch.full((lanes.LANES,), lanes.KINDS.index(name), dtype=torch.int32)
    found, expected = lanes._Activation.apply(x, kinds, None), function(x.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    slope, true_slope = (torch.autograd.grad(value.sum(), x)[0] for value in (found, expected))
    torch.testing.assert_close(slope, true_slope, rtol=1e-5, atol=1e-6)


def test_networks_that_diverge_do_so_as_in_pytorch():
    network = resolve("small-cnn-zoo/mnist").spec.network
    weights = torch.full((16, 4970), float("nan"))
    weights[1:] = 1e30
    images = torch.ones(16, 2, 1, 28, 28)
    results = [forward(network, weights, images, RunActivations(["relu"] * 16), conv) for conv in ("lanes", "per_run")]
    assert results[0][0].isnan().all()
    assert torch.equal(results[0].isfinite(), results[1].isfinite())


def test_masks_are_the_same_wherever_a_batch_is_cut():
    dropout = RunDropout(torch.arange(3), torch.tensor([0.2, 0.5, 0.0]), step=7)
    whole = dropout.mask(2, (6, 5, 3, 3))
    for first in range(6):
        part = RunDropout(dropout.seeds, dropout.rates, 7, first).mask(2, (6 - first, 5, 3, 3))
        assert torch.equal(part, whole[:, first:])


@pytest.mark.parametrize("problem", ["no compiler", "one that fails", "no cache"])
def test_without_the_compiled_code_zoos_are_trained_all_the_same(problem, tmp_path, monkeypatch):
    if problem == "no cache":
        (tmp_path / "file").touch()
        monkeypatch.setattr(native.platformdirs, "user_cache_path", lambda name: tmp_path / "file")
    else:
        monkeypatch.setenv("CC", "no-such-compiler" if problem == "no compiler" else "false")
    native.library.cache_clear()
    try:
        assert not lanes.available()
        zoo = resolve("mnist-zoo/seed")
        images = small_images((1, 28, 28), 10, train_count=20, test_count=10)
        (checkpoint,) = train(zoo.spec.network, runs_of(zoo)[:8], images, (1,))
        assert np.isfinite(checkpoint.weights).all()
    finally:
        native.library.cache_clear()


def test_the_code_is_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setattr(native.platformdirs, "user_cache_path", lambda name: tmp_path)
    native.library.cache_clear()
    try:
        for _ in range(2):
            assert native.library("lanes", "REAL=float") is not None
            native.library.cache_clear()
        assert [path.suffix for path in (tmp_path / "native").iterdir()] == [".so"]
    finally:
        native.library.cache_clear()
