from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

from zoobench.errors import ZoobenchError
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench_baselines.dnn import DNNPredictor
from zoobench_baselines.linear import LinearPredictor


def test_it_learns_what_a_linear_map_cannot(splits):
    """The product of two features' signs; 600 rows are few for a network, so that it gets these two alone."""
    train, validation, test = (replace(split, hyperparameters=two_signs(split)) for split in splits)
    for split in (train, validation, test):
        split.targets["epoch"] = split.hyperparameters.prod(axis=1)
    found = {}
    for predictor in (DNNPredictor(features="lambda"), LinearPredictor(features="lambda")):
        predicted = predictor.fit(train.only(["epoch"]), validation.only(["epoch"])).predict(test)
        found[type(predictor)] = r2_score(test.targets["epoch"], predicted["epoch"])
    assert found[LinearPredictor] < 0.1
    assert found[DNNPredictor] > 0.9


def two_signs(split):
    return pd.DataFrame(np.sign(split.weights[:, :2]))


def test_targets_in_a_range_are_predicted_within_it(splits):
    train, validation, test = splits
    predicted = DNNPredictor(features="W", units=32).fit(train, validation).predict(test)
    assert predicted["accuracy"].between(0, 1).all()
    assert r2_score(test.targets["accuracy"], predicted["accuracy"]) > 0.6
    assert r2_score(test.targets["epoch"], predicted["epoch"]) > 0.6


def test_a_diverged_network_is_given_no_number_that_no_train_network_has(splits):
    train, validation, test = splits
    weights = test.weights.copy()
    weights[0] *= 1e20
    fitted = DNNPredictor(features="W", units=32).fit(train, validation)
    assert (
        fitted.predict(replace(test, weights=weights))["epoch"]
        .between(train.targets["epoch"].min(), train.targets["epoch"].max())
        .all()
    )


def test_without_hidden_layers_it_is_the_logit_linear_predictor(splits):
    train, validation, test = (split.only(["accuracy"]) for split in splits)
    network = DNNPredictor(features="W", layers=0, learning_rate=0.01, weight_decay=0.0).fit(train, validation)
    minimised = LinearPredictor(features="W", link="logit").fit(train, validation)
    difference = network.predict(test)["accuracy"] - minimised.predict(test)["accuracy"]
    assert difference.abs().max() < 0.05


def test_the_same_seed_gives_the_same_predictions_whatever_was_drawn_before(splits):
    train, validation, test = splits
    found = []
    for seed in (0, 0, 1):
        torch.rand(7)
        found.append(
            DNNPredictor(features="W", seed=seed, max_epochs=3, dropout=0.2).fit(train, validation).predict(test)
        )
    assert found[0].equals(found[1])
    assert not found[0].equals(found[2])


@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.05), ("sgd", 0.5)])
@pytest.mark.parametrize("standardise", [0, 1])
def test_the_best_epoch_of_the_training_that_plain_pytorch_does_is_kept(splits, optimizer, rate, standardise):
    """Normal weights of standard deviation ``init_std``, biases 0, no momentum; overfitted on purpose by few rows."""
    train, validation, test = (split.only(["accuracy"]) for split in splits)
    train = train.take(np.arange(60))
    how = {"layers": 1, "units": 16, "dropout": 0.0, "weight_decay": 0.001, "init": "normal", "init_std": 0.3}
    how |= {"optimizer": optimizer, "learning_rate": rate, "batch_size": 20, "max_epochs": 40, "patience": 1000}
    fitted = DNNPredictor("W", standardise=standardise, **how).fit(train, validation)
    mean, scale = (train.weights.mean(0), train.weights.std(0)) if standardise else (0.0, 1.0)
    x, judged, seen = (torch.from_numpy((part.weights - mean) / scale).float() for part in (train, validation, test))
    y, judge = (torch.tensor(part.targets["accuracy"].to_numpy()).float()[:, None] for part in (train, validation))
    torch.manual_seed(0)
    network = torch.nn.Sequential()
    for width, outputs in ((100, 16), (16, 1)):
        layer = torch.nn.Linear(width, outputs)
        torch.nn.init.normal_(layer.weight, std=0.3)
        torch.nn.init.zeros_(layer.bias)
        network += torch.nn.Sequential(layer, torch.nn.ReLU() if outputs > 1 else torch.nn.Sigmoid())
    made = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer]
    steps = made(network.parameters(), lr=rate, weight_decay=0.001)
    losses, predictions = [], []
    for _ in range(40):
        for rows in torch.randperm(60).split(20):
            steps.zero_grad()
            (network(x[rows]) - y[rows]).square().mean().backward()
            steps.step()
        with torch.no_grad():
            losses.append((network(judged) - judge).square().mean().item())
            predictions.append(network(seen).numpy()[:, 0])
    best = int(np.argmin(losses))
    assert best < 35
    assert np.abs(predictions[best] - predictions[-1]).max() > 0.01
    np.testing.assert_allclose(fitted.predict(test)["accuracy"], predictions[best], atol=1e-4)


def test_diverged_networks_do_no_harm_where_features_stay_as_they_are(splits):
    train, validation, test = splits
    train.weights[:3] *= np.array([[1e20], [1e30], [1e36]], np.float32)
    test.weights[0] *= np.float32(1e36)
    fitted = DNNPredictor("stats", standardise=0, layers=1, units=8, max_epochs=2).fit(train, validation)
    assert np.isfinite(fitted.predict(test).to_numpy()).all()


def test_the_search_takes_the_ranges_that_the_released_configurations_lie_in():
    """best_configs.json of the release: smallest and largest of its networks' parameters, of 84 of two kinds."""
    space = DNNPredictor().space(layout_of(resolve("small-cnn-zoo/mnist").spec.network))
    released = {
        "learning_rate": (1.0009e-3, 0.4717),
        "init_std": (1.0149e-3, 0.0924),
        "units": (256, 511),
        "layers": (3, 9),
    }
    for name, (low, high) in released.items():
        assert space[name].low <= low
        assert high <= space[name].high
    assert (space["learning_rate"].low, space["learning_rate"].high) == (1e-3, 0.5)
    assert (DNNPredictor().max_epochs, DNNPredictor().patience) == (300, 10)


def test_classes_have_a_softmax(splits):
    train, validation, test = splits
    for split in splits:
        split.targets["init"] = np.array(["a", "b", "c"])[np.digitize(split.weights[:, 0], [-0.5, 0.5])]
    train, validation = (split.only(["init"]) for split in (train, validation))
    for split in (train, validation):
        split.classes["init"] = ["a", "b", "c"]
    predicted = DNNPredictor(features="W").fit(train, validation).predict(test)
    assert (predicted["init"] == test.targets["init"]).mean() > 0.6


@pytest.mark.parametrize(("what", "name"), [("optimizer", "adma"), ("init", "xavier")])
def test_unknown_names_are_one_line(what, name):
    with pytest.raises(ZoobenchError, match=f"unknown {what} '{name}'"):
        DNNPredictor(**{what: name})
