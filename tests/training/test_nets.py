import dataclasses

import pytest
from torch import nn

from zoobench.errors import ZoobenchError
from zoobench.training.activations import RunActivations
from zoobench.training.nets import LAYERS, module
from zoobench.zoos.spec import Activation, Flatten, Layer, Linear, Network

LAYER = Linear("fc", 4, 2)
NETWORK = Network("net", (Flatten(), LAYER, Activation()))


@dataclasses.dataclass(frozen=True)
class Linnear(Layer):
    """No layer that is registered."""


@pytest.mark.parametrize("take", [lambda name: RunActivations(["relu", name]), lambda name: module(NETWORK, name)])
def test_an_unknown_activation_is_named(take):
    with pytest.raises(ZoobenchError, match="unknown activation 'thanh'; did you mean 'tanh'"):
        take("thanh")


def test_an_unknown_layer_is_named():
    with pytest.raises(ZoobenchError, match="unknown layer 'Linnear'; did you mean 'Linear'"):
        module(Network("net", (Flatten(), Linnear(), LAYER)), "relu")


@pytest.mark.parametrize(
    ("built", "said"),
    [
        (nn.Linear(4, 2, bias=False), r"Linear declares tensors .*'fc.bias': \(2,\).* its module has \{'fc.weight'"),
        (nn.Linear(2, 4), r"its module has \{'fc.weight': \(4, 2\)"),
        (nn.Sequential(nn.Linear(4, 2)), r"its module has \{'fc.0.weight'"),
    ],
)
def test_a_module_with_other_parameters_than_declared_is_refused(built, said, monkeypatch):
    monkeypatch.setitem(LAYERS, Linear, lambda layer, choices: built)
    with pytest.raises(ZoobenchError, match=said):
        module(NETWORK, "relu")


def test_a_module_that_keeps_a_state_is_refused(monkeypatch):
    """Running means of batch normalisation are no weights, and a population has no room for them."""
    monkeypatch.setitem(LAYERS, Activation, lambda layer, choices: nn.BatchNorm1d(2, affine=False))
    with pytest.raises(ZoobenchError, match="as buffers, running_mean, running_var"):
        module(NETWORK, "relu")


def test_two_layers_of_one_name_are_refused():
    with pytest.raises(ZoobenchError, match="two tensors of the network 'net' are named 'fc"):
        module(Network("net", (Flatten(), LAYER, Linear("fc", 2, 2))), "relu")
