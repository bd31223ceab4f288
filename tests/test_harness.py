import hashlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from zoobench import hub
from zoobench.errors import ZoobenchError
from zoobench.evaluate import evaluate
from zoobench.results import Result
from zoobench.tasks import tasks_of


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
    assert result.stamp.predictions_sha256 == hashlib.sha256(predictions.read_bytes()).hexdigest()
    assert (result.stamp.split, result.stamp.protocol) == ("test", "all")
    assert (result.zoo, result.trained_on, content["schema_version"]) == (tiny.id, tiny.id, 2)


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
    import shutil

    shutil.copytree(tiny_home, tmp_path / "home")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    path = tmp_path / "home" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet"
    labels = pd.read_parquet(path)
    labels.loc[0, "test_accuracy"] = 1.0
    labels.to_parquet(path)
    with pytest.raises(ZoobenchError, match=r"have sha256 .*, the manifest says .*; build or download"):
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
from zoobench.evaluate import evaluate
evaluate(Path({str(predictions)!r}))
heavy = ("torch", "transformers", "sklearn", "lightgbm", "scipy", "datasets")
print([name for name in heavy if name in sys.modules])
"""
    environment = {"PATH": "/usr/bin:/bin", "ZOOBENCH_DATA": str(tiny_home)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
