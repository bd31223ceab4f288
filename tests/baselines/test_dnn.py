from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from zoobench.errors import ZoobenchError
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
    import torch

    train, validation, test = splits
    found = []
    for seed in (0, 0, 1):
        torch.rand(7)
        found.append(
            DNNPredictor(features="W", seed=seed, max_epochs=3, dropout=0.2).fit(train, validation).predict(test)
        )
    assert found[0].equals(found[1])
    assert not found[0].equals(found[2])


def test_the_best_epoch_is_kept(splits):
    """Overfitting on purpose, epoch by epoch: more of them never make worse what is kept, and at times nothing else."""
    train, validation, _ = (split.only(["epoch"]).take(np.arange(60)) for split in splits)
    found = []
    for epochs in range(2, 21, 2):
        model = DNNPredictor(features="W", patience=1000, max_epochs=epochs, dropout=0.0).fit(train, validation)
        found.append(r2_score(validation.targets["epoch"], model.predict(validation)["epoch"]))
    gains = np.diff(found)
    assert gains.min() >= 0
    assert (gains == 0).any()
    assert (gains > 0).any()


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
