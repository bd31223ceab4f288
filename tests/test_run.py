import importlib.metadata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from zoobench import hub, predictor
from zoobench.errors import ZoobenchError
from zoobench.harness import evaluate
from zoobench.run import examples, run
from zoobench.tasks import tasks_of

TASKS = ["accuracy", "generalization_gap", "epoch", "f1_class_0", "f1_class_1", "f1_class_2", "f1_class_3"]


def test_a_predictor_never_sees_what_it_must_predict(tiny):
    test = hub.load_split(tiny, "test")
    seen = examples(test, with_targets=False)
    assert list(seen.targets.columns) == []
    assert set(vars(seen)) == {"weights", "layout", "runs", "targets", "bounds"}
    train = examples(hub.load_split(tiny, "train"), with_targets=True)
    assert list(train.targets.columns) == TASKS == [task.name for task in tasks_of(tiny.spec)]


@pytest.mark.parametrize("baseline", ["linear", "gbm"])
@pytest.mark.parametrize("features", ["W", "stats"])
def test_a_baseline_predicts_every_task_of_the_test_split(zoobench, tiny, tmp_path, baseline, features):
    out = tmp_path / "preds.parquet"
    outcome = zoobench("run", baseline, "--zoo", tiny.id, "--features", features, "--out", out)
    assert outcome.code == 0, outcome.err
    (result,) = evaluate(out).results
    assert list(result.tasks) == TASKS
    assert result.rows == len(hub.load_labels(tiny, "test").frame)


def test_the_same_seed_gives_the_same_file(tiny, tmp_path):
    for name in ("one", "two"):
        run("gbm", tiny, {"features": "W", "seed": "3"}, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


class Mean:
    """A predictor of another package, with the interface and nothing else."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def fit(self, train, validation):
        self.means = train.targets.mean() + self.offset
        return self

    def predict(self, test):
        return pd.DataFrame({task: np.full(len(test.weights), mean) for task, mean in self.means.items()})


class Forgetful(Mean):
    def predict(self, test):
        return super().predict(test).drop(columns="epoch")


class Broken(Mean):
    def predict(self, test):
        return super().predict(test).assign(epoch=np.nan)


@pytest.fixture
def outside_packages(monkeypatch):
    """Entry points as an installed package would declare them."""
    found = importlib.metadata.entry_points

    def entry_points(group):
        points = [
            importlib.metadata.EntryPoint(name, f"{__name__}:{target}", predictor.ENTRY_POINTS)
            for name, target in {"mean": "Mean", "forgetful": "Forgetful", "broken": "Broken"}.items()
        ]
        points.append(importlib.metadata.EntryPoint("heavy", "no_such_library.module:Thing", predictor.ENTRY_POINTS))
        return [*found(group=group), *(points if group == predictor.ENTRY_POINTS else [])]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_a_column_that_an_import_does_not_have_is_no_task(tiny):
    split = hub.load_split(tiny, "train")
    without = replace(split, labels=split.labels.assign(epoch=None))
    assert set(examples(split, with_targets=True).targets) - set(examples(without, with_targets=True).targets) == {
        "epoch"
    }


def test_any_package_can_add_a_predictor(outside_packages, zoobench, tiny, tmp_path):
    out = tmp_path / "preds.parquet"
    outcome = zoobench("run", "mean", "--zoo", tiny.id, "--param", "offset=0.25", "--out", out)
    assert outcome.code == 0, outcome.err
    expected = hub.load_split(tiny, "train").labels["test_accuracy"].mean() + 0.25
    assert pd.read_parquet(out)["accuracy"].to_numpy() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "gmb"], "unknown baseline 'gmb'; did you mean 'gbm'?"),
        (["run", "gbm", "--features", "stat"], "unknown features 'stat'; did you mean 'stats'?"),
        (["run", "linear", "--seed", "1"], "baseline 'linear' has no parameter 'seed'"),
        (
            ["run", "gbm", "--param", "max_tree=3"],
            "baseline 'gbm' has no parameter 'max_tree'; did you mean 'max_trees'?",
        ),
        (["run", "gbm", "--param", "max_trees=many"], "parameter 'max_trees' of baseline 'gbm' takes int, not 'many'"),
        (["run", "gbm", "--param", "max_trees"], "--param takes name=value, not 'max_trees'"),
        (["run", "linear", "--param", "link=probit"], "unknown link 'probit'; choose from: identity, logit"),
        (["run", "heavy"], "baseline 'heavy' needs no_such_library: pip install"),
        (["run", "forgetful"], "baseline 'forgetful' predicted 18 rows and lacks tasks ['epoch']"),
        (["run", "broken"], "baseline 'broken' predicted NaN or infinite values for epoch"),
    ],
)
def test_what_is_wrong_is_one_line(outside_packages, zoobench, tiny, tmp_path, arguments, message):
    out = tmp_path / "preds.parquet"
    outcome = zoobench(*arguments, "--zoo", tiny.id, "--out", out)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not out.exists()


def test_an_unwritable_place_is_named(zoobench, tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = zoobench("run", "linear", "--zoo", tiny.id, "--out", tmp_path / "file" / "preds.parquet")
    assert outcome.code == 2
    assert "cannot write" in outcome.err


def test_baselines_are_listed_for_a_wrong_name(outside_packages):
    with pytest.raises(ZoobenchError, match="choose from: broken, forgetful, gbm, heavy, linear, mean"):
        predictor.create("xyz", {})
