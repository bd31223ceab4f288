import numpy as np
from lightgbm import LGBMRegressor
from sklearn.metrics import r2_score

from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench_baselines.gbm import GBMPredictor


def test_trees_learn_what_the_statistics_show(splits):
    train, validation, test = splits
    for split in (train, validation, test):
        split.targets["spread"] = split.weights[:, :80].std(axis=1)
    predicted = GBMPredictor(features="stats", max_trees=300, patience=20).fit(train, validation).predict(test)
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


def test_the_search_takes_the_ranges_that_the_released_configurations_lie_in():
    """best_configs.json of the release: up to 9,889 leaves; 2,000 trees and a patience of 500 are the notebook's."""
    layout = layout_of(resolve("small-cnn-zoo/mnist").spec.network)
    for features, share in (("stats", (0.7044, 0.9883)), ("W", (0.0324, 0.0992))):
        space = GBMPredictor(features).space(layout)
        released = {
            "num_leaves": (26, 9889),
            "max_depth": (5, 14),
            "learning_rate": (0.0102, 0.0938),
            "colsample_bytree": share,
            "reg_lambda": (0.5325, 97.673),
            "reg_alpha": (0.001368, 3.722),
        }
        for name, (low, high) in released.items():
            assert space[name].low <= low
            assert high <= space[name].high
        assert not {"max_trees", "patience"} & set(space)
    assert (GBMPredictor().max_trees, GBMPredictor().patience) == (2000, 500)
