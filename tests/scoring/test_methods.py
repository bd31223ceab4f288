"""Several files: which are seeds of one method, which say the same thing twice."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.scoring.harness import evaluate
from zoobench.scoring.methods import methods
from zoobench.scoring.predictions import read_predictions


@pytest.fixture
def labels(tiny):
    return hub.load_labels(tiny, "test").frame


@pytest.fixture
def write(tiny, labels, tmp_path):
    """Write noisy predictions of some tasks under a name."""

    def write(name, noise=0, tasks=("accuracy", "epoch"), **columns):
        rng = np.random.default_rng(noise)
        frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"], **columns})
        for task, column in (("accuracy", "test_accuracy"), ("epoch", "epoch")):
            if task in tasks:
                frame[task] = labels[column] + labels[column].std() * rng.normal(size=len(labels))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(path)
        return path

    return write


def test_files_whose_names_differ_in_the_seed_number_are_scored_together(write, labels):
    paths = [write(f"preds-seed{seed}.parquet", noise=seed) for seed in (11, 2, 3)]
    (result,) = evaluate(paths).results
    assert result.seeds == [2, 3, 11]
    expected = [r2_score(labels["test_accuracy"], pd.read_parquet(paths[k])["accuracy"]) for k in (1, 2, 0)]
    score = result.tasks["accuracy"].scores["r2"]
    assert score.by_seed == pytest.approx(expected, rel=1e-9)
    assert score.value == pytest.approx(np.mean(expected), rel=1e-9)
    assert score.spread == pytest.approx(np.std(expected, ddof=1), rel=1e-9)
    assert score.low < score.value < score.high
    assert len(result.stamp.predictions_sha256) == 3


def test_the_interval_of_equal_seeds_is_that_of_one(write):
    copies = [write(f"preds-seed{seed}.parquet", noise=1) for seed in (1, 2, 3)]
    together = evaluate(copies).results[0].tasks["accuracy"].scores["r2"]
    alone = evaluate(copies[0]).results[0].tasks["accuracy"].scores["r2"]
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), rel=1e-9)
    assert together.spread == pytest.approx(0, abs=1e-12)
    assert (alone.spread, alone.by_seed) == (None, None)


def test_seeds_that_disagree_widen_the_interval(write):
    equal = [write(f"a/preds-seed{seed}.parquet", noise=1) for seed in (1, 2, 3)]
    alike = pd.read_parquet(equal[0])["epoch"]
    apart = [
        write(f"b/preds-seed{seed}.parquet", noise=1, tasks=("accuracy",), epoch=alike + 10 * seed)
        for seed in (1, 2, 3)
    ]
    widths = []
    for paths in (equal, apart):
        score = evaluate(paths).results[0].tasks["epoch"].scores["mae"]
        widths.append(score.high - score.low)
    assert widths[1] > widths[0]


def test_a_method_with_one_undefined_seed_has_no_mean(write, labels):
    paths = [write("p-seed1.parquet"), write("p-seed2.parquet", tasks=("epoch",), accuracy=0.5)]
    score = evaluate(paths).results[0].tasks["accuracy"].scores["kendall_tau"]
    assert (score.value, score.low, score.spread) == (None, None, None)
    assert score.by_seed[1] is None
    assert score.reason == "the predictions are constant"


@pytest.mark.parametrize(
    ("names", "seeds"),
    [
        (("p-seed0.parquet", "p-seed1.parquet"), [(0, 1)]),
        (("p_seed_0.csv.parquet", "p_seed_01.csv.parquet"), [(0, 1)]),
        (("seed7/p.parquet", "p.parquet"), [None, None]),
        (("a-seed1.parquet", "b-seed2.parquet"), [None, None]),
        (("a/seed-1.parquet", "b/seed-2.parquet", "a/seed-3.parquet"), [(1, 3), None]),
        (("layers3-seed1.parquet", "layers4-seed2.parquet"), [None, None]),
    ],
)
def test_only_the_number_after_seed_in_the_file_name_tells_seeds(write, names, seeds):
    """Files that are no seeds of each other are told apart by their first letters here, and predict other things."""
    origins = ["tetris-zoo/seed", "tetris-zoo/hyp", "mnist-zoo/seed"]
    first = [f"{Path(name).parent}/{Path(name).name.rpartition('seed')[0]}" for name in names]
    files = [
        read_predictions(write(name, trained_on=origins[first.index(start)]))
        for name, start in zip(names, first, strict=True)
    ]
    assert [method.seeds for method in methods(files)] == seeds


def test_two_files_that_predict_the_same_thing_are_refused(write, zoobench):
    one, two = write("gbm.parquet"), write("ridge.parquet", noise=1, tasks=("epoch",))
    outcome = zoobench("evaluate", "--predictions", one, "--predictions", two)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert f"{one} and {two} both predict epoch of tetris-zoo-tiny/seed" in outcome.err
    assert "keep one (seeds of one method are files whose names differ only in the number after 'seed')" in outcome.err


def test_two_files_that_predict_different_tasks_are_one_result_each(write):
    results = evaluate([write("a.parquet", tasks=("accuracy",)), write("b.parquet", tasks=("epoch",))]).results
    assert [list(result.tasks) for result in results] == [["accuracy"], ["epoch"]]


def test_tasks_of_one_zoo_in_two_files_are_averaged_once(write):
    """Whether the tasks come in one file or in two, their mean is the same."""
    apart = evaluate([write("a.parquet", tasks=("accuracy",)), write("b.parquet", noise=1, tasks=("epoch",))])
    values = [
        part.tasks[task].scores["r2"].value for part, task in zip(apart.results, ("accuracy", "epoch"), strict=True)
    ]
    overall = next(average for average in apart.averages if average.family is None and average.metric == "r2")
    assert overall.score.value == pytest.approx(np.mean(values))
    assert (overall.zoos, overall.tasks) == (["tetris-zoo-tiny/seed"], 2)


def test_nothing_to_score_is_refused():
    with pytest.raises(ZoobenchError, match="no predictions to score"):
        evaluate([])


def test_seeds_that_predict_different_things_are_refused(write):
    paths = [write("p-seed1.parquet"), write("p-seed2.parquet", tasks=("accuracy",))]
    with pytest.raises(ZoobenchError, match=r"p-seed2.parquet does not predict epoch of tetris-zoo-tiny/seed"):
        evaluate(paths)


def test_one_seed_twice_is_refused(write):
    path = write("p-seed1.parquet")
    with pytest.raises(ZoobenchError, match=r"p-seed1.parquet and .*p-seed1.parquet are both seed 1; keep one"):
        evaluate([path, path])


def test_the_shell_may_expand_the_names(write, zoobench):
    """``--predictions preds-seed*.parquet`` arrives as an option and two more arguments."""
    paths = [write(f"preds-seed{seed}.parquet", noise=seed) for seed in (1, 2, 3)]
    outcome = zoobench("evaluate", "--predictions", *paths)
    assert outcome.code == 0, outcome.err
    assert "mean of 3 seeds" in outcome.out
    assert "standard deviation over seeds" in outcome.out
