import numpy as np
import pytest
import torch

from zoobench.errors import ZoobenchError
from zoobench.training.nets import RunActivations, RunDropout, forward, module
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of

NETWORKS = {
    "tetris-zoo/seed": (1, 4, 4),
    "mnist-zoo/seed": (1, 28, 28),
    "small-cnn-zoo/cifar10": (1, 32, 32),
    "cnn-zoo-2/usps": (1, 16, 16),
}


@pytest.mark.parametrize("conv", ["grouped", "per_run", "lanes"])
@pytest.mark.parametrize("shared", [False, True], ids=["own images", "shared images"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_population_computes_what_plain_pytorch_modules_compute(name, shared, conv):
    network = resolve(name).spec.network
    names = ("gelu", "relu", "relu", "sigmoid", "tanh", "relu")
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(len(names), layout_of(network).size, generator=generator) * 0.3
    images = torch.randn(1 if shared else len(names), 5, *NETWORKS[name], generator=generator)
    logits = forward(network, weights, images, RunActivations(names), conv)
    for run, activation in enumerate(names):
        alone = module(network, activation, weights[run].numpy()).eval()
        expected = alone(images[0 if shared else run])
        torch.testing.assert_close(logits[run], expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_a_run_do_not_depend_on_other_runs():
    network = resolve("mnist-zoo/seed").spec.network
    generator = torch.Generator().manual_seed(0)
    weights = (torch.randn(3, 2464, generator=generator) * 0.3).requires_grad_()
    images = torch.randn(3, 4, 1, 28, 28, generator=generator)
    for conv in ("grouped", "per_run"):
        (together,) = torch.autograd.grad(
            forward(network, weights, images, RunActivations(["tanh"] * 3), conv).square().sum(), weights
        )
        alone = module(network, "tanh", weights[1].detach().numpy())
        alone(images[1]).square().sum().backward()
        expected = np.concatenate([p.grad.numpy().ravel() for p in alone.parameters()])
        np.testing.assert_allclose(together[1].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_an_unknown_activation_is_named():
    with pytest.raises(ZoobenchError, match="unknown activation 'thanh'; did you mean 'tanh'"):
        RunActivations(["relu", "thanh"])


def test_dropout_masks_have_each_runs_rate_and_keep_the_mean():
    rates = torch.tensor([0.0, 0.1, 0.5, 0.7])
    mask = RunDropout(torch.arange(4), rates, step=3).mask(2, (50, 16, 13, 13)).flatten(1)
    assert (mask[0] == 1).all()
    np.testing.assert_allclose((mask == 0).float().mean(1), rates, atol=3e-3)
    np.testing.assert_allclose(mask.mean(1), 1, atol=1e-2)
    assert mask[2].unique().tolist() == [0, 2]


def test_dropout_masks_depend_on_the_run_the_layer_and_the_step_alone():
    seeds, rates = torch.arange(5), torch.full((5,), 0.5)
    mask = RunDropout(seeds, rates, step=7).mask(1, (4, 6))
    assert torch.equal(RunDropout(seeds[3:4], rates[3:4], step=7).mask(1, (4, 6))[0], mask[3])
    assert torch.equal(RunDropout(seeds, rates, step=7).mask(1, (2, 6)), mask[:, :2])
    assert not torch.equal(RunDropout(seeds, rates, step=8).mask(1, (4, 6)), mask)
    assert not torch.equal(RunDropout(seeds, rates, step=7).mask(2, (4, 6)), mask)


@pytest.mark.parametrize("conv", ["grouped", "per_run", "lanes"])
@pytest.mark.parametrize("name", ["small-cnn-zoo/cifar10", "cnn-zoo-2/usps"])
def test_both_convolution_formulations_drop_the_same_entries(name, conv):
    network = resolve(name).spec.network
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, layout_of(network).size, generator=generator) * 0.3
    images = torch.randn(3, 4, *NETWORKS[name], generator=generator)
    dropout = RunDropout(torch.arange(3), torch.tensor([0.0, 0.3, 0.6]), step=1)
    activations = RunActivations(["relu", "tanh", "tanh"])
    logits = forward(network, weights, images, activations, conv, dropout)
    for run in range(3):
        model = module(network, activations.names[run], weights[run].numpy())
        hidden = images[run]
        for number, part in enumerate(model):
            dropped = isinstance(part, torch.nn.Dropout)
            hidden = hidden * dropout.mask(number, tuple(hidden.shape))[run] if dropped else part(hidden)
        torch.testing.assert_close(logits[run], hidden, rtol=1e-4, atol=1e-4)
