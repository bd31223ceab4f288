import numpy as np
import pytest
import torch

from zoobench.training.optimizers import Updater
from zoobench.zoos.optimizers import KERAS, Optimizers

REFERENCES = {
    "adam": torch.optim.Adam,
    "sgd": lambda params, **kw: torch.optim.SGD(params, momentum=0.9, **kw),
    "rmsprop": torch.optim.RMSprop,
}


def gradients(step, weights):
    """Of a quadratic whose minimum moves with the step."""
    return weights - torch.sin(step + torch.arange(30.0))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", REFERENCES)
def test_every_run_takes_the_steps_of_torch_optim(name, weight_decay):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4, 30, generator=generator)
    rates = torch.tensor([[1e-1], [1e-2], [1e-3], [3e-2]])
    together = start.clone()
    updater = Updater(Optimizers().named(name), together, rates, torch.full((4, 1), weight_decay), decoupled=False)
    for step in range(50):
        updater.step(gradients(step, together))
    for run in range(4):
        alone = start[run].clone().requires_grad_()
        optimizer = REFERENCES[name]([alone], lr=rates[run].item(), weight_decay=weight_decay)
        for step in range(50):
            alone.grad = gradients(step, alone.detach())
            optimizer.step()
        torch.testing.assert_close(together[run], alone.detach(), rtol=1e-4, atol=1e-4)


def test_decoupled_weight_decay_is_adamw():
    generator = torch.Generator().manual_seed(0)
    together = torch.randn(2, 30, generator=generator)
    alone = together[1].clone().requires_grad_()
    updater = Updater(
        Optimizers().adam, together, torch.full((2, 1), 1e-2), torch.tensor([[0.0], [0.5]]), decoupled=True
    )
    optimizer = torch.optim.AdamW([alone], lr=1e-2, weight_decay=0.5)
    for step in range(50):
        alone.grad = gradients(step, alone.detach())
        updater.step(gradients(step, together))
        optimizer.step()
    torch.testing.assert_close(together[1], alone.detach(), rtol=1e-5, atol=1e-5)


def keras_step(name, weight, gradient, state, step, rate):
    """One update of TensorFlow 2's OptimizerV2 with what ``tf.keras.optimizers.get(name)`` sets, number by number."""
    if name == "sgd":
        return weight - rate * gradient
    if name == "rmsprop":
        state["v"] = 0.9 * state["v"] + 0.1 * gradient**2
        return weight - rate * gradient / (np.sqrt(state["v"]) + 1e-7)
    state["m"] = 0.9 * state["m"] + 0.1 * gradient
    state["v"] = 0.999 * state["v"] + 0.001 * gradient**2
    corrected = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    return weight - corrected * state["m"] / (np.sqrt(state["v"]) + 1e-7)


@pytest.mark.parametrize("scale", [1.0, 1e-6], ids=["gradients of 1", "gradients of epsilon"])
@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_the_constants_of_keras_give_the_steps_of_keras(name, scale):
    together = torch.linspace(-1, 1, 30, dtype=torch.float64).repeat(2, 1)
    alone, state = together[0].numpy().copy(), {"m": 0.0, "v": 0.0}
    updater = Updater(KERAS.named(name), together, torch.full((2, 1), 0.02), torch.zeros(2, 1), decoupled=False)
    for step in range(1, 21):
        slope = scale * gradients(step, torch.from_numpy(alone)).numpy()
        updater.step(scale * gradients(step, together))
        alone = keras_step(name, alone, slope, state, step, np.float32(0.02).astype(float))
    np.testing.assert_allclose(together[1].numpy(), alone, rtol=1e-7, atol=1e-12)


def test_decay_may_leave_weights_out():
    together = torch.ones(2, 3)
    decay = torch.tensor([[0.5], [0.1]]) * torch.tensor([1.0, 0.0, 1.0])
    Updater(KERAS.sgd, together, torch.ones(2, 1), decay, decoupled=False).step(torch.zeros(2, 3))
    torch.testing.assert_close(together, torch.tensor([[0.5, 1.0, 0.5], [0.9, 1.0, 0.9]]))
