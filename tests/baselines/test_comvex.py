import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

from zoobench.errors import ZoobenchError
from zoobench.predictors.predictor import Examples
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench_baselines.comvex import ComVeXConfig, ComVeXModel, ComVeXPredictor
from zoobench_baselines.training import identity

from .conftest import killed_and_resumed

ACCURACY = [{"task": "accuracy", "low": 0.0, "high": 1.0, "bounded": True, "classes": ()}]
ARCHITECTURES = ("fc", "fc-linear", "linear", "conv")


def layout(zoo):
    return layout_of(resolve(zoo).spec.network)


def model(architecture, zoo, **more):
    return ComVeXModel(ComVeXConfig(architecture, layout(zoo).to_json(), heads=ACCURACY, **more))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("zoo", ["small-cnn-zoo/mnist", "cnn-zoo-2/mnist"])
def test_the_first_layer_has_as_many_parameters_as_the_paper_counts(zoo):
    """Equations (1) to (3), with |phi_i| weights and h_i neurons in layer i, E = 64 and H hidden units."""
    sizes = [layer.index.size for layer in layout(zoo).layers]
    neurons = [len(layer.index) for layer in layout(zoo).layers]
    assert sizes == {"small-cnn-zoo/mnist": [160, 2320, 2320, 170], "cnn-zoo-2/mnist": [640, 36928, 36928, 650]}[zoo]
    assert count(model("fc", zoo, hidden_size=300).predictor[0]) == 300 + sum(sizes) * 300
    assert count(model("linear", zoo).encoder) == sum(phi * 64 + 64 for phi in sizes)
    conv = sum(3 * phi // h * 64 + 64 for phi, h in zip(sizes, neurons, strict=True))
    assert count(model("conv", zoo).encoder) == conv
    assert count(model("fc-linear", zoo).encoder) == sum(sizes) * 256 + 256


@pytest.mark.parametrize(
    ("architecture", "published"),
    [("fc", 35_608_249), ("fc-linear", 19_974_475), ("linear", 5_954_785), ("conv", 391_325)],
)
def test_the_published_sizes_are_within_the_ranges_of_the_search(architecture, published):
    """Table 2 (CNN Zoo 2, CIFAR-10): between the smallest and the largest model that appendix A allows."""
    smallest = count(model(architecture, "cnn-zoo-2/cifar10", hidden_layers=2, hidden_size=64))
    largest = count(model(architecture, "cnn-zoo-2/cifar10", hidden_layers=8, hidden_size=512))
    assert smallest < published < largest


@pytest.mark.parametrize("architecture", ["linear", "conv"])
@pytest.mark.parametrize("init", ["original", "he", "xavier", "orthogonal"])
def test_maps_start_as_the_authors_draw_them(architecture, init):
    """He with a = sqrt(5): within 1 / sqrt(fan-in); Xavier: sqrt(6 / (fan-in + fan-out)). PyTorch's biases stay."""
    torch.manual_seed(0)
    network = model(architecture, "mnist-zoo/seed", init=init, hidden_size=300)
    maps = [module for module in network.modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv1d)]
    assert len(maps) == 5 + 4
    for one in maps:
        weight = one.weight.detach()
        outputs, inputs, *kernel = weight.shape
        field = int(np.prod(kernel))
        fan_in, fan_out = inputs * field, outputs * field
        assert (one.bias.abs().max() > 0) == (init == "original")
        if init == "orthogonal":
            rows = weight.flatten(1)
            gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
            torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-4, rtol=0)
            continue
        bound = (6 / (fan_in + fan_out)) ** 0.5 if init == "xavier" else fan_in**-0.5
        assert weight.abs().max() <= bound
        if weight.numel() > 1000:
            assert weight.abs().max() > 0.99 * bound
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_training_is_as_long_as_in_the_authors_code():
    assert (ComVeXPredictor().max_epochs, ComVeXPredictor().patience) == (300, 20)


def test_a_kernel_slides_over_three_neurons_and_the_maximum_counts():
    """Against a loop over the matrix [W | b], as the text describes it."""
    zoo = "mnist-zoo/seed"
    network = model("conv", zoo)
    weights = np.random.default_rng(0).normal(size=(5, layout(zoo).size)).astype(np.float32)
    encoded = network.encode(torch.from_numpy(weights)).detach().numpy()
    matrices = layout(zoo).to_matrices(weights)
    for number, layer in enumerate(layout(zoo).layers):
        kernel, bias = (p.detach().numpy() for p in network.encoder[number].parameters())
        matrix = matrices[layer.name]
        places = [np.einsum("rnc,ecn->re", matrix[:, k : k + 3], kernel) + bias for k in range(matrix.shape[1] - 2)]
        np.testing.assert_allclose(encoded[:, 64 * number : 64 * (number + 1)], np.max(places, 0), atol=1e-4)


@pytest.mark.parametrize("zoo", ["tetris-zoo/seed", "mnist-zoo/seed", "small-cnn-zoo/mnist"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_takes_every_layout(zoo, architecture):
    network = model(architecture, zoo)
    weights = torch.randn(3, layout(zoo).size)
    assert network(weights).logits.shape == (3, 1)
    if architecture != "fc":
        assert network.encode(weights).shape == (3, 64 * len(layout(zoo).layers))


@pytest.fixture(scope="module")
def population():
    """Weights of CNNs whose second layer's scale says how good they are, how long they trained and what they are."""
    rng = np.random.default_rng(0)
    zoo = layout("mnist-zoo/seed")

    def split(rows):
        weights = rng.normal(size=(rows, zoo.size)).astype(np.float32) / 5
        scale = rng.uniform(0.5, 2, size=rows)
        weights[:, zoo.layers[1].index.ravel()] *= scale[:, None].astype(np.float32)
        targets = {
            "accuracy": (scale - 0.5) / 1.5,
            "epoch": 10 * scale,
            "init": np.where(scale > 1.2, "wide", "narrow"),
        }
        classes = {"init": ["narrow", "wide"]}
        runs = np.arange(rows).astype(str)
        return Examples(weights, zoo, runs, pd.DataFrame(targets), {"accuracy": (0.0, 1.0)}, classes)

    return split(500), split(200), split(200)


FAST = {"max_epochs": 25, "hidden_layers": 2, "hidden_size": 64, "learning_rate": 2e-3, "device": "cpu"}


def test_it_learns_numbers_and_classes_from_weights(population):
    train, validation, test = population
    predicted = ComVeXPredictor("conv", **FAST | {"max_epochs": 60}).fit(train, validation).predict(test)
    assert r2_score(test.targets["accuracy"], predicted["accuracy"]) > 0.6
    assert r2_score(test.targets["epoch"], predicted["epoch"]) > 0.6
    assert (predicted["init"] == test.targets["init"]).mean() > 0.7
    assert predicted["accuracy"].between(0, 1).all()


@pytest.mark.parametrize("architecture", ["fc", "fc-linear", "linear", "conv"])
def test_diverged_networks_among_the_others_do_no_harm(splits, architecture):
    """Finite weights of up to 1e37, as SGD leaves them before they overflow."""
    train, validation, test = splits
    train.weights[:3] *= np.array([[1e20], [1e30], [1e36]], np.float32)
    test.weights[0] *= np.float32(1e36)
    predictor = ComVeXPredictor(architecture, max_epochs=2, hidden_size=32, learning_rate=1e-3, device="cpu")
    predicted = predictor.fit(train, validation).predict(test)
    assert np.isfinite(predicted.to_numpy()).all()
    assert all(torch.isfinite(parameter).all() for parameter in predictor.model_.parameters())


def test_the_same_seed_gives_the_same_predictions(population):
    train, validation, test = (split.only(["accuracy"]) for split in population)
    found = []
    for seed in (0, 0, 1):
        torch.rand(3)
        fitted = ComVeXPredictor("linear", seed=seed, **FAST | {"max_epochs": 3}).fit(train, validation)
        found.append(fitted.predict(test)["accuracy"])
    assert found[0].equals(found[1])
    assert not found[0].equals(found[2])


def test_a_saved_model_predicts_the_same_in_another_process(population, tmp_path):
    train, validation, test = population
    fitted = ComVeXPredictor("conv", **FAST | {"max_epochs": 3}).fit(train, validation)
    fitted.save(tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").exists()
    np.save(tmp_path / "weights.npy", test.weights[:20])
    code = (
        "import sys, numpy as np, torch; from zoobench_baselines.comvex import ComVeXModel; "
        "model = ComVeXModel.from_pretrained(sys.argv[1] + '/model').eval(); "
        "torch.set_grad_enabled(False); "
        "np.save(sys.argv[1] + '/out.npy', model(torch.from_numpy(np.load(sys.argv[1] + '/weights.npy'))).logits)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with torch.inference_mode():
        expected = fitted.model_(torch.from_numpy(test.weights[:20])).logits.numpy()
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)


TRAINING = """
import sys, numpy as np, pandas as pd
from pathlib import Path
from zoobench.zoos.layout import layout_of
from zoobench.predictors.predictor import Examples
from zoobench.zoos import resolve
from zoobench_baselines.comvex import ComVeXPredictor

checkpoints, out = sys.argv[1:]
rng = np.random.default_rng(0)
layout = layout_of(resolve("mnist-zoo/seed").spec.network)
weights = rng.normal(size=(400, layout.size)).astype(np.float32)
targets = pd.DataFrame({"accuracy": rng.uniform(size=400)})
examples = Examples(weights, layout, np.arange(400).astype(str), targets, {"accuracy": (0.0, 1.0)})
train, validation = examples.take(np.arange(300)), examples.take(np.arange(300, 400))
made = ComVeXPredictor("conv", hidden_layers=2, hidden_size=64, device="cpu", max_epochs=25, patience=100,
                       checkpoints=checkpoints)
np.save(out, made.fit(train, validation).predict(validation)["accuracy"])
"""


def test_a_training_that_was_killed_goes_on_and_ends_where_it_would_have(tmp_path):
    expected, found = killed_and_resumed(TRAINING, tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_checkpoints_of_other_parameters_are_left_alone(population, tmp_path):
    train, validation, test = (split.only(["accuracy"]) for split in population)
    other = ComVeXPredictor("conv", checkpoints=str(tmp_path), **FAST | {"hidden_size": 32})
    (tmp_path / identity(other, train) / "checkpoint-8").mkdir(parents=True)
    options = FAST | {"max_epochs": 1}
    found = ComVeXPredictor("conv", checkpoints=str(tmp_path), **options).fit(train, validation).predict(test)
    assert found.equals(ComVeXPredictor("conv", **options).fit(train, validation).predict(test))
    assert (tmp_path / identity(other, train) / "checkpoint-8").is_dir()


def test_the_search_ranges_follow_the_size_of_the_networks():
    small, large = (ComVeXPredictor().space(layout(f"{zoo}/mnist")) for zoo in ("small-cnn-zoo", "cnn-zoo-2"))
    assert (small["dropout"].high, large["dropout"].high) == (0.2, 0.7)
    assert (small["hidden_size"].low, large["hidden_size"].low) == (256, 64)
    assert set(small) == set(large)


@pytest.mark.parametrize(("what", "name"), [("architecture", "conf"), ("optimizer", "sgd"), ("init", "zero")])
def test_unknown_names_are_one_line(what, name):
    with pytest.raises(ZoobenchError, match=f"unknown {what} '{name}'"):
        ComVeXPredictor(**{what: name})
