import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.scoring.harness import evaluate
from zoobench.scoring.results import Result
from zoobench.scoring.tasks import tasks_of
from zoobench.zoos import resolve


@pytest.fixture
def predictions(tiny, tmp_path):
    """Noisy predictions of every task, in an order of their own."""
    labels = hub.load_labels(tiny, "test").frame
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"]})
    for task in tasks_of(tiny.spec):
        target = task.target(labels)
        frame[task.name] = target + target.std() * rng.normal(size=len(target))
    path = tmp_path / "preds.parquet"
    frame.sample(frac=1, random_state=1).to_parquet(path, index=False)
    return path


def test_scores_are_those_of_scipy_and_scikit_learn_on_joined_rows(predictions, tiny):
    (result,) = evaluate(predictions).results
    joined = pd.read_parquet(predictions).merge(
        hub.load_labels(tiny, "test").frame, on="example_id", suffixes=("_p", "")
    )
    assert list(result.tasks) == [task.name for task in tasks_of(tiny.spec)]
    for task in tasks_of(tiny.spec):
        predicted = joined[f"{task.name}_p"] if f"{task.name}_p" in joined else joined[task.name]
        target = joined[task.column]
        expected = {
            "r2": r2_score(target, predicted),
            "mse": mean_squared_error(target, predicted),
            "mae": mean_absolute_error(target, predicted),
            "kendall_tau": kendalltau(target, predicted).statistic,
            "spearman": spearmanr(target, predicted).statistic,
            "skill": max(r2_score(target, predicted), 0),
        }
        scores = result.tasks[task.name].scores
        assert {name: score.value for name, score in scores.items()} == pytest.approx(expected, rel=1e-9)
        assert all(score.low <= score.value <= score.high for score in scores.values())


def test_the_result_file_is_stamped(predictions, tiny, tiny_home, zoobench, tmp_path):
    outcome = zoobench("evaluate", "--predictions", predictions, "--json", tmp_path / "result.json")
    assert outcome.code == 0
    assert "tetris-zoo-tiny/seed: test split" in outcome.out
    content = json.loads((tmp_path / "result.json").read_text())
    result = Result.model_validate(content).results[0]
    labels = tiny_home / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet"
    assert result.stamp.labels_sha256 == hashlib.sha256(labels.read_bytes()).hexdigest()
    assert result.stamp.predictions_sha256 == [hashlib.sha256(predictions.read_bytes()).hexdigest()]
    assert (result.stamp.split, result.stamp.protocol) == ("test", "all")
    assert (result.zoo, result.trained_on, content["schema_version"]) == (tiny.id, tiny.id, 4)


def test_the_same_file_gets_the_same_result_to_the_byte(predictions):
    assert evaluate(predictions).model_dump_json() == evaluate(predictions).model_dump_json()


def test_predictions_of_a_predictor_trained_elsewhere_are_scored_apart(predictions, tiny):
    frame = pd.read_parquet(predictions)
    both = pd.concat([frame.assign(trained_on=tiny.id), frame.assign(trained_on="tetris-zoo/seed")])
    both.to_parquet(predictions)
    results = evaluate(predictions).results
    assert [(r.zoo, r.trained_on) for r in results] == [(tiny.id, tiny.id), (tiny.id, "tetris-zoo/seed")]
    assert results[0].tasks == results[1].tasks


def test_constant_predictions_score_null_with_a_reason(predictions):
    frame = pd.read_parquet(predictions).assign(accuracy=0.5)
    frame.to_parquet(predictions)
    score = evaluate(predictions).results[0].tasks["accuracy"].scores["kendall_tau"]
    assert (score.value, score.low, score.high) == (None, None, None)
    assert score.reason == "the predictions are constant"


def test_labels_that_the_manifest_does_not_describe_are_refused(predictions, tiny, tiny_home, tmp_path, monkeypatch):
    shutil.copytree(tiny_home, tmp_path / "home")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    path = tmp_path / "home" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet"
    labels = pd.read_parquet(path)
    labels.loc[0, "test_accuracy"] = 1.0
    labels.to_parquet(path)
    with pytest.raises(ZoobenchError, match=r"has sha256 .*, the manifest says .*; build or download"):
        evaluate(predictions)


def test_a_zoo_that_is_nowhere_says_how_to_get_it(predictions, zoobench, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "empty"))
    outcome = zoobench("evaluate", "--predictions", predictions)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "build it: zoobench build tetris-zoo/seed --scale tiny" in outcome.err


def test_the_scorer_imports_neither_torch_nor_transformers(predictions, tiny_home):
    code = f"""
import sys
from pathlib import Path
from zoobench.scoring.harness import evaluate
evaluate(Path({str(predictions)!r}))
# Numba looks at scipy where that is installed, and does without where not (test_scorer_install).
heavy = ("torch", "transformers", "sklearn", "lightgbm", "datasets")
print([name for name in heavy if name in sys.modules])
"""
    environment = {"PATH": "/usr/bin:/bin", "ZOOBENCH_DATA": str(tiny_home)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def noisy(zoo, seed=0, **columns):
    """Noisy predictions of accuracy, epoch and, where it varies, the activation."""
    labels = hub.load_labels(zoo, "test").frame
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"zoo": zoo.id, "example_id": labels["example_id"], **columns})
    frame["accuracy"] = labels["test_accuracy"] + 0.1 * rng.normal(size=len(labels))
    frame["epoch"] = labels["epoch"] + rng.normal(size=len(labels))
    if "activation" in zoo.spec.varies:
        frame["activation"] = np.where(rng.uniform(size=len(labels)) < 0.7, labels["activation"], "relu")
    return frame


def test_a_frame_scores_as_its_file_does(tiny, tmp_path):
    frame = noisy(tiny)
    frame.to_parquet(tmp_path / "preds.parquet")
    of_frame, of_file = evaluate(frame).results[0], evaluate(str(tmp_path / "preds.parquet")).results[0]
    assert of_frame.tasks == of_file.tasks
    assert evaluate(frame).results[0].stamp == of_frame.stamp
    assert evaluate(frame.assign(epoch=1.0)).results[0].stamp.predictions_sha256 != of_frame.stamp.predictions_sha256


def test_evaluate_is_at_the_top_of_the_package(tiny):
    import zoobench

    result = zoobench.evaluate(noisy(tiny), protocols=["final"])
    assert [part.stamp.protocol for part in result.results] == ["final"]


def test_the_constant_reference_is_the_train_mean_scored_by_scikit_learn(tiny_hyp):
    (result,) = evaluate(noisy(tiny_hyp)).results
    train, test = (hub.load_labels(tiny_hyp, split).frame for split in ("train", "test"))
    (constant,) = (reference for reference in result.references if reference.name == "constant")
    expected = r2_score(test["test_accuracy"], np.full(len(test), np.float32(train["test_accuracy"].mean())))
    assert constant.tasks["accuracy"]["r2"].value == pytest.approx(expected, rel=1e-6)
    assert constant.tasks["accuracy"]["kendall_tau"].reason == "the predictions are constant"
    frequent = train["activation"].mode()[0]
    assert constant.tasks["activation"]["accuracy"].value == pytest.approx((test["activation"] == frequent).mean())
    assert set(constant.tasks) == {"accuracy", "epoch", "activation"}


@pytest.mark.parametrize(("protocol", "name"), [("all", "hyperparameters"), ("final", "hyperparameters-final")])
def test_each_protocol_has_its_own_reference(tiny_hyp, tiny_hyp_home, protocol, name):
    (result,) = evaluate(noisy(tiny_hyp), protocols=[protocol]).results
    assert [reference.name for reference in result.references] == [name.replace("hyperparameters", "constant"), name]
    known = result.references[1]
    file = tiny_hyp_home / "tetris-zoo-tiny" / "references" / "hyp" / f"{name}.parquet"
    labels = hub.load_labels(tiny_hyp, "test").frame
    joined = labels.merge(pd.read_parquet(file), on="example_id")
    rows = joined[joined["epoch"] == 4] if protocol == "final" else joined
    assert known.tasks["accuracy"]["r2"].value == pytest.approx(r2_score(rows["test_accuracy"], rows["accuracy"]))
    assert list(known.tasks) == ["accuracy"]
    assert known.predictions_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_predictions_are_held_against_the_hyperparameters(tiny_hyp, tiny_hyp_home):
    """What they gain over the reference, and R² of its residuals, by scikit-learn; the reference itself gains none."""
    file = tiny_hyp_home / "tetris-zoo-tiny" / "references" / "hyp" / "hyperparameters.parquet"
    labels = hub.load_labels(tiny_hyp, "test").frame
    known = labels[["example_id"]].merge(pd.read_parquet(file), on="example_id")["accuracy"].to_numpy()
    frame, target = noisy(tiny_hyp), labels["test_accuracy"].to_numpy()
    (result,) = evaluate(frame).results
    over = result.tasks["accuracy"].over_hyperparameters
    gain = r2_score(target, frame["accuracy"]) - r2_score(target, known)
    assert over.difference.value == pytest.approx(gain, rel=1e-9)
    assert over.difference.low < gain < over.difference.high
    assert over.left_r2.value == pytest.approx(r2_score(target - known, frame["accuracy"] - known), rel=1e-9)
    assert result.tasks["activation"].over_hyperparameters is None
    itself = evaluate(frame.assign(accuracy=known)).results[0].tasks["accuracy"].over_hyperparameters
    assert (itself.difference.value, itself.difference.low, itself.difference.high) == (0, 0, 0)
    assert itself.left_r2.value == pytest.approx(r2_score(target - known, np.zeros(len(known))), rel=1e-9)


def test_collapsed_networks_are_those_at_most_at_the_majority_rate(tiny):
    """Tetris has as many test images of each of its four classes."""
    (result,) = evaluate(noisy(tiny)).results
    share = (hub.load_labels(tiny, "test").frame["test_accuracy"] <= 0.25).mean()
    assert 0 < share < 1
    assert (result.collapsed.share, result.collapsed.majority_rate) == (pytest.approx(share), 0.25)


def test_tau_stands_beside_that_of_rounded_predictions_and_that_without_collapsed_networks(tiny):
    frame, labels = noisy(tiny), hub.load_labels(tiny, "test").frame
    accuracy, gap = labels["test_accuracy"] + frame["accuracy"] / 1000, frame["accuracy"]
    (result,) = evaluate(frame.assign(accuracy=accuracy, epoch=gap)).results
    found, learned = result.tasks["accuracy"].tau_beside, labels["test_accuracy"] > 0.25
    assert 0.1 < learned.mean() < 0.9
    expected = kendalltau(labels["test_accuracy"], accuracy.round(3)).statistic
    assert found.rounded == pytest.approx(expected, rel=1e-9)
    expected = kendalltau(labels["test_accuracy"][learned], accuracy[learned]).statistic
    assert found.not_collapsed == pytest.approx(expected, rel=1e-9)
    assert found.not_collapsed != result.tasks["accuracy"].scores["kendall_tau"].value != found.rounded
    # Epochs are not rounded: a thousandth of one is nothing that anybody measures.
    assert result.tasks["epoch"].tau_beside.rounded is None
    assert result.tasks["epoch"].tau_beside.not_collapsed is not None


def test_collapsed_networks_are_unknown_where_the_manifest_does_not_count(tiny, tiny_home, tmp_path, monkeypatch):
    shutil.copytree(tiny_home, tmp_path / "home")
    path = tmp_path / "home" / "tetris-zoo-tiny" / "manifest.json"
    content = json.loads(path.read_text())
    del content["configs"]["seed"]["images"]["test_class_counts"]
    path.write_text(json.dumps(content))
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    collapsed = evaluate(noisy(tiny)).results[0].collapsed
    assert collapsed.share is None
    assert "does not say how many test images" in str(collapsed.reason)


def test_a_matrix_of_tau_over_zoos_trained_and_tested_on(tiny_hyp, tiny_hyp_home, tiny_home, tmp_path, monkeypatch):
    """Two zoos in one home; predictions of both by predictors of both."""
    shutil.copytree(tiny_hyp_home, tmp_path / "home")
    shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "pinned" / "tetris-zoo-tiny")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    seed, homes = resolve("tetris-zoo-tiny/seed"), [tmp_path / "pinned"]
    labels = {zoo.id: hub.load_labels(zoo, "test", hub.Store(homes)).frame for zoo in (seed, tiny_hyp)}
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "zoo": tested.id,
                "trained_on": trained.id,
                "example_id": labels[tested.id]["example_id"],
                "accuracy": labels[tested.id]["test_accuracy"] + 0.05 * rng.normal(size=len(labels[tested.id])),
            }
        )
        for trained in (seed, tiny_hyp)
        for tested in (tiny_hyp, seed)
    ]
    result = evaluate(frames, homes=homes)
    (matrix,) = result.matrices()
    assert (matrix.task, matrix.metric, matrix.protocol) == ("accuracy", "kendall_tau", "all")
    assert matrix.zoos == matrix.trained_on == (tiny_hyp.id, seed.id)
    for i, trained in enumerate(matrix.trained_on):
        for j, tested in enumerate(matrix.zoos):
            (frame,) = (f for f in frames if f["zoo"][0] == tested and f["trained_on"][0] == trained)
            expected = kendalltau(labels[tested]["test_accuracy"], frame["accuracy"]).statistic
            assert matrix.scores[i][j].value == pytest.approx(expected, rel=1e-9)
    in_distribution = [part for part in result.results if part.zoo == part.trained_on]
    overall = next(average for average in result.averages if average.family is None)
    assert overall.zoos == [part.zoo for part in in_distribution]


def test_no_matrix_without_anything_out_of_distribution(tiny):
    assert list(evaluate(noisy(tiny)).matrices()) == []


def test_the_printed_tables_say_what_stands_beside_the_scores(tiny_hyp, zoobench, tmp_path):
    noisy(tiny_hyp).to_parquet(tmp_path / "preds.parquet")
    outcome = zoobench("evaluate", "--predictions", tmp_path / "preds.parquet")
    assert outcome.code == 0, outcome.err
    for text in ("τ ceiling", "constant", "hyperparameters", "collapsed networks", "macro-F1", "Macro averages"):
        assert text in outcome.out


def test_a_constant_task_is_refused_with_those_that_make_sense(tiny):
    with pytest.raises(ZoobenchError, match=r"task 'activation' is constant or unknown on .*; it has: accuracy, "):
        evaluate(noisy(tiny).assign(activation="tanh"))
