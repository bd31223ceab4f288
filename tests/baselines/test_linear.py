from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from zoobench_baselines.linear import LinearPredictor


def test_the_probe_is_scikit_learns_ridge_at_the_strength_that_validates_best(splits):
    train, validation, test = splits
    fitted = LinearPredictor(features="W").fit(train, validation)
    scaled = [(s.weights - train.weights.mean(0)) / train.weights.std(0) for s in splits]
    for task in ("epoch", "accuracy"):
        seen = train.targets[task].min(), train.targets[task].max()
        models = {a: Ridge(alpha=a).fit(scaled[0], train.targets[task]) for a in 10.0 ** np.arange(-5, 4)}
        cut = [{a: np.clip(model.predict(x), *seen) for a, model in models.items()} for x in scaled[1:]]
        best = max(models, key=lambda a: r2_score(validation.targets[task], cut[0][a]))
        assert fitted.probe_.alphas_[task] == pytest.approx(best)
        np.testing.assert_allclose(fitted.predict(test)[task], cut[1][best], rtol=1e-3, atol=1e-3)


def test_a_diverged_network_is_given_no_number_that_no_train_network_has(splits):
    train, validation, test = splits
    weights = test.weights.copy()
    weights[0] *= 1e20
    diverged = replace(test, weights=weights)
    probed = LinearPredictor("W").fit(train, validation).predict(diverged)
    for task in ("epoch", "accuracy"):
        assert probed[task][0] in (train.targets[task].min(), train.targets[task].max())
        assert r2_score(test.targets[task], probed[task]) > 0.8


def test_the_logit_link_fits_a_squashed_target_that_the_identity_cannot(splits):
    train, validation, test = splits
    scores = {
        link: r2_score(
            test.targets["accuracy"], LinearPredictor("W", link=link).fit(train, validation).predict(test)["accuracy"]
        )
        for link in ("identity", "logit")
    }
    assert scores["logit"] > 0.99
    assert scores["identity"] < 0.97


def test_the_logit_link_stays_in_the_unit_interval_and_leaves_unbounded_tasks_alone(splits):
    train, validation, test = splits
    logit = LinearPredictor("W", link="logit").fit(train, validation).predict(test)
    identity = LinearPredictor("W").fit(train, validation).predict(test)
    assert logit["accuracy"].between(0, 1).all()
    assert np.array_equal(logit["epoch"], identity["epoch"])
    assert logit["epoch"].max() > 1


def test_more_features_than_rows_have_scikit_learns_solution_too(splits):
    train, validation, test = splits
    few = train.take(np.arange(30))
    fitted = LinearPredictor("W").fit(few, validation)
    mean, std = few.weights.mean(0), few.weights.std(0)
    for task in ("epoch", "accuracy"):
        model = Ridge(fitted.probe_.alphas_[task], solver="svd").fit((few.weights - mean) / std, few.targets[task])
        expected = model.predict((test.weights - mean) / std).clip(few.targets[task].min(), few.targets[task].max())
        np.testing.assert_allclose(fitted.predict(test)[task], expected, rtol=1e-3, atol=1e-3)
