import numpy as np
import pytest
import torch

from zoobench.layout import layout_of
from zoobench.nets import forward, module
from zoobench.zoos import resolve

NETWORKS = {
    "tetris-zoo/seed": (1, 4, 4),
    "mnist-zoo/seed": (1, 28, 28),
    "small-cnn-zoo/cifar10": (1, 32, 32),
    "cnn-zoo-2/usps": (1, 16, 16),
}


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("conv", ["grouped", "per_run"])
@pytest.mark.parametrize("shared", [False, True], ids=["own images", "shared images"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_population_computes_what_plain_pytorch_modules_compute(name, shared, conv, activation):
    network = resolve(name).spec.network
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, layout_of(network).size, generator=generator) * 0.3
    images = torch.randn(1 if shared else 3, 5, *NETWORKS[name], generator=generator)
    logits = forward(network, weights, images, activation, conv)
    for run in range(3):
        alone = module(network, activation, weights[run].numpy()).eval()
        expected = alone(images[0 if shared else run])
        torch.testing.assert_close(logits[run], expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_a_run_do_not_depend_on_other_runs():
    network = resolve("mnist-zoo/seed").spec.network
    generator = torch.Generator().manual_seed(0)
    weights = (torch.randn(3, 2464, generator=generator) * 0.3).requires_grad_()
    images = torch.randn(3, 4, 1, 28, 28, generator=generator)
    for conv in ("grouped", "per_run"):
        (together,) = torch.autograd.grad(forward(network, weights, images, "tanh", conv).square().sum(), weights)
        alone = module(network, "tanh", weights[1].detach().numpy())
        alone(images[1]).square().sum().backward()
        expected = np.concatenate([p.grad.numpy().ravel() for p in alone.parameters()])
        np.testing.assert_allclose(together[1].numpy(), expected, rtol=1e-3, atol=1e-4)
