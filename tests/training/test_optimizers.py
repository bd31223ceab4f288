import pytest
import torch

from zoobench.training.optimizers import Updater

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
    updater = Updater(name, together, rates, torch.full((4, 1), weight_decay), decoupled=False)
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
    updater = Updater("adam", together, torch.full((2, 1), 1e-2), torch.tensor([[0.0], [0.5]]), decoupled=True)
    optimizer = torch.optim.AdamW([alone], lr=1e-2, weight_decay=0.5)
    for step in range(50):
        alone.grad = gradients(step, alone.detach())
        updater.step(gradients(step, together))
        optimizer.step()
    torch.testing.assert_close(together[1], alone.detach(), rtol=1e-5, atol=1e-5)
