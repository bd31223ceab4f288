import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from zoobench.distributions import Choice, LogUniform, Uniform
from zoobench.errors import ZoobenchError
from zoobench.predictors.judge import judge
from zoobench.predictors.predictor import Examples
from zoobench.predictors.search import parameters_of, search
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of

SPACE = {"alpha": LogUniform(1e-3, 1e3), "kind": Choice(("a", "b")), "depth": Uniform(2, 4), "rate": Uniform(0.5, 0.7)}


def rows(count, seed, folds=3):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(count, 100)).astype(np.float32)
    targets = pd.DataFrame(
        {
            "accuracy": weights @ np.linspace(0, 1, 100) + rng.normal(size=count),
            "epoch": weights[:, 0] + 3 * rng.normal(size=count),
            "activation": np.where(weights[:, 1] > 0, "relu", "tanh"),
        }
    )
    fold = np.arange(count) % folds if folds else None
    layout = layout_of(resolve("tetris-zoo/seed").spec.network)
    return Examples(
        weights, layout, np.arange(count).astype(str), targets, classes={"activation": ["relu", "tanh"]}, folds=fold
    )


class RidgeOfStrength:
    fitted = 0

    def __init__(self, alpha):
        self.alpha = alpha

    def fit(self, train, validation):
        type(self).fitted += 1
        numbers = [task for task in train.targets if task != "activation"]
        self.models = {t: Ridge(self.alpha).fit(train.weights, train.targets[t]) for t in numbers}
        return self

    def predict(self, test):
        assert test.targets.empty
        numbers = {task: model.predict(test.weights) for task, model in self.models.items()}
        return pd.DataFrame(numbers | {"activation": np.where(test.weights[:, 1] > self.alpha / 1e3, "relu", "tanh")})


def create(parameters):
    return RidgeOfStrength(parameters["alpha"])


def test_draws_are_within_their_ranges_and_spread_over_them():
    drawn = pd.DataFrame([parameters_of(SPACE, 0, number) for number in range(2000)])
    assert set(drawn["kind"]) == {"a", "b"}
    assert set(drawn["depth"]) == {2, 3, 4}
    assert drawn["rate"].between(0.5, 0.7).all()
    assert kstest(np.log10(drawn["alpha"]), "uniform", args=(-3, 6)).pvalue > 1e-3
    assert parameters_of(SPACE, 0, 7) == parameters_of(SPACE, 0, 7) != parameters_of(SPACE, 1, 7)


def test_the_draws_of_a_seed_are_pinned_forever():
    """Trials that somebody keeps go on only with the draws that they began with."""
    assert parameters_of(SPACE, 0, 7) == {
        "alpha": 70.63221977028657,
        "kind": "b",
        "depth": 4,
        "rate": 0.5632752282556029,
    }
    assert parameters_of(SPACE, 3, 0) == {
        "alpha": 34.63877689625221,
        "kind": "b",
        "depth": 3,
        "rate": 0.6220147288517601,
    }


def test_a_trial_is_judged_by_the_mean_over_folds_as_scikit_learn_computes_it():
    train, validation = rows(300, 0), rows(50, 1)
    scores = judge(create, {"alpha": 5.0}, train, validation)
    x, y, fold = train.weights, train.targets["accuracy"].to_numpy(), train.folds
    expected = [
        r2_score(y[fold == k], Ridge(5.0).fit(x[fold != k], y[fold != k]).predict(x[fold == k])) for k in range(3)
    ]
    assert scores["accuracy"] == pytest.approx(np.mean(expected), rel=1e-6)
    expected = np.mean((train.weights[:, 1] > 5e-3) == (train.targets["activation"] == "relu"))
    assert scores["activation"] == pytest.approx(expected, abs=0.01)


def test_without_folds_the_validation_split_judges():
    train, validation = rows(300, 0, folds=0), rows(50, 1)
    fitted = Ridge(5.0).fit(train.weights, train.targets["accuracy"])
    expected = r2_score(validation.targets["accuracy"], fitted.predict(validation.weights))
    assert judge(create, {"alpha": 5.0}, train, validation)["accuracy"] == pytest.approx(expected, rel=1e-6)


def test_each_task_gets_its_own_best_trial():
    train, validation = rows(150, 0), rows(50, 1)
    found = search(create, SPACE, train, validation, trials=12, seed=0)
    chosen = found.chosen
    judged = [judge(create, parameters_of(SPACE, 0, number), train, validation) for number in range(12)]
    for task in train.targets:
        assert chosen[task].trial == int(np.argmax([scores[task] for scores in judged]))
        assert chosen[task].score == pytest.approx(max(scores[task] for scores in judged))
        assert chosen[task].parameters == parameters_of(SPACE, 0, chosen[task].trial)
    assert [(trial.parameters, trial.scores) for trial in found.trials] == [
        (parameters_of(SPACE, 0, number), scores) for number, scores in enumerate(judged)
    ]
    assert chosen["epoch"].trial != chosen["activation"].trial


def test_a_search_that_was_interrupted_goes_on_where_it_was(tmp_path):
    train, validation = rows(90, 0), rows(30, 1)
    whole = search(create, SPACE, train, validation, trials=8, seed=0)

    class KilledError(Exception):
        pass

    def kill(done):
        if done == 5:
            raise KilledError

    with pytest.raises(KilledError):
        search(create, SPACE, train, validation, 8, 0, tmp_path / "trials.db", on_trial=kill)
    RidgeOfStrength.fitted = 0
    assert search(create, SPACE, train, validation, 8, 0, tmp_path / "trials.db") == whole
    assert RidgeOfStrength.fitted == 3 * 3
    RidgeOfStrength.fitted = 0
    search(create, SPACE, train, validation, 8, 0, tmp_path / "trials.db")
    assert RidgeOfStrength.fitted == 0


@pytest.mark.parametrize("change", [{"identity": "other data"}, {"seed": 1}, {"space": {"alpha": Choice((1.0, 2.0))}}])
def test_trials_of_something_else_are_not_mistaken_for_these(tmp_path, change):
    train, validation = rows(90, 0), rows(30, 1)
    same = {"space": SPACE, "seed": 0, "identity": "", "trials": 2, "storage": tmp_path / "trials.db"}
    search(create, train=train, validation=validation, **same)
    RidgeOfStrength.fitted = 0
    search(create, train=train, validation=validation, **same | change)
    assert RidgeOfStrength.fitted == 2 * 3


def test_a_file_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / "trials.db").write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(ZoobenchError, match=r"cannot keep trials in .*trials.db \(.*\); name another file"):
        search(create, SPACE, rows(90, 0), rows(30, 1), 2, 0, tmp_path / "trials.db")


@pytest.mark.parametrize("name", ["a?b.db", "a?mode=memory&b.db", "a#b.db", "a%41 b.db", "a{b}{.db", "ä/:@.db"])
def test_trials_are_kept_in_the_very_file_that_is_named(tmp_path, name, monkeypatch):
    """A path is no URL, and a relative one lies in the current folder."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for storage in (Path(name), tmp_path / name):
        search(create, SPACE, rows(90, 0), rows(30, 1), 2, 0, storage)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]
    with contextlib.closing(sqlite3.connect(tmp_path / name)) as database:
        assert database.execute("select count(*) from trials").fetchone() == (2,)


def test_a_predictor_without_ranges_cannot_be_searched():
    with pytest.raises(ZoobenchError, match="has no parameters to search; leave out --trials"):
        search(create, {}, rows(90, 0), rows(30, 1), 2, 0)
