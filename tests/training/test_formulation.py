import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from zoobench.training import lanes
from zoobench.training.formulation import at_once, conv_formulation, conv_multiply_adds, conv_outputs
from zoobench.training.nets import module
from zoobench.zoos import resolve

from .test_nets import NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_are_those_that_pytorch_counts(name):
    network, (_, side, _) = resolve(name).spec.network, NETWORKS[name]
    model = module(network, "relu").eval()
    counter = FlopCounterMode(display=False)
    with counter:
        model(torch.zeros(1, *NETWORKS[name]))
    convolutions = counter.get_flop_counts()["Global"].get(torch.ops.aten.convolution, 0)
    assert conv_multiply_adds(network, side) == convolutions // 2  # a multiply-add is two operations
    outputs = []
    for part in model:
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda part, inputs, output: outputs.append(output.numel()))
    model(torch.zeros(1, *NETWORKS[name]))
    assert conv_outputs(network, side) == sum(outputs)


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
    assert conv_formulation(network, side, batch, 32, torch.device("cpu")) == expected
    assert conv_formulation(network, side, batch, 32, torch.device("cuda")) == "grouped"


def test_lanes_that_would_mostly_be_empty_are_not_used():
    network = resolve("small-cnn-zoo/mnist").spec.network
    assert conv_formulation(network, 28, 32, 7, torch.device("cpu")) == "per_run"


def test_no_more_runs_at_once_than_stay_in_the_cache():
    """Feature maps have 13 x 13 + 6 x 6 + 2 x 2 positions of 16 channels."""
    network = resolve("small-cnn-zoo/mnist").spec.network
    assert at_once("per_run", network, 28, 512, torch.device("cpu")) == 2**22 // (512 * 3344)
    assert at_once("lanes", network, 28, 512, torch.device("cpu")) > 1e6
    assert at_once("grouped", network, 28, 512, torch.device("cuda")) > 1e6
