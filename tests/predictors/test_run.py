import importlib.metadata
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from zoobench.data import hub
from zoobench.data.manifest import read_manifest, write_manifest
from zoobench.errors import ZoobenchError
from zoobench.predictors import predictor
from zoobench.predictors.examples import examples, hyperparameters, learnable
from zoobench.predictors.run import Selection, run
from zoobench.scoring.harness import evaluate
from zoobench.scoring.tasks import tasks_of
from zoobench.zoos import resolve

TASKS = ["accuracy", "generalization_gap", "epoch", "f1_class_0", "f1_class_1", "f1_class_2", "f1_class_3"]


def test_a_predictor_never_sees_what_it_must_predict(tiny_hyp):
    """Not in the test split, and no hyperparameters unless it uses them; then it is not asked for them."""
    train, test = hub.load_split(tiny_hyp, "train"), hub.load_split(tiny_hyp, "test")
    seen = examples(test)
    assert (list(seen.targets.columns), list(seen.hyperparameters.columns)) == ([], [])
    assert set(vars(seen)) == {"weights", "layout", "runs", "targets", "bounds", "classes", "folds", "hyperparameters"}
    every = [task.name for task in tasks_of(tiny_hyp.spec)]
    assert [task.name for task in learnable(train, None, False)] == every
    varied = ["epoch", "learning_rate", "log10_learning_rate", "activation", "init"]
    assert [task.name for task in learnable(train, None, True)] == [name for name in every if name not in varied]


def test_hyperparameters_are_numbers_by_name(tiny_hyp):
    labels = hub.load_labels(tiny_hyp, "train").frame
    known = hyperparameters(tiny_hyp.spec, labels)
    assert known["learning_rate"].tolist() == pytest.approx(np.log10(labels["learning_rate"]).tolist())
    assert known["activation=relu"].tolist() == (labels["activation"] == "relu").astype(float).tolist()
    assert known[[name for name in known if name.startswith("init=")]].sum(axis=1).eq(1).all()
    assert known["epoch"].tolist() == labels["epoch"].tolist()


# So that trees are few where what they score does not matter.
QUICK = {"linear": {}, "gbm": {"max_trees": "20"}}


@pytest.mark.parametrize("baseline", ["linear", "gbm"])
@pytest.mark.parametrize("features", ["W", "stats"])
def test_a_baseline_predicts_every_task_of_the_test_split(zoobench, tiny, tmp_path, baseline, features):
    out = tmp_path / "preds.parquet"
    parameters = [part for name, value in QUICK[baseline].items() for part in ("--param", f"{name}={value}")]
    outcome = zoobench("run", baseline, "--zoo", tiny.id, "--features", features, "--out", out, *parameters)
    assert outcome.code == 0, outcome.err
    (result,) = evaluate(out).results
    assert list(result.tasks) == TASKS
    assert result.rows == len(hub.load_labels(tiny, "test").frame)


def test_the_same_seed_gives_the_same_file(tiny, tmp_path):
    for name in ("one", "two"):
        run("gbm", tiny, {"features": "W", "seed": "3"} | QUICK["gbm"], tmp_path / name)
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
    all_tasks, fewer = ([task.name for task in learnable(s, None, False)] for s in (split, without))
    assert set(all_tasks) - set(fewer) == {"epoch"}


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
        (["run", "broken"], "baseline 'broken' predicted NaN or infinite values, or unknown classes, for epoch"),
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
    with pytest.raises(
        ZoobenchError, match="choose from: broken, comvex, dnn, encoded, forgetful, gbm, heavy, hyperrep, linear, mean"
    ):
        predictor.create("xyz", {})


@pytest.mark.parametrize("baseline", ["linear", "gbm"])
def test_classes_are_predicted_by_name(tiny_hyp, tmp_path, baseline):
    run(baseline, tiny_hyp, {"features": "W"} | QUICK[baseline], tmp_path / "p.parquet")
    (result,) = evaluate(tmp_path / "p.parquet").results
    assert [name for name, task in result.tasks.items() if task.kind == "classification"] == ["activation", "init"]
    assert set(result.tasks) == {task.name for task in tasks_of(tiny_hyp.spec)}


@pytest.mark.parametrize("baseline", ["linear", "gbm"])
def test_hyperparameters_predict_outcomes_only(tiny_hyp, tmp_path, baseline):
    frame = run(baseline, tiny_hyp, {"features": "lambda+stats"} | QUICK[baseline], tmp_path / "p.parquet")
    outcomes = ["accuracy", "generalization_gap", "f1_class_0", "f1_class_1", "f1_class_2", "f1_class_3"]
    assert list(frame.columns) == ["zoo", "example_id", *outcomes]


def test_single_tasks_can_be_asked_for(tiny, tmp_path):
    assert list(run("linear", tiny, {}, tmp_path / "p.parquet", only=["epoch"]).columns)[2:] == ["epoch"]
    with pytest.raises(ZoobenchError, match=r"task 'dropout' cannot be learned here; .* has: accuracy, "):
        run("linear", tiny, {}, tmp_path / "p.parquet", only=["epoch", "dropout"])
    with pytest.raises(ZoobenchError, match="unknown task 'epochs'; did you mean 'epoch'"):
        run("linear", tiny, {}, tmp_path / "p.parquet", only=["epochs"])


def test_a_search_is_written_beside_the_predictions_and_is_what_they_were_made_with(tiny, tmp_path, zoobench):
    what = ("--zoo", tiny.id, "--features", "stats", "--task", "accuracy", "--task", "epoch", "--param", "max_trees=20")
    how = ("--trials", 3, "--storage", tmp_path / "t.db", "--out", tmp_path / "s.parquet")
    searched = zoobench("run", "gbm", *what, *how)
    assert searched.code == 0, searched.err
    record = json.loads((tmp_path / "s-chosen.json").read_text())
    assert (record["baseline"], record["zoo"], len(record["trials"])) == ("gbm", tiny.id, 3)
    for task in ("accuracy", "epoch"):
        scores = [trial["scores"][task] for trial in record["trials"]]
        assert record["chosen"][task]["score"] == max(scores) == scores[record["chosen"][task]["trial"]]
    predicted = pd.read_parquet(tmp_path / "s.parquet")
    for task in ("accuracy", "epoch"):
        chosen = {name: str(value) for name, value in record["chosen"][task]["parameters"].items()}
        again = run("gbm", tiny, {"features": "stats", "max_trees": "20"} | chosen, tmp_path / "a.parquet", only=[task])
        assert predicted[task].tolist() == again[task].tolist()
    assert "max_trees" not in record["chosen"]["epoch"]["parameters"]


def test_searching_twice_gives_the_same_file(tiny, tmp_path):
    for name in ("one", "two"):
        selection = Selection(2, tmp_path / f"{name}.db")
        run("gbm", tiny, {"max_trees": "10", "seed": "1"}, tmp_path / name, only=["accuracy"], selection=selection)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one-chosen.json").read_bytes() == (tmp_path / "two-chosen.json").read_bytes()


def test_parameters_may_be_given_as_options(zoobench, tiny, tmp_path):
    def predictions(*options):
        outcome = zoobench("run", "gbm", "--zoo", tiny.id, "--out", tmp_path / "p.parquet", *options)
        return outcome.err if outcome.code else (tmp_path / "p.parquet").read_bytes()

    expected = predictions("--param", "max_trees=3", "--param", "learning_rate=0.5")
    assert predictions("--max-trees", 3, "--learning_rate=0.5") == expected
    assert (
        predictions("--max-tres", 3) == "error: baseline 'gbm' has no parameter 'max_tres'; did you mean 'max_trees'?\n"
    )
    assert predictions("--max-trees") == "error: option --max-trees needs a value: --max-trees value\n"
    assert predictions("--max-trees", "--seed", 1) == "error: option --max-trees needs a value: --max-trees value\n"
    assert "unexpected argument 'three'" in predictions("--max-trees", 3, "three")


def test_trials_on_ray_choose_what_trials_in_this_process_choose(tiny_hyp, tmp_path):
    """Two workers at a time, which end in any order; half of the trials are in the database already."""
    for name, engine in (("local", "local"), ("ray", "ray")):
        storage = tmp_path / f"{name}.db"
        for trials in (2, 4):
            selection = Selection(trials, storage, engine, 2)
            run("gbm", tiny_hyp, {"max_trees": "10"}, tmp_path / name, only=["accuracy", "init"], selection=selection)
    assert (tmp_path / "ray").read_bytes() == (tmp_path / "local").read_bytes()
    assert (tmp_path / "ray-chosen.json").read_bytes() == (tmp_path / "local-chosen.json").read_bytes()


def test_bad_options_of_a_search_are_one_line(zoobench, tiny, tmp_path):
    def refusal(*options):
        outcome = zoobench("run", "gbm", "--zoo", tiny.id, "--out", tmp_path / "p.parquet", *options)
        assert (outcome.code, outcome.out) == (2, "")
        return outcome.err

    assert refusal("--trials", 2, "--engine", "rai") == "error: unknown engine 'rai'; did you mean 'ray'?\n"
    for option in (("--storage", "x.db"), ("--engine", "ray"), ("--workers", 2)):
        assert refusal(*option) == "error: --storage, --engine and --workers are of a search; add --trials\n"
    assert list(tmp_path.iterdir()) == []


def test_predictions_of_other_zoos_name_the_one_trained_on(tiny_hyp, tmp_path):
    frame = run("linear", tiny_hyp, {}, tmp_path / "p.parquet", on=[tiny_hyp])
    assert set(frame["trained_on"]) == {tiny_hyp.id}
    with pytest.raises(ZoobenchError, match="zoo 'mnist-zoo-tiny/seed' is neither in"):
        run("linear", tiny_hyp, {}, tmp_path / "p.parquet", on=[tiny_hyp, resolve("mnist-zoo-tiny/seed")])


def test_zoos_that_are_not_alike_are_not_predicted(tiny_hyp_home, tiny_home, tmp_path, monkeypatch, zoobench):
    """Other networks, or other hyperparameters where those are seen; ``homes`` of two configs in one repo."""
    home = tmp_path / "home"
    shutil.copytree(tiny_hyp_home, home)
    merged = home / "tetris-zoo-tiny"
    shutil.copytree(tiny_home / "tetris-zoo-tiny", merged, dirs_exist_ok=True)
    configs = {}
    for source in (tiny_hyp_home, tiny_home):
        configs |= read_manifest(source / "tetris-zoo-tiny").configs
    write_manifest(merged, read_manifest(merged).model_copy(update={"configs": configs}))
    monkeypatch.setenv("ZOOBENCH_DATA", str(home))
    zoos = ("--zoo", "tetris-zoo-tiny/hyp", "--on", "tetris-zoo-tiny/seed")
    what = ("run", "linear", *zoos, "--out", tmp_path / "p.parquet")
    outcome = zoobench(*what, "--features", "lambda")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "do not vary the same hyperparameters; choose features of weights alone" in outcome.err
    assert zoobench(*what, "--features", "stats", "--task", "accuracy").code == 0
    assert set(pd.read_parquet(tmp_path / "p.parquet")["zoo"]) == {"tetris-zoo-tiny/seed"}
