"""Networks by the compiled code, and what happens where it cannot be compiled. Whole trainings: test_population."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from zoobench import native
from zoobench.training import lanes
from zoobench.training.activations import RunActivations
from zoobench.training.dropout import RunDropout
from zoobench.training.formulation import forward
from zoobench.training.population import train
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.runs import runs_of
from zoobench.zoos.spec import Activation, Conv, Dropout, Flatten, GlobalAveragePool, Linear, MaxPool, Network

from .test_population import small_images

RUNS = 19
NAMES = tuple(itertools.islice(itertools.cycle(["relu", "tanh", "sigmoid", "gelu", "tanh"]), RUNS))


def agree(network, images_shape, dtype, dropout=None, batch=4, classes=3):
    """Logits and gradients of more runs than lanes, each with its own batch: those of PyTorch's convolutions."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(RUNS, layout_of(network).size, generator=generator, dtype=dtype) / 2
    # Whole numbers, so that entries of a pool are often equal.
    images = torch.randn(40, *images_shape, generator=generator, dtype=dtype).round()
    labels = torch.randint(0, classes, (40,), generator=generator)
    chosen = torch.randint(0, 40, (RUNS, batch), generator=generator)
    sizes = torch.randint(1, batch + 1, (RUNS, 1), generator=generator)
    leaf = weights.clone().requires_grad_()
    logits = forward(network, leaf, images[chosen], RunActivations(NAMES), "per_run", dropout)
    ends = zip(logits, chosen, sizes[:, 0], strict=True)
    correct = [int((own.argmax(1) == labels[which])[:size].sum()) for own, which, size in ends]
    losses = [
        F.cross_entropy(own[:size], labels[which[:size]])
        for own, which, size in zip(logits, chosen, sizes[:, 0], strict=True)
    ]
    (expected,) = torch.autograd.grad(sum(losses), leaf)
    gradients, hits = lanes.gradient(network, weights, images, labels, chosen, sizes, NAMES, dropout)
    assert hits.tolist() == correct
    found = {
        "logits": (lanes.logits(network, weights, images, NAMES, dropout, chosen), logits.detach()),
        "gradients": (gradients, expected),
    }
    for value, true in found.values():
        rounding = 1e-5 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(value, true, rtol=0, atol=rounding * (1 + true.abs().max().item()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "stride", "pool"),
    [(1, 5, 3, 1, 2), (3, 2, 2, 2, 3), (7, 9, 5, 1, 1), (2, 1, 1, 3, 2), (4, 4, 4, 3, 2), (5, 3, 7, 1, 2)],
)
def test_any_shape_of_convolution_and_pool_is_that_of_pytorch(inputs, outputs, kernel, stride, pool, dtype):
    """Channels and positions that do not fill the blocks of the loops, and dropout."""
    side = 17
    map_side = (((side - kernel) // stride) + 1) // pool
    layers = (Conv("conv", inputs, outputs, kernel, stride), MaxPool(pool), Activation(), Dropout(), Flatten())
    layers += (Linear("fc1", outputs * map_side**2, 6), Dropout(), Linear("fc2", 6, 3))
    dropout = RunDropout(torch.arange(RUNS), torch.linspace(0, 0.7, RUNS), step=5)
    network = Network("net", layers)
    assert lanes.COVERAGE.covers(network, NAMES)
    agree(network, (inputs, side, side), dtype, dropout)


DENSE = {
    "one layer": (Linear("fc1", 9, 3),),
    "as on Tetris": (Linear("fc1", 9, 5, bias=False), Activation(), Linear("fc2", 5, 4, bias=False)),
    "deep": (
        Linear("fc1", 9, 17),
        Activation(),
        Linear("fc2", 17, 2, bias=False),
        Linear("fc3", 2, 20),
        Dropout(),
        Activation(),
        Linear("fc4", 20, 3),
    ),
    "with an activation at the end": (Linear("fc1", 9, 3), Activation()),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 7, 130])
@pytest.mark.parametrize("layers", DENSE.values(), ids=DENSE)
def test_dense_layers_and_batches_of_any_size_are_those_of_pytorch(layers, batch, dtype):
    agree(Network("net", (Flatten(), *layers)), (1, 3, 3), dtype, batch=batch)


def test_means_over_positions_are_those_of_pytorch():
    layers = (Conv("conv", 2, 5, 2), Activation(), GlobalAveragePool(), Linear("fc", 5, 3), Activation())
    agree(Network("net", layers), (2, 6, 6), torch.float64, batch=5)


@pytest.mark.parametrize("cache", [1, 1 << 30])
def test_results_do_not_depend_on_how_many_images_go_through_the_layers_together(cache, monkeypatch):
    monkeypatch.setattr(native, "_FLAGS", (*native._FLAGS, f"-DCACHE={cache}"))
    native.library.cache_clear()
    try:
        layers = (Conv("conv", 1, 5, 3), Activation(), Dropout(), Flatten(), Linear("fc", 45, 3))
        dropout = RunDropout(torch.arange(RUNS), torch.full((RUNS,), 0.3), step=2)
        agree(Network("net", layers), (1, 5, 5), torch.float64, dropout, batch=21)
    finally:
        native.library.cache_clear()


def test_images_may_be_the_same_for_all_runs():
    network = resolve("mnist-zoo/seed").spec.network
    weights, images = torch.randn(3, layout_of(network).size) / 5, torch.randn(1, 70, 1, 28, 28)
    found = lanes.logits(network, weights, images[0], NAMES[:3])
    repeated = forward(network, weights, images.expand(3, -1, -1, -1, -1), RunActivations(NAMES[:3]), "lanes")
    torch.testing.assert_close(found, repeated)
    expected = forward(network, weights, images, RunActivations(NAMES[:3]), "grouped")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu"])
def test_activations_are_as_exact_as_pytorchs(name):
    """Slopes by the gradient of ln 2 at two equal logits: half the slope, for a label of the other class."""
    network = Network("net", (Flatten(), Linear("fc1", 1, 1, bias=False), Activation(), Linear("fc2", 1, 2)))
    weights = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0]])
    x = torch.linspace(-12, 12, 1024).reshape(-1, 1, 1, 1)
    true = x.double().requires_grad_()
    values = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu}[name](true)
    logits = lanes.logits(network, weights, x, [name])
    torch.testing.assert_close(logits[0, :, 0].double(), values.flatten().detach(), rtol=1e-6, atol=1e-6)
    (slopes,) = torch.autograd.grad(values.sum(), true)
    some = torch.arange(1024)
    # The gradient of fc1 is x * slope * (w0 * (p0 - 1) + w1 * p1), with p0 = p1 = 1/2, for w0 = 1 and w1 = 0.
    weights = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0]]).repeat(1024, 1)
    weights[:, 3] = -values.flatten().detach().float()
    ones = torch.ones(1024, 1, dtype=torch.int64)
    found, _ = lanes.gradient(network, weights, x, torch.zeros_like(some), some[:, None], ones, [name] * 1024)
    expected = -0.5 * slopes.flatten() * x.flatten()
    torch.testing.assert_close(found[:, 0].double(), expected, rtol=1e-4, atol=1e-6)


def test_networks_that_diverge_do_so_as_in_pytorch():
    network = resolve("small-cnn-zoo/mnist").spec.network
    weights = torch.full((16, 4970), float("nan"))
    weights[1:] = 1e30
    images = torch.ones(16, 2, 1, 28, 28)
    results = [forward(network, weights, images, RunActivations(["relu"] * 16), conv) for conv in ("lanes", "per_run")]
    assert results[0][0].isnan().all()
    assert torch.equal(results[0].isfinite(), results[1].isfinite())
    labels, chosen, sizes = torch.zeros(2, dtype=torch.int64), torch.tensor([[0, 1]] * 16), torch.full((16, 1), 2)
    found, _ = lanes.gradient(network, weights, images[0], labels, chosen, sizes, ["relu"] * 16)
    assert not found.isfinite().all(1).any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": torch.zeros(3, 2463)}, r"weights are torch.float32 \(3, 2463\).*2464"),
        ({"weights": torch.zeros(3, 2464, dtype=torch.float16)}, "torch.float16"),
        ({"images": torch.zeros(9, 1, 28, 28, dtype=torch.float64)}, r"images are torch.float64.*take torch.float32"),
        ({"images": torch.zeros(9, 3, 28, 28)}, r"conv1 takes 1 inputs.*3 maps of 28 x 28"),
        ({"images": torch.zeros(9, 1, 32, 28)}, r"fc1 takes 36 inputs.*maps of"),
        ({"images": torch.zeros(9, 1, 56, 56)}, r"fc1 takes 36 inputs.*maps of"),
        ({"images": torch.zeros(9, 1, 8, 8)}, r"conv2 takes 8 inputs.*8 maps of 2 x 2"),
        ({"activations": ["relu"]}, "1 activations for 3 runs"),
        ({"chosen": torch.full((3, 4), 9)}, "from 9 to 9; 3 runs choose by int64 among 9 images"),
        ({"chosen": torch.full((3, 4), -1)}, "from -1 to -1"),
        ({"chosen": torch.zeros(2, 4, dtype=torch.int64)}, r"\(2, 4\)"),
        ({"labels": torch.zeros(8, dtype=torch.int64)}, "give 9 int64"),
        ({"sizes": torch.ones(3, 1, dtype=torch.int32)}, "give 3 int64"),
    ],
)
def test_arrays_that_do_not_fit_are_named_before_anything_reads_them(changed, message):
    given = {
        "weights": torch.zeros(3, 2464),
        "images": torch.zeros(9, 1, 28, 28),
        "labels": torch.zeros(9, dtype=torch.int64),
        "chosen": torch.zeros(3, 4, dtype=torch.int64),
        "sizes": torch.ones(3, 1, dtype=torch.int64),
        "activations": ["relu"] * 3,
    }
    lanes.gradient(resolve("mnist-zoo/seed").spec.network, **given)
    with pytest.raises(ValueError, match=message):
        lanes.gradient(resolve("mnist-zoo/seed").spec.network, **given | changed)


def test_dropout_of_flattened_maps_is_left_to_pytorch():
    """Its draws are numbered by channel first there."""
    layers = (Conv("conv", 1, 2, 3), Flatten(), Dropout(), Linear("fc", 8, 3))
    assert not lanes.COVERAGE.covers(Network("net", layers), ["relu"])
    layers = (Conv("conv", 1, 2, 3), Flatten(), Activation(), Dropout(), Linear("fc", 8, 3))
    assert not lanes.COVERAGE.covers(Network("net", layers), ["relu"])


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_the_compiled_code_zoos_are_trained_all_the_same(compiler, monkeypatch):
    monkeypatch.setenv("CC", compiler)
    native.library.cache_clear()
    try:
        assert not lanes.available()
        zoo = resolve("mnist-zoo/seed")
        images = small_images((1, 28, 28), 10, train_count=20, test_count=10)
        (checkpoint,) = train(zoo.spec.network, runs_of(zoo)[:8], images, (1,))
        assert np.isfinite(checkpoint.weights).all()
    finally:
        native.library.cache_clear()
