"""Bad predictions files: exit code 2, one line that names the id, value or column and the way out."""

import json
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench import hub
from zoobench.predictions import UnknownColumnWarning, read_predictions


@pytest.fixture
def good(tiny):
    """A complete, perfect predictions frame for the tiny zoo's test split."""
    labels = hub.load_labels(tiny, "test").frame
    return pd.DataFrame(
        {
            "zoo": tiny.id,
            "example_id": labels["example_id"],
            "accuracy": labels["test_accuracy"],
            "epoch": labels["epoch"],
        }
    )


def _set(frame, column, row, value):
    changed = frame.copy()
    changed[column] = changed[column].astype(type(value))
    changed.loc[row, column] = value
    return changed


BAD = {
    "missing ids": (
        lambda f: f.iloc[6:],
        "6 example ids of tetris-zoo-tiny/seed are missing: {0}, {1}, {2}, {3}, {4}, …; predict every example",
    ),
    "a missing id": (lambda f: f.iloc[1:], "1 example ids of tetris-zoo-tiny/seed are missing: {0}; "),
    "a repeated id": (
        lambda f: pd.concat([f, f.iloc[:1]]),
        "1 example ids of tetris-zoo-tiny/seed are repeated: {0}; ",
    ),
    "an extra id": (lambda f: _set(f, "example_id", 0, "seed-9999/001"), "are not in the test split: seed-9999/001; "),
    "NaN": (
        lambda f: _set(f, "accuracy", 2, np.nan),
        "column 'accuracy' is NaN or infinite in 1 rows, first at example_id '{2}'",
    ),
    "infinity": (
        lambda f: _set(f, "accuracy", 1, -np.inf),
        "'accuracy' is NaN or infinite in 1 rows, first at example_id '{1}'",
    ),
    "an unknown zoo": (
        lambda f: f.assign(zoo="tetris-zo/seed"),
        "unknown zoo 'tetris-zo/seed'; did you mean 'tetris-zoo/seed'?",
    ),
    "no task column": (lambda f: f[["zoo", "example_id"]], "predicts no task; name a column after one of: accuracy, "),
    "a text column": (
        lambda f: f.assign(accuracy="high"),
        "column 'accuracy' holds ",
    ),
    "no zoo column": (lambda f: f.drop(columns="zoo"), "has no column 'zoo'"),
    "a misspelt id column": (
        lambda f: f.rename(columns={"example_id": "exampel_id"}),
        "has no column 'example_id'; did you mean 'exampel_id'?",
    ),
    "numbers as ids": (
        lambda f: f.assign(example_id=range(len(f))),
        "column 'example_id' holds int64, it must hold strings",
    ),
    "empty ids": (
        lambda f: f.assign(example_id=[None, *f["example_id"][1:]]),
        "column 'example_id' is empty in 1 rows",
    ),
    "no rows": (lambda f: f.iloc[:0], "has no rows"),
    "a task of another zoo": (
        lambda f: f.assign(dropout=0.5),
        "task 'dropout' is constant or unknown on tetris-zoo-tiny/seed",
    ),
    "an unknown training zoo": (lambda f: f.assign(trained_on="nowhere"), "unknown zoo 'nowhere'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_predictions_are_one_line_with_the_way_out(case, good, zoobench, tmp_path):
    change, message = BAD[case]
    path = tmp_path / "preds.parquet"
    change(good).to_parquet(path, index=False)
    outcome = zoobench("evaluate", "--predictions", path, "--json", tmp_path / "result.json")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message.format(*good["example_id"][:5]) in outcome.err
    assert not (tmp_path / "result.json").exists()


def test_a_file_that_is_not_parquet(zoobench, tmp_path, tiny):
    path = tmp_path / "preds.parquet"
    path.write_text("zoo,example_id,accuracy\n")
    outcome = zoobench("evaluate", "--predictions", path)
    assert outcome.code == 2
    assert "is not a parquet file (" in outcome.err
    assert "give it a name ending in .csv if it is CSV" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_column_that_is_there_twice(zoobench, tmp_path, good):
    path = tmp_path / "preds.parquet"
    table = pa.Table.from_pandas(good)
    pq.write_table(table.append_column("accuracy", table["accuracy"]), path)
    outcome = zoobench("evaluate", "--predictions", path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "has more than one column 'accuracy'" in outcome.err


def test_a_file_that_is_not_there(zoobench, tmp_path):
    outcome = zoobench("evaluate", "--predictions", tmp_path / "none.parquet")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "none.parquet: No such file or directory" in outcome.err


def test_csv_with_a_broken_row(zoobench, tmp_path, good):
    path = tmp_path / "preds.csv"
    good.to_csv(path, index=False)
    path.write_text(path.read_text() + "one,two\n")
    outcome = zoobench("evaluate", "--predictions", path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "is not a readable CSV file" in outcome.err


@pytest.mark.parametrize("kind", ["parquet", "csv", "float32", "shuffled", "dictionary", "extra index"])
def test_the_form_of_the_file_does_not_change_the_score(kind, good, zoobench, tmp_path):
    path = tmp_path / ("preds.csv" if kind == "csv" else "preds.parquet")
    frame = {
        "float32": lambda: good.astype({"accuracy": "float32"}),
        "shuffled": lambda: good.sample(frac=1, random_state=0)[good.columns[::-1]],
        "dictionary": lambda: good.astype({"zoo": "category", "example_id": "category"}),
        "extra index": lambda: good.set_index(np.arange(len(good)) * 7),
    }.get(kind, lambda: good)()
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    outcome = zoobench("evaluate", "--predictions", path, "--json", tmp_path / "result.json")
    assert outcome.code == 0, outcome.err
    tasks = json.loads((tmp_path / "result.json").read_text())["results"][0]["tasks"]
    for task in ("accuracy", "epoch"):
        assert tasks[task]["scores"]["r2"]["value"] == pytest.approx(1)
        assert tasks[task]["scores"]["kendall_tau"]["value"] == 1


def test_an_unknown_column_is_ignored_with_a_hint(good, tmp_path):
    path = tmp_path / "preds.parquet"
    good.assign(accurracy=0.5).to_parquet(path)
    with pytest.warns(UnknownColumnWarning, match="'accurracy' is not a task and is ignored; did you mean 'accuracy'"):
        predictions = read_predictions(path)
    assert predictions.task_names == ("accuracy", "epoch")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        good.to_parquet(path)
        read_predictions(path)
