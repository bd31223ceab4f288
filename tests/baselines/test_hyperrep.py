import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn

from zoobench.errors import ZoobenchError
from zoobench.predictors.predictor import Examples
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench_baselines.hyperrep import (
    ConstantRepresentationWarning,
    HyperRepConfig,
    HyperRepModel,
    HyperRepPredictor,
    losses,
    reconstruction_r2,
)
from zoobench_baselines.hyperrep.model import LOSSES

from .conftest import killed_and_resumed

ZOOS = ("tetris-zoo/seed", "mnist-zoo/seed", "small-cnn-zoo/mnist", "cnn-zoo-2/mnist")
SMALL = {"width": 16, "heads": 2, "blocks": 1, "feed_forward": 32, "latent": 8}


def layout(zoo):
    return layout_of(resolve(zoo).spec.network)


def weights(zoo, rows, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, layout(zoo).size)).astype(np.float32))


# Not "ff" on the last: ten fully-connected layers on 75,146 weights are 20 billion parameters.
ENCODERS = [(zoo, name) for zoo in ZOOS for name in ("att-n+t", "att-n", "ff") if (zoo, name) != (ZOOS[-1], "ff")]


@pytest.mark.parametrize(("zoo", "architecture"), ENCODERS)
def test_every_layout_is_encoded_and_decoded(zoo, architecture):
    model = HyperRepModel(HyperRepPredictor(architecture=architecture, **SMALL).config(layout(zoo))).eval()
    z = model.encode(weights(zoo, 3))
    assert z.shape == (3, 8)
    assert z.abs().max() <= 1
    assert model.decode(z).shape == (3, layout(zoo).size)


@pytest.mark.parametrize(("objective", "loss"), [(o, kind) for o in losses.OBJECTIVES for kind in LOSSES])
def test_the_loss_is_that_of_the_objective_in_plain_pytorch(objective, loss):
    """Of two views, each rebuilt as it is, with the projections' contrast weighed by 1 - beta."""
    options = SMALL | {"loss": loss, "objective": objective, "beta": 0.3, "temperature": 0.2}
    model = HyperRepModel(HyperRepPredictor(**options).config(layout("tetris-zoo/seed"))).eval()
    views = weights("tetris-zoo/seed", 12)
    with torch.no_grad():
        z = model.encode(views)
        parts = {}
        if loss != "ec":
            parts["rebuilt"] = torch.nn.MSELoss()(model.decode(z), views) * (100 if objective == "paper" else 1)
        if loss in ("ec", "ecd"):
            p = torch.nn.functional.normalize(model.projector(z), dim=1)
            logits = (p @ p.T / 0.2).masked_fill(torch.eye(12, dtype=torch.bool), -torch.inf)
            parts["apart"] = torch.nn.CrossEntropyLoss()(logits, (torch.arange(12) + 6) % 12)
        if loss == "ec+d":
            s = torch.nn.CosineSimilarity(dim=1)(*model.projector(z).chunk(2))
            parts["apart"] = (math.log(0.2) - s.mean()) if objective == "paper" else (s / 0.2).square().mean() / 12
        if len(parts) == 1:
            (expected,) = parts.values()
        else:
            expected = 0.3 * parts["rebuilt"] + 0.7 * parts["apart"]
        found = model.loss_of(views)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(("objective", "betas"), [("paper", (0.1, 0.1)), ("code", (0.5, 0.9))])
def test_beta_is_that_of_the_objective(objective, betas):
    made = HyperRepPredictor(objective=objective)
    assert tuple(made.config(layout(zoo)).beta for zoo in ("tetris-zoo/seed", "mnist-zoo/seed")) == betas
    assert HyperRepPredictor(objective=objective, beta=0.2).config(layout("tetris-zoo/seed")).beta == 0.2


def test_the_projection_head_ends_with_batch_norm():
    """As the authors' code for Tetris: three times a map, batch norm and ReLU, then a map and batch norm."""
    model = HyperRepModel(HyperRepPredictor().config(layout("tetris-zoo/seed")))
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 3 + [nn.Linear, nn.BatchNorm1d]
    assert [type(part) for part in model.projector] == kinds
    widths = [(part.in_features, part.out_features) for part in model.projector if isinstance(part, nn.Linear)]
    assert widths == [(50, 50), (50, 50), (50, 50), (50, 20)]
    four = HyperRepPredictor().config(layout("mnist-zoo/seed")).projection
    assert list(four) == [400, 400, 400, 400, 50]


def test_a_block_is_pre_norm_with_relu_and_nothing_comes_after_the_last():
    """One block written out by torch's own attention; dropout of 0.1 is the default, and is off in evaluation."""
    torch.manual_seed(0)
    model = HyperRepModel(HyperRepPredictor(**SMALL).config(layout("tetris-zoo/seed"))).eval()
    assert model.config.dropout == 0.1
    attention = model.encoder
    assert {name.split(".")[0] for name, _ in attention.named_parameters()} == {"positions", "blocks"}
    (block,) = attention.blocks
    assert [part.p for part in block.modules() if isinstance(part, nn.Dropout)] == [0.1]
    tokens = torch.randn(3, 10, 16)
    functional = nn.functional
    with torch.no_grad():
        x = tokens + attention.positions
        normed = functional.layer_norm(x, (16,))
        parts = [getattr(block.attention, name) for name in ("q_proj", "k_proj", "v_proj", "o_proj")]
        q, k, v = (part(normed).unflatten(2, (2, 8)).transpose(1, 2) for part in parts[:3])
        x = x + parts[3](functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        normed = functional.layer_norm(x, (16,))
        expected = x + block.mlp.fc2(functional.relu(block.mlp.fc1(normed)))
        torch.testing.assert_close(attention(tokens), expected, rtol=1e-4, atol=1e-5)


def test_positions_and_the_compression_token_start_from_a_standard_normal():
    torch.manual_seed(0)
    model = HyperRepModel(HyperRepPredictor().config(layout("mnist-zoo/seed")))
    for drawn in (model.encoder.positions, model.decoder.positions, model.compression):
        assert drawn.std().item() == pytest.approx(1, abs=0.1)
        assert abs(drawn.mean().item()) < 0.1


def test_a_saved_model_of_an_older_form_is_refused_in_one_line(population, tmp_path):
    """Its configuration has no form; the tensors of the layer norms that it ends with do not matter."""
    train, validation, _ = population
    HyperRepPredictor(**QUICK | {"epochs": 1}).fit(train, validation).save(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content.pop("form") == 2
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(
        ZoobenchError, match=r"^cannot load the model in .*: it is a hyper-representation of form 1, "
    ) as said:
        HyperRepPredictor().load(tmp_path)
    assert "learn it again by zoobench run hyperrep --save" in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("architecture", ["att-w", "att-w+t"])
def test_single_weights_are_tokens_too(architecture):
    model = HyperRepModel(HyperRepPredictor(architecture=architecture, **SMALL).config(layout("tetris-zoo/seed")))
    assert model.encoder.positions.shape == (100 + architecture.endswith("t"), 16)
    assert model.decode(model.encode(weights("tetris-zoo/seed", 3))).shape == (3, 100)


def test_a_token_is_a_neuron_with_its_bias_embedded_by_its_layers_map():
    zoo = layout("mnist-zoo/seed")
    model = HyperRepModel(HyperRepPredictor(**SMALL).config(zoo))
    networks = weights("mnist-zoo/seed", 2)
    tokens = model.tokens(networks).detach()
    matrices = zoo.to_matrices(networks.numpy())
    place = 0
    for layer, embed in zip(zoo.layers, model.tokens.embed, strict=True):
        for neuron in range(len(layer.index)):
            kernel, bias = (parameter.detach().numpy() for parameter in embed.parameters())
            expected = matrices[layer.name][:, neuron] @ kernel.T + bias
            np.testing.assert_allclose(tokens[:, place], expected, atol=1e-5)
            place += 1
    assert place == tokens.shape[1] == 8 + 6 + 4 + 20 + 10


def test_what_is_normalised_is_restored_exactly():
    """A decoder that gives back what went in gives back the weights, whatever they are divided by."""
    zoo = layout("mnist-zoo/seed")
    networks = weights("mnist-zoo/seed", 3) * torch.linspace(0.01, 3, zoo.size) + 0.3
    examples = Examples(networks.numpy(), zoo, np.arange(3).astype(str), pd.DataFrame())
    fitted = HyperRepPredictor(normalise="tensor", epochs=1, loss="ed", device="cpu", **SMALL)
    model = fitted.learn(examples, examples)
    seen = []
    model._encode = lambda normalised: seen.append(normalised) or normalised
    model._decode = lambda z: z
    np.testing.assert_allclose(model.decode(model.encode(networks)), networks, rtol=1e-5, atol=1e-6)
    for tensor in zoo.tensors:
        part = seen[0][:, tensor.slice]
        assert part.mean().item() == pytest.approx(0, abs=1e-4)
        assert part.std(correction=0).item() == pytest.approx(1, rel=1e-3)


def test_the_losses_are_mixed_by_beta():
    """EcD at beta = 1 is ED on two views, at beta = 0 it is Ec; evaluation draws the same views every time."""
    networks = weights("tetris-zoo/seed", 12)

    def loss(kind, beta):
        torch.manual_seed(0)
        options = SMALL | {"dropout": 0.0, "erase": 0.0}
        model = HyperRepModel(
            HyperRepPredictor(loss=kind, beta=beta, **options).config(layout("tetris-zoo/seed"))
        ).eval()
        assert model(networks).loss.item() == model(networks).loss.item()
        return model(networks).loss.item()

    ends = [loss("ecd", beta) for beta in (0.0, 1.0)]
    assert loss("ecd", 0.3) == pytest.approx(0.7 * ends[0] + 0.3 * ends[1], rel=1e-5)
    assert ends[0] < 2 * math.log(24)
    assert ends[1] > 50  # about the squared norm of the weights


@pytest.fixture(scope="module")
def population():
    """Tetris networks whose first layers have means of their own: that is what tells them apart."""
    rng = np.random.default_rng(0)
    zoo = layout("tetris-zoo/seed")

    def split(rows):
        mean = rng.uniform(0, 1, size=rows)
        networks = (0.3 * rng.normal(size=(rows, 100))).astype(np.float32)
        networks[:, :80] += mean[:, None]
        targets = pd.DataFrame({"accuracy": mean, "init": np.where(mean > 0.4, "one", "two")})
        runs = np.arange(rows).astype(str)
        return Examples(networks, zoo, runs, targets, {"accuracy": (0.0, 1.0)}, {"init": ["one", "two"]})

    return split(1000), split(300), split(300)


QUICK = SMALL | {"width": 32, "epochs": 15, "batch_size": 100, "learning_rate": 2e-3, "device": "cpu"}


@pytest.mark.parametrize("loss", ["ed", "ec", "ecd", "ec+d"])
def test_it_learns_without_labels_what_tells_networks_apart(population, loss):
    train, validation, test = population
    fitted = HyperRepPredictor(loss=loss, seed=0, **QUICK).fit(train, validation)
    predicted = fitted.predict(test)
    error = ((predicted["accuracy"] - test.targets["accuracy"]) ** 2).mean()
    assert 1 - error / test.targets["accuracy"].var() > 0.5
    assert (predicted["init"] == test.targets["init"]).mean() > 0.8
    if loss != "ec":
        assert reconstruction_r2(fitted.model_, test.weights) > 0.3


def test_a_learning_rate_that_is_too_large_is_said(population):
    train, validation, test = population
    quick = QUICK | {"epochs": 1}
    with pytest.warns(ConstantRepresentationWarning, match=r"all 1,000 train networks are the same: .* than 1$"):
        fitted = HyperRepPredictor(**quick | {"learning_rate": 1.0}).fit(train, validation)
    assert fitted.predict(test)["accuracy"].nunique() == 1
    with pytest.raises(ZoobenchError, match=r"ended in NaN: try a smaller --learning-rate than 1e\+10$"):
        HyperRepPredictor(**quick | {"learning_rate": 1e10}).fit(train, validation)


@pytest.mark.parametrize("normalise", ["none", "tensor"])
def test_diverged_networks_do_not_keep_it_from_learning(population, normalise):
    train, validation, test = population
    weights = train.weights.copy()
    weights[:20] *= 1e23
    diverged = dataclasses.replace(train, weights=weights)
    fitted = HyperRepPredictor(**QUICK, normalise=normalise).fit(diverged, validation)
    assert fitted.model_.config.limit == pytest.approx(10 * np.median(np.abs(weights).max(axis=1)))
    error = ((fitted.predict(test)["accuracy"] - test.targets["accuracy"]) ** 2).mean()
    assert 1 - error / test.targets["accuracy"].var() > 0.5
    assert np.isfinite(reconstruction_r2(fitted.model_, weights))


def test_r2_of_the_reconstruction_is_scikit_learns_on_permuted_networks(population):
    """What is encoded has every neuron of the networks, in another order, whatever views were learned from."""
    _, _, test = population
    model = HyperRepModel(HyperRepPredictor(**SMALL, permute=0).config(test.layout)).eval()
    views, encode = [], model.encode
    model.encode = lambda batch: views.append(batch) or encode(batch)
    found = reconstruction_r2(model, test.weights)
    (seen,) = views
    with torch.inference_mode():
        rebuilt = model.decode(encode(seen)).numpy()
    assert found == pytest.approx(r2_score(seen.numpy(), rebuilt, multioutput="variance_weighted"), abs=1e-5)
    first = test.layout.layers[0].index
    moved = (seen[:, first] != torch.from_numpy(test.weights[:, first])).any(dim=2)
    assert 0.75 < moved.float().mean() < 0.85  # of five neurons each stays in one of five permutations
    np.testing.assert_array_equal(np.sort(seen.numpy(), axis=1), np.sort(test.weights, axis=1))


def test_the_mean_vector_of_the_reconstruction_is_that_of_permuted_networks(population):
    """Networks that share their neurons but for the order: without permutations R² of zeros would be far lower."""
    _, _, test = population
    zoo, rng = test.layout, np.random.default_rng(0)
    shared = rng.normal(size=zoo.size).astype(np.float32)
    networks = np.tile(shared, (4000, 1))
    model = HyperRepModel(HyperRepPredictor(**SMALL).config(zoo)).eval()
    model.decode = lambda z: torch.zeros(len(z), zoo.size)
    first, second = (shared[layer.index] for layer in zoo.layers)
    # Each neuron stands everywhere equally often: the mean is that over neurons of what goes in, and of what goes out.
    variance = len(first) * first.var(axis=0).sum() + second.shape[1] * second.var(axis=1).sum()
    assert reconstruction_r2(model, networks) == pytest.approx(1 - np.square(shared).sum() / variance, rel=0.01)


def test_the_same_seed_gives_the_same_predictions(population):
    train, validation, test = population
    found = []
    for seed in (0, 0, 1):
        torch.rand(5)
        fitted = HyperRepPredictor(seed=seed, **QUICK | {"epochs": 2}).fit(train, validation)
        found.append(fitted.predict(test)["accuracy"])
    assert found[0].equals(found[1])
    assert not found[0].equals(found[2])


def test_steps_are_whole_epochs(population):
    """1,000 networks are ten batches: 11 steps need two epochs."""
    train, validation, test = population
    made = [HyperRepPredictor(**{**QUICK, "epochs": 1, **how}) for how in ({"steps": 11}, {"epochs": 2}, {"steps": 10})]
    eleven, two, ten = (one.fit(train, validation).predict(test)["accuracy"] for one in made)
    assert eleven.equals(two)
    assert not ten.equals(two)


def test_bfloat16_learns_as_float32_does_and_keeps_float32(population):
    """The same views in the same order: after an epoch the losses are as near as 8 bits of a number are."""
    train, validation, _ = population
    made = [HyperRepPredictor(precision=p, **QUICK | {"epochs": 1, "dropout": 0.0}) for p in ("float32", "bfloat16")]
    models = [one.learn(train, validation).eval() for one in made]
    assert {parameter.dtype for parameter in models[1].parameters()} == {torch.float32}
    with torch.inference_mode():
        exact, short = (model(torch.from_numpy(validation.weights))["loss"].item() for model in models)
    assert short != exact
    assert short == pytest.approx(exact, rel=0.02)


TRAINING = """
import sys, numpy as np, pandas as pd
from zoobench.zoos.layout import layout_of
from zoobench.predictors.predictor import Examples
from zoobench.zoos import resolve
from zoobench_baselines.hyperrep import HyperRepPredictor, represent

checkpoints, out = sys.argv[1:]
layout = layout_of(resolve("tetris-zoo/seed").spec.network)
weights = np.random.default_rng(0).normal(size=(600, layout.size)).astype(np.float32)
examples = Examples(weights, layout, np.arange(600).astype(str), pd.DataFrame())
made = HyperRepPredictor(width=16, heads=2, blocks=1, feed_forward=32, latent=8, epochs=30, batch_size=100,
                         schedule="cosine", device="cpu", checkpoints=checkpoints)
np.save(out, represent(made.learn(examples, examples), weights))
"""


def test_a_training_that_was_killed_goes_on_and_ends_where_it_would_have(tmp_path):
    """Views and dropout are drawn on from where they were; z agrees to 1e-4."""

    expected, found = killed_and_resumed(TRAINING, tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("what", "parameters"),
    [
        ("loss 'edc'; did you mean 'ed'?", {"loss": "edc"}),
        ("objective 'paper2'; did you mean 'paper'?", {"objective": "paper2"}),
        ("architecture 'att-n+c'", {"architecture": "att-n+c"}),
        ("normalisation 'layer'", {"normalise": "layer"}),
        ("schedule 'plateau'", {"schedule": "plateau"}),
        ("precision 'half'", {"precision": "half"}),
    ],
)
def test_unknown_names_are_one_line(what, parameters):
    with pytest.raises(ZoobenchError, match="unknown " + what.replace("?", r"\?").replace("+", r"\+")):
        HyperRepPredictor(**parameters)


def test_a_config_survives_json():
    config = HyperRepPredictor(loss="ec+d", **SMALL).config(layout("tetris-zoo/seed"))
    again = HyperRepConfig.from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()
