import numpy as np
from sklearn.metrics import r2_score

from zoobench_baselines.gbm import GBMPredictor


def test_trees_learn_what_the_statistics_show(splits):
    train, validation, test = splits
    for split in (train, validation, test):
        split.targets["spread"] = split.weights[:, :80].std(axis=1)
    predicted = GBMPredictor(features="stats").fit(train, validation).predict(test)
    assert r2_score(test.targets["spread"], predicted["spread"]) > 0.9
    assert r2_score(test.targets["epoch"], predicted["epoch"]) < 0.5  # a direction in weight space is not in them


def test_early_stopping_keeps_the_number_of_trees_that_validates_best(splits):
    train, validation, _ = splits
    rng = np.random.default_rng(1)
    for split in (train, validation):
        split.targets["epoch"] += rng.normal(0, 30, size=len(split.targets))  # enough noise to overfit
    fitted = GBMPredictor(features="W", max_trees=200, patience=5).fit(train, validation)
    model = fitted.models_["epoch"]
    errors = np.array(model.evals_result_["valid_0"]["l2"])
    assert model.best_iteration_ == errors.argmin() + 1
    assert model.best_iteration_ < 200
