import numpy as np
from lightgbm import LGBMRegressor
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
        split.targets["epoch"] += rng.normal(0, 20, size=len(split.targets))  # enough noise to overfit
    fitted = GBMPredictor(features="W", max_trees=200, patience=5).fit(train, validation)
    unstopped = LGBMRegressor(n_estimators=60, n_jobs=1, verbosity=-1, deterministic=True, force_row_wise=True)
    unstopped.fit(train.weights, train.targets["epoch"])
    stages = [unstopped.predict(validation.weights, num_iteration=trees) for trees in range(1, 61)]
    best = np.argmin([((stage - validation.targets["epoch"]) ** 2).mean() for stage in stages])
    assert 0 < best < 55
    np.testing.assert_allclose(fitted.predict(validation)["epoch"], stages[best], rtol=1e-9)
