import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import kendalltau
from sklearn.metrics import mean_absolute_error, r2_score

from zoobench.data import hub
from zoobench.scoring.compare import compare
from zoobench.scoring.harness import evaluate

REFERENCE = {
    "r2": r2_score,
    "mae": mean_absolute_error,
    "kendall_tau": lambda y, p: kendalltau(y, p).statistic,
}


@pytest.fixture
def files(tiny, tmp_path):
    """Two methods on the same zoo: B is noisier. Returns their paths."""
    labels = hub.load_labels(tiny, "test").frame
    paths = []
    for name, noise in (("a", 0.05), ("b", 0.08)):
        rng = np.random.default_rng(ord(name))
        frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"]})
        frame["accuracy"] = labels["test_accuracy"] + noise * rng.normal(size=len(labels))
        frame["epoch"] = labels["epoch"] + 10 * noise * rng.normal(size=len(labels))
        paths.append(tmp_path / f"{name}.parquet")
        frame.sample(frac=1, random_state=ord(name)).to_parquet(paths[-1])
    return paths


def test_differences_are_those_of_scipy_without_each_run(files, tiny):
    """The variance of the difference is the jackknife's, by hand; its degrees of freedom lie below the runs."""
    (found,) = compare(*files)
    labels = hub.load_labels(tiny, "test").frame
    predicted = [pd.read_parquet(path).set_index("example_id").loc[labels["example_id"]] for path in files]
    run = pd.factorize(labels["run_id"])[0]
    runs = run.max() + 1
    assert (found.zoo, found.trained_on, found.rows, found.runs) == (tiny.id, tiny.id, len(labels), runs)
    for task, column in (("accuracy", "test_accuracy"), ("epoch", "epoch")):
        target = labels[column].to_numpy()
        for name, metric in REFERENCE.items():
            differences = []
            for kept in (np.ones(len(run), bool), *(run != k for k in range(runs))):
                scores = [metric(target[kept], frame[task].to_numpy()[kept]) for frame in predicted]
                differences.append(scores[0] - scores[1])
            value, without = differences[0], np.array(differences[1:])
            error = np.sqrt((runs - 1) * np.var(without))
            difference = found.tasks[task][name]
            assert difference.value == pytest.approx(value, rel=1e-9)
            assert (difference.low + difference.high) / 2 == pytest.approx(value, rel=1e-9)
            squares = (without - without.mean()) ** 2
            df = min(runs - 1, 2 * runs / (np.mean(squares**2) / np.mean(squares) ** 2 - 1))
            assert difference.high - value == pytest.approx(stats.t.ppf(0.975, df) * error, rel=1e-6)
            better = value * (-1 if name == "mae" else 1)
            assert difference.probability == pytest.approx(stats.t.cdf(better / error, df), rel=1e-6)


def test_a_method_against_itself_is_a_tie(files):
    (found,) = compare(files[0], files[0])
    for differences in found.tasks.values():
        assert all((d.value, d.low, d.high, d.probability) == (0, 0, 0, 0.5) for d in differences.values())


def test_the_other_way_round_is_the_opposite(files):
    (one,), (other,) = compare(*files), compare(*files[::-1])
    for task, differences in one.tasks.items():
        for name, difference in differences.items():
            assert other.tasks[task][name].value == -difference.value
            assert other.tasks[task][name].probability == pytest.approx(1 - difference.probability)


def test_shared_resamples_know_the_difference_better_than_either_score(files):
    """B makes the errors of A and small ones of its own, so that both are good or bad on the same runs."""
    rng = np.random.default_rng(0)
    frame = pd.read_parquet(files[0])
    frame["accuracy"] += 0.005 * rng.normal(size=len(frame))
    frame.to_parquet(files[1])
    score = evaluate(files[0]).results[0].tasks["accuracy"].scores["mse"]
    difference = compare(*files)[0].tasks["accuracy"]["mse"]
    assert difference.high - difference.low < 0.5 * (score.high - score.low)


def test_the_command_prints_a_table_or_json(files, zoobench):
    outcome = zoobench("compare", *files)
    assert outcome.code == 0
    assert "A - B on tetris-zoo-tiny/seed, protocol all" in outcome.out
    (content,) = json.loads(zoobench("compare", *files, "--json", "--protocol", "final").out)
    assert content["protocol"] == "final"
    assert set(content["tasks"]) == {"accuracy", "epoch"}
    assert content["tasks"]["epoch"]["r2"]["value"] is None, "all final checkpoints are of one epoch"


def test_files_with_nothing_in_common_are_one_line(files, zoobench):
    frame = pd.read_parquet(files[1])
    frame[["zoo", "example_id", "epoch"]].to_parquet(files[1])
    pd.read_parquet(files[0])[["zoo", "example_id", "accuracy"]].to_parquet(files[0])
    outcome = zoobench("compare", *files)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "predict no task of one zoo in common: accuracy of tetris-zoo-tiny/seed and epoch of" in outcome.err
