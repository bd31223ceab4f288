"""Initialisers against the definitions in torch.nn.init: same distribution, by Kolmogorov-Smirnov."""

import dataclasses
import hashlib
import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from tests.plain_arithmetic import run_plainly
from zoobench.errors import ZoobenchError
from zoobench.training.initialisers import INITIALISERS, initial_weights
from zoobench.zoos import resolve
from zoobench.zoos.runs import Run
from zoobench.zoos.spec import Flatten, Hyperparameters, Linear, Network, Training

NETWORK = resolve("small-cnn-zoo/mnist").spec.network
BASE = Hyperparameters("relu", "uniform", "adam", learning_rate=1e-3, batch_size=8)
CONV2 = slice(160, 160 + 16 * 16 * 9)


def draw(init, std=None, seeds=range(1, 21)):
    runs = [Run(f"r{s}", "c", dataclasses.replace(BASE, init=init, init_std=std), s) for s in seeds]
    return initial_weights(NETWORK, runs, torch.device("cpu")).numpy()


REFERENCE = {
    "uniform": torch.nn.init.uniform_,
    "normal": torch.nn.init.normal_,
    "xavier_uniform": torch.nn.init.xavier_uniform_,
    "xavier_normal": torch.nn.init.xavier_normal_,
    "kaiming_uniform": torch.nn.init.kaiming_uniform_,
    "kaiming_normal": torch.nn.init.kaiming_normal_,
    "orthogonal": torch.nn.init.orthogonal_,
    "torch_default": lambda weight: torch.nn.init.kaiming_uniform_(weight, a=5**0.5),
}


def flat(*shape):
    """A dense network of layers of such (outputs, inputs), from bottom to top."""
    return Network("net", (Flatten(), *(Linear(f"fc{n}", i, o, bias=False) for n, (o, i) in enumerate(shape))))


@pytest.mark.parametrize("shape", [(32, 8), (8, 32)], ids=str)
@pytest.mark.parametrize("init", REFERENCE)
def test_weights_of_unequal_fans_are_distributed_as_in_torch(init, shape):
    """Fan-in and fan-out of four times each other: taken for one another they double or halve every weight."""
    torch.manual_seed(0)
    expected = [REFERENCE[init](torch.empty(shape)).numpy().ravel() for _ in range(40)]
    runs = [Run(f"r{seed}", "c", dataclasses.replace(BASE, init=init), seed) for seed in range(40)]
    ours = initial_weights(flat(shape), runs, torch.device("cpu")).numpy()
    assert stats.ks_2samp(ours.ravel(), np.concatenate(expected)).pvalue > 1e-3


@pytest.mark.parametrize("init", INITIALISERS)
def test_layers_of_one_network_draw_independent_streams(init):
    """Layers of one shape: a run's weights in one are found in no other, at any place, and tell nothing of them."""
    runs = [Run(f"r{seed}", "c", dataclasses.replace(BASE, init=init, init_std=0.3), seed) for seed in range(200)]
    weights = initial_weights(flat((8, 8), (8, 8), (8, 8)), runs, torch.device("cpu")).numpy()
    for one, other in itertools.combinations(weights.reshape(200, 3, 64).swapaxes(0, 1), 2):
        # Two of a float32's 2^24 fractions agree by chance once in twenty times.
        assert sum(np.isin(*pair).sum() for pair in zip(one, other, strict=True)) <= 5
        # 12,800 pairs: a correlation has a standard deviation of 0.009.
        assert abs(stats.pearsonr(one.ravel(), other.ravel()).statistic) < 0.04


@pytest.mark.parametrize("init", REFERENCE)
def test_weights_are_distributed_as_in_torch(init):
    torch.manual_seed(0)
    kernels = [REFERENCE[init](torch.empty(16, 16, 3, 3)).numpy().ravel() for _ in range(20)]
    ours = draw(init)[:, CONV2]
    assert stats.ks_2samp(ours.ravel(), np.concatenate(kernels)).pvalue > 1e-3


def test_truncated_normal_is_cut_at_two_standard_deviations():
    ours = draw("truncated_normal", std=0.2)[:, CONV2].ravel()
    assert np.abs(ours).max() <= 0.4
    assert stats.kstest(ours, stats.truncnorm(-2, 2, scale=0.2).cdf).pvalue > 1e-3


def test_init_std_scales_the_normal_initialiser():
    np.testing.assert_allclose(draw("normal", std=0.25)[:, CONV2], 0.25 * draw("normal")[:, CONV2], rtol=1e-6)


def test_orthogonal_kernels_have_orthonormal_rows():
    kernels = draw("orthogonal")[:, CONV2].reshape(20, 16, 144).astype(np.float64)
    np.testing.assert_allclose(kernels @ kernels.transpose(0, 2, 1), np.tile(np.eye(16), (20, 1, 1)), atol=1e-6)


def test_no_entry_of_an_orthogonal_matrix_prefers_a_sign():
    """As a decomposition's would: among all of them, each entry is as often above 0 as below."""
    runs = [Run(f"r{seed}", "c", dataclasses.replace(BASE, init="orthogonal"), seed) for seed in range(400)]
    positive = (initial_weights(flat((6, 6)), runs, torch.device("cpu")) > 0).double().mean(dim=0)
    assert (positive - 0.5).abs().max() < 5 * 0.5 / 20


def test_biases_start_at_the_runs_constant():
    runs = [Run("r", "c", BASE, 1, Training(initial_bias=bias)) for bias in (0.0, 0.01)]
    weights = initial_weights(NETWORK, runs, torch.device("cpu")).numpy()
    assert (weights[0, -10:] == 0).all()
    assert (weights[1, -10:] == np.float32(0.01)).all()


def test_mixed_initialisers_draw_what_each_run_draws_alone():
    names = ["normal", "orthogonal", "kaiming_normal", "uniform", "orthogonal"]
    runs = [Run(f"r{i}", "c", dataclasses.replace(BASE, init=name), i) for i, name in enumerate(names)]
    together = initial_weights(NETWORK, runs, torch.device("cpu"))
    for i, run in enumerate(runs):
        alone = initial_weights(NETWORK, [run], torch.device("cpu"))[0]
        torch.testing.assert_close(together[i], alone, rtol=1e-6, atol=1e-7)


def test_the_same_seed_starts_every_initialiser_of_a_family_from_the_same_draw():
    ratio = draw("xavier_normal")[:, CONV2] / draw("kaiming_normal")[:, CONV2]
    np.testing.assert_allclose(ratio, np.sqrt(0.5), rtol=1e-4)


def test_an_unknown_initialiser_is_named():
    with pytest.raises(ZoobenchError, match="unknown init 'ortogonal'; did you mean 'orthogonal'"):
        draw("ortogonal")
    assert set(INITIALISERS) == {*REFERENCE, *KERAS, "truncated_normal"}


# Of Keras' VarianceScaling: what the fans (in, out) make the variance.
KERAS = {
    "xavier_truncated": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "kaiming_truncated": lambda fan_in, fan_out: 2 / fan_in,
}


@pytest.mark.parametrize("shape", [(32, 8), (8, 32)], ids=str)
@pytest.mark.parametrize("init", KERAS)
def test_truncated_variance_scaling_is_that_of_keras(init, shape):
    """A normal of the standard deviation that keeps the variance, .8796 times smaller once it is cut at two of it."""
    runs = [Run(f"r{seed}", "c", dataclasses.replace(BASE, init=init), seed) for seed in range(100)]
    ours = initial_weights(flat(shape), runs, torch.device("cpu")).numpy().ravel()
    std = np.sqrt(KERAS[init](shape[1], shape[0])) / 0.87962566103423978
    assert stats.kstest(ours, stats.truncnorm(-2, 2, scale=std).cdf).pvalue > 1e-3
    assert np.abs(ours).max() <= 2 * std * (1 + 1e-6)


@pytest.mark.parametrize("init", ["uniform", "orthogonal"])
def test_a_layer_may_start_as_pytorch_makes_it_whatever_the_initialiser(init):
    """Weight and bias; a run beside it whose recipe does not say so starts its bias at the constant."""
    torch.manual_seed(0)
    theirs = [nn.Linear(16, 10) for _ in range(60)]
    training = Training(torch_layers=("fc",), initial_bias=0.5)
    runs = [Run(f"r{seed}", "c", dataclasses.replace(BASE, init=init), seed, training) for seed in range(60)]
    runs.append(dataclasses.replace(runs[0], training=Training(initial_bias=0.5)))
    weights = initial_weights(NETWORK, runs, torch.device("cpu")).numpy()
    for ours, expected in ((weights[:-1, -170:-10], "weight"), (weights[:-1, -10:], "bias")):
        drawn = np.concatenate([getattr(layer, expected).detach().numpy().ravel() for layer in theirs])
        assert stats.ks_2samp(ours.ravel(), drawn).pvalue > 1e-3
        assert len(np.unique(ours)) > ours.size - 5
    assert (weights[-1, -10:] == 0.5).all()
    assert (weights[:-1, 144:160] == 0.5).all()


def test_an_initialiser_may_stand_for_another():
    swapped = Training(initialisers=(("uniform", "normal"),))
    runs = [Run("r", "c", dataclasses.replace(BASE, init=init), 3, swapped) for init in ("uniform", "normal")]
    ours = initial_weights(NETWORK, runs, torch.device("cpu"))
    assert torch.equal(ours[0], ours[1])


GOLDEN = "6aaa217cac32eb1555b2d7d24650e38c7458f56249650ba9fc9fd12c8b5c8a9c"


def digest():
    """sha256 of the weights of two runs by each initialiser, one of them with a layer as PyTorch makes it."""
    recipes = [
        (init, training) for init in sorted(INITIALISERS) for training in (Training(), Training(torch_layers=("fc",)))
    ]
    runs = [
        Run(f"r{seed}", "c", dataclasses.replace(BASE, init=init, init_std=0.1), seed, training)
        for seed, (init, training) in enumerate(recipes)
    ]
    weights = initial_weights(NETWORK, runs, torch.device("cpu"))
    return hashlib.sha256(weights.numpy().astype("<f4").tobytes()).hexdigest()


def test_the_bits_of_weights_are_the_same_with_and_without_vector_instructions():
    assert digest() == GOLDEN
    run_plainly("from tests.training.test_initialisers import GOLDEN, digest as found; assert found() == GOLDEN")
