"""Whatever can be declared is computed as plain PyTorch does, or refused: by every formulation."""

import functools
import itertools
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from zoobench.errors import ZoobenchError
from zoobench.training import functional, winograd
from zoobench.training.activations import ACTIVATIONS, RunActivations
from zoobench.training.dropout import RunDropout
from zoobench.training.formulation import FAST, Formulation, formulation_for, forward, gradient
from zoobench.training.initialisers import initial_weights
from zoobench.training.nets import LAYERS, module
from zoobench.training.population import train
from zoobench.zoos.layout import layout_of
from zoobench.zoos.runs import Run
from zoobench.zoos.spec import (
    Activation,
    Conv,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Hyperparameters,
    Layer,
    Linear,
    MaxPool,
    Network,
)

from .test_population import small_images, train_alone

CPU = torch.device("cpu")
FAST_ONES = tuple(name for name in get_args(Formulation) if name != "functional")


@dataclass(frozen=True)
class AvgPool(Layer):
    size: int


@dataclass(frozen=True)
class Scale(Layer):
    """A factor per channel."""

    name: str
    channels: int

    @property
    def tensors(self):
        return {f"{self.name}.weight": (self.channels,)}


class ScaleModule(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, hidden):
        return hidden * self.weight[:, None, None]


@dataclass(frozen=True)
class PaddedConv(Conv):
    """Has all that a convolution has, and is another layer."""

    padding: int = 1


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(LAYERS, AvgPool, lambda layer, _: nn.AvgPool2d(layer.size))
    monkeypatch.setitem(LAYERS, Scale, lambda layer, _: ScaleModule(layer.channels))
    padded = lambda layer, _: nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding)  # noqa: E731
    monkeypatch.setitem(LAYERS, PaddedConv, padded)
    monkeypatch.setitem(ACTIVATIONS, "leaky_relu", functools.partial(nn.LeakyReLU, 0.2))


NEW = Network(
    "net",
    (
        Conv("conv", 1, 3, 3),
        Scale("scale", 3),
        Activation(),
        AvgPool(2),
        Dropout(),
        Flatten(),
        Linear("fc1", 27, 5),
        Activation(),
        Dropout(),
        Linear("fc2", 5, 4),
    ),
)
RUNS = 5


def by_hand(network, activation, weights):
    """``NEW`` without any of zoobench's registries."""
    function = {"leaky_relu": functools.partial(nn.LeakyReLU, 0.2), "relu": nn.ReLU, "gelu": nn.GELU}[activation]
    parts = (nn.Conv2d(1, 3, 3), ScaleModule(3), function(), nn.AvgPool2d(2), nn.Dropout(), nn.Flatten())
    parts += (nn.Linear(27, 5), function(), nn.Dropout(), nn.Linear(5, 4))
    built = nn.Sequential(*parts)
    nn.utils.vector_to_parameters(torch.from_numpy(weights), built.parameters())
    return built


def test_a_new_layer_and_a_new_activation_train_as_a_serial_pytorch_loop():
    """Without a part per formulation: a dataclass, an entry in a registry each. Batches that end with fewer images."""
    images = small_images((1, 8, 8), 4, train_count=50, test_count=30, dtype=np.float64)
    base = Hyperparameters("leaky_relu", "normal", "adam", 1e-2, batch_size=16, weight_decay=1e-3, init_std=0.4)
    changes = [
        {},
        {"activation": "gelu", "dropout": 0.3, "train_fraction": 0.5},
        {"optimizer": "sgd", "dropout": 0.5, "init": "uniform"},
        {"activation": "relu", "optimizer": "rmsprop", "learning_rate": 1e-3},
        {"dropout": 0.2, "train_fraction": 0.7},
    ]
    runs = [Run(f"run-{i}", "c", replace(base, **values), seed=i) for i, values in enumerate(changes)]
    last = list(train(NEW, runs, images, (0, 4)))[-1]
    pixels, labels = torch.from_numpy(images.test_images), torch.from_numpy(images.test_labels)
    for i, run in enumerate(runs):
        alone, _, _ = train_alone(NEW, run, images, 4, by_hand)
        start = initial_weights(NEW, [run], CPU)[0].numpy()
        np.testing.assert_allclose(last.weights[i], alone, rtol=1e-7, atol=1e-9)
        assert np.abs(alone - start).max() > 1e-2
        logits = by_hand(NEW, run.hyperparameters.activation, alone).eval()(pixels).detach()
        assert last.test.loss[i] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
        assert last.test.correct[i] == (logits.argmax(1) == labels).sum()


def test_a_new_layer_has_its_place_in_the_layout():
    layout = layout_of(NEW)
    state = module(NEW, "leaky_relu").state_dict()
    assert {tensor.name: tensor.shape for tensor in layout.tensors} == {k: tuple(v.shape) for k, v in state.items()}
    assert layout.size == 27 + 3 + 3 + 27 * 5 + 5 + 5 * 4 + 4
    assert [layer.name for layer in layout.layers] == ["conv", "scale", "fc1", "fc2"]


def test_a_vector_is_not_initialised_as_a_matrix():
    run = Run("r", "c", Hyperparameters("relu", "orthogonal", "adam", 1e-3, 8), seed=1)
    with pytest.raises(ZoobenchError, match=r"'orthogonal' is of matrices, and scale.weight has shape \(3,\); choose"):
        initial_weights(NEW, [run], CPU)


CONV, TAIL = Conv("conv", 1, 2, 3), (Flatten(), Linear("fc", 72, 3))
REFUSED = {
    "an unknown layer": ((CONV, AvgPool(2), *TAIL), "relu", "layer AvgPool;"),
    "one with parameters": ((CONV, Scale("scale", 2), *TAIL), "relu", "layer Scale;"),
    "one among dense layers": ((*TAIL, Scale("scale", 3)), "relu", "layer Scale;"),
    "a subtype": ((PaddedConv("conv", 1, 2, 3), *TAIL), "relu", "layer PaddedConv;"),
    "an activation": ((CONV, Activation(), *TAIL), "leaky_relu", "activation 'leaky_relu';"),
    "a convolution of vectors": (
        (Flatten(), CONV, Linear("fc", 2, 3)),
        "relu",
        "layer Conv on (flattened maps|vectors);",
    ),
    "a pool of vectors": ((*TAIL, MaxPool(2)), "relu", "layer MaxPool on vectors;"),
    "a mean of means": (
        (CONV, GlobalAveragePool(), GlobalAveragePool()),
        "relu",
        "layer GlobalAveragePool on vectors;",
    ),
    "a dense layer on maps": ((CONV, Linear("fc", 6, 3), Flatten()), "relu", "layer Linear on maps;"),
    "maps as logits": ((CONV, Activation()), "relu", "a network that ends in maps;"),
    "nothing": ((), "relu", "a network that ends in maps;"),
}


@pytest.mark.parametrize("way", FAST_ONES)
@pytest.mark.parametrize(("layers", "activation", "said"), REFUSED.values(), ids=REFUSED)
def test_what_a_fast_formulation_does_not_know_it_refuses(layers, activation, said, way):
    network, activations = Network("net", layers), RunActivations(["relu", activation])
    weights, images = torch.zeros(2, layout_of(network).size), torch.zeros(2, 1, 8, 8)
    whole = f"the formulation '{way}' does not know {said} 'functional' computes every network"
    with pytest.raises(ZoobenchError, match=whole):
        forward(network, weights, images.expand(2, -1, -1, -1, -1), activations, way)
    chosen, sizes = torch.zeros(2, 2, dtype=torch.int64), torch.ones(2, 1, dtype=torch.int64)
    with pytest.raises(ZoobenchError, match=whole):
        gradient(network, weights, images, chosen[0], chosen, sizes, activations, way)
    values = Hyperparameters(activation, "normal", "adam", 1e-3, batch_size=2)
    with pytest.raises(ZoobenchError, match=whole):
        next(train(network, [Run("r", "c", values, 1)], small_images((1, 8, 8), 3, 6, 3), (1,), formulation=way))
    for device in ("cpu", "cuda"):
        assert formulation_for(network, (1, 8, 8), 4, activations.names * 8, torch.device(device)) == "functional"


def test_winograd_knows_no_subtype_of_a_convolution():
    assert winograd.covers(Conv("conv", 64, 64, 3))
    assert not winograd.covers(PaddedConv("conv", 64, 64, 3))


PROGRAM = """
from dataclasses import dataclass
import torch
from zoobench.errors import ZoobenchError
from zoobench.training import lanes
from zoobench.zoos.spec import Activation, Conv, Flatten, Layer, Linear, Network

@dataclass(frozen=True)
class AvgPool(Layer):
    size: int

for layers, name in (((Conv("conv", 1, 2, 3), AvgPool(2), Flatten(), Linear("fc", 18, 3)), "relu"),
                     ((Flatten(), Linear("fc", 64, 3), Activation()), "silu"), ((AvgPool(2),), "relu"), ((), "relu")):
    weights = torch.zeros(16, 77 if len(layers) == 4 else 195 * bool(len(layers) == 3))
    one = torch.ones(16, 1, dtype=torch.int64)
    for call in (lambda net: lanes.logits(net, weights, torch.zeros(4, 1, 8, 8), [name] * 16),
                 lambda net: lanes.gradient(net, weights, torch.zeros(4, 1, 8, 8), one[:4, 0], one, one, [name] * 16)):
        try:
            call(Network("net", layers))
        except ZoobenchError as error:
            print(error)
"""


def test_c_code_never_sees_what_it_does_not_know():
    """In a process of its own: what is read at a wrong place ends a process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = [line.split(" does not know ")[1].split(";")[0] for line in done.stdout.splitlines()]
    reasons = ["layer AvgPool", "activation 'silu'", "layer AvgPool", "a network that ends in maps"]
    assert said == [reason for reason in reasons for _ in range(2)]


def drawn_network(rng):
    """A chain of any layers, mostly one that makes sense: its layers and the shape of its images."""
    shape = channels, height, width = rng.randint(1, 4), 8, rng.choice([8, 8, 8, 9])
    layers = []
    for number in range(rng.randint(5)):
        kind = rng.choice(["conv", "pool", "activation", "dropout"])
        if kind == "conv":
            outputs, kernel, stride = rng.randint(1, 4), rng.randint(1, 4), rng.randint(1, 3)
            layers.append(Conv(f"conv{number}", channels, outputs, kernel, stride))
            channels, height, width = outputs, (height - kernel) // stride + 1, (width - kernel) // stride + 1
        elif kind == "pool":
            layers.append(MaxPool(2))
            height, width = height // 2, width // 2
        else:
            layers.append({"activation": Activation(), "dropout": Dropout()}[kind])
    mean = rng.rand() < 0.3
    layers.append(GlobalAveragePool() if mean else Flatten())
    features = channels if mean else channels * height * width
    for number in range(rng.randint(6)):
        kind = rng.choice(["dense", "activation", "dropout", "flatten"])
        if kind == "dense":
            outputs = rng.randint(1, 6)
            layers.append(Linear(f"fc{number}", features, outputs, bias=bool(rng.randint(2))))
            features = outputs
        else:
            layers.append({"activation": Activation(), "dropout": Dropout(), "flatten": Flatten()}[kind])
    if rng.rand() < 0.2:
        strange = [
            Conv("more", channels, 2, 2),
            MaxPool(2),
            GlobalAveragePool(),
            Linear("more", features, 3),
            Flatten(),
        ]
        layers.insert(rng.randint(len(layers) + 1), strange[rng.randint(5)])
    return Network("net", tuple(map(_plain, layers))), tuple(map(int, shape))


def _plain(layer):
    """Without NumPy's integers."""
    return replace(layer, **{k: v.item() for k, v in vars(layer).items() if isinstance(v, np.integer)})


def drawn_case(network, shape, seed, dropout):
    """float64 operands of ``gradient`` for six runs, and their dropout."""
    generator = torch.Generator().manual_seed(seed)
    runs, batch = 6, 3
    return SimpleNamespace(
        weights=torch.randn(runs, layout_of(network).size, generator=generator, dtype=torch.float64),
        images=torch.randn(7, *shape, generator=generator, dtype=torch.float64),
        labels=torch.randint(0, 2, (7,), generator=generator),
        chosen=torch.randint(0, 7, (runs, batch), generator=generator),
        sizes=torch.randint(1, batch + 1, (runs, 1), generator=generator),
        activations=RunActivations(["tanh", "tanh", "gelu", "sigmoid", "relu", "relu"]),
        dropout=RunDropout(torch.arange(runs), torch.linspace(0, 0.6, runs), step=seed) if dropout else None,
    )


def everything(network, case, way):
    """Logits on own images, on shared ones, and gradients, if there are weights and both labels are classes."""
    ends = case.activations, way, case.dropout
    found = [
        forward(network, case.weights, case.images[case.chosen], *ends),
        forward(network, case.weights, case.images[None], *ends),
    ]
    if found[0].shape[2] > 1 and case.weights.shape[1]:
        data = case.images, case.labels, case.chosen, case.sizes
        found.extend(gradient(network, case.weights, *data, *ends))
    return found


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("dropout", [False, True], ids=["evaluation", "training"])
def test_every_network_that_can_be_declared_is_computed_alike_or_refused(dropout):
    """100 networks. No formulation gives numbers where PyTorch has none, nor other ones; covered ones are computed."""
    rng = np.random.RandomState(0)
    done = Counter()
    for number in range(100):
        network, shape = drawn_network(rng)
        case = drawn_case(network, shape, number, dropout)
        try:
            expected = everything(network, case, "functional")
        except ZoobenchError:
            expected = None
        for way, coverage in FAST.items():
            try:
                found = everything(network, case, way)
            except (ZoobenchError, ValueError, RuntimeError):
                # On maps that are not square lanes have no dense layers.
                odd = way == "lanes" and shape[1] != shape[2]
                assert expected is None or odd or not coverage.covers(network, case.activations.names)
                continue
            assert expected is not None
            assert coverage.covers(network, case.activations.names)
            for value, true in zip(found, expected, strict=True):
                torch.testing.assert_close(value, true, rtol=1e-9, atol=1e-11)
            done[way] += 1
    assert min(done[way] for way in FAST) > 40, done


@pytest.mark.parametrize("dropout", [False, True], ids=["evaluation", "training"])
def test_functional_logits_and_gradients_are_those_of_plain_modules(dropout):
    network = Network("net", (Conv("conv", 2, 3, 3), *NEW.layers[1:]))
    case = drawn_case(network, (2, 8, 8), 1, dropout)
    names = case.activations.names
    logits, _, slopes, *_ = everything(network, case, "functional")
    for run, activation in enumerate(names):
        model = module(network, activation, case.weights[run].numpy()).double()
        nn.utils.vector_to_parameters(case.weights[run], model.parameters())
        hidden = case.images[case.chosen[run]]
        for number, part in enumerate(model):
            if isinstance(part, nn.Dropout):
                hidden = hidden * (case.dropout.mask(number, tuple(hidden.shape))[run] if dropout else 1)
            else:
                hidden = part(hidden)
        torch.testing.assert_close(logits[run], hidden.detach(), rtol=1e-10, atol=1e-12)
        size = int(case.sizes[run])
        F.cross_entropy(hidden[:size], case.labels[case.chosen[run, :size]]).backward()
        own = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        torch.testing.assert_close(slopes[run], own, rtol=1e-10, atol=1e-12)


def test_how_many_runs_are_computed_at_once_changes_nothing_but_rounding(monkeypatch):
    case = drawn_case(NEW, (1, 8, 8), 3, dropout=True)
    together = everything(NEW, case, "functional")
    monkeypatch.setattr(functional, "_FEATURE_ENTRIES", 1)
    for value, true in zip(everything(NEW, case, "functional"), together, strict=True):
        torch.testing.assert_close(value, true, rtol=1e-12, atol=1e-13)


def test_threads_do_not_share_what_a_call_changes():
    """A build trains a chunk per thread."""
    cases = [drawn_case(NEW, (1, 8, 8), seed, dropout=True) for seed in range(2)]
    expected = [everything(NEW, case, "functional") for case in cases]
    with ThreadPool(2) as pool:
        for _ in range(5):
            found = pool.map(lambda case: everything(NEW, case, "functional"), cases)
            for value, true in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
                assert torch.equal(value, true)


def test_images_that_a_network_does_not_take_are_named():
    weights, images = torch.zeros(2, layout_of(NEW).size), torch.zeros(2, 4, 1, 9, 11)
    with pytest.raises(ZoobenchError, match=r"does not take images of shape \(1, 9, 11\): .*36.*27"):
        forward(NEW, weights, images, RunActivations(["relu"] * 2), "functional")
    network = Network("net", NEW.layers[:4])
    with pytest.raises(ZoobenchError, match=r"gives \(3, 3, 3\) for an image; logits are one per class"):
        forward(network, weights[:, :33], torch.zeros(2, 4, 1, 8, 8), RunActivations(["relu"] * 2), "functional")
