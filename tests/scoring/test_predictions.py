"""Bad predictions files: exit code 2, one line that names the id, value or column and the way out."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import mean_absolute_error

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.scoring.harness import evaluate
from zoobench.scoring.predictions import UnknownColumnWarning, read_predictions, write_predictions


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
    "a missing id": (lambda f: f.iloc[1:], "1 example id of tetris-zoo-tiny/seed is missing: {0}; "),
    "a repeated id": (
        lambda f: pd.concat([f, f.iloc[:1]]),
        "1 example id of tetris-zoo-tiny/seed is repeated: {0}; ",
    ),
    "an extra id": (
        lambda f: _set(f, "example_id", 0, "seed-9999/001"),
        "1 example id of tetris-zoo-tiny/seed is not in the test split: seed-9999/001; ",
    ),
    "NaN": (
        lambda f: _set(f, "accuracy", 2, np.nan),
        "column 'accuracy' is NaN or infinite in 1 rows, at example_id {2}; ",
    ),
    "infinity": (
        lambda f: _set(f, "accuracy", 1, -np.inf),
        "'accuracy' is NaN or infinite in 1 rows, at example_id {1}; ",
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


@pytest.mark.parametrize(
    ("name", "message"), [("preds.parquet", "is not a parquet file"), ("preds.csv", "is not a readable CSV file")]
)
def test_an_empty_file(zoobench, tmp_path, name, message):
    (tmp_path / name).write_bytes(b"")
    outcome = zoobench("evaluate", "--predictions", tmp_path / name)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err


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


FORMS = {
    "parquet": lambda f: f,
    "csv": lambda f: f,
    "float64": lambda f: f.astype({"epoch": "float64"}),
    "float32": lambda f: f.astype({"accuracy": "float32"}),
    "int8": lambda f: f.astype({"epoch": "int8"}),
    "unsigned": lambda f: f.astype({"epoch": "uint64"}),
    "shuffled": lambda f: f.sample(frac=1, random_state=0)[f.columns[::-1]],
    "dictionary": lambda f: f.astype({"zoo": "category", "example_id": "category"}),
    "extra index": lambda f: f.set_index(np.arange(len(f)) * 7),
    "ids as the index": lambda f: f.set_index("example_id"),
    "an extra column": lambda f: f.assign(note="mine"),
}


@pytest.mark.filterwarnings("ignore::zoobench.scoring.predictions.UnknownColumnWarning")
@pytest.mark.parametrize("kind", FORMS)
def test_the_form_of_the_file_does_not_change_the_score(kind, good, zoobench, tmp_path):
    path = tmp_path / ("preds.csv" if kind == "csv" else "preds.parquet")
    frame = FORMS[kind](good)
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
    (of_frame,) = evaluate(frame).results
    assert of_frame.tasks["epoch"].scores["r2"].value == pytest.approx(1)


def test_half_precision_is_read_as_it_is(good, tmp_path):
    """float16 in the file: the errors are those of rounding accuracies to half precision, no more."""
    halves = good.astype({"accuracy": "float16"})
    halves.to_parquet(tmp_path / "preds.parquet")
    scores = evaluate(tmp_path / "preds.parquet").results[0].tasks["accuracy"].scores
    expected = mean_absolute_error(good["accuracy"], good["accuracy"].astype(np.float16).astype(np.float64))
    assert scores["mae"].value == pytest.approx(expected, rel=1e-6)


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


def test_a_dataframe_with_a_column_of_mixed_types(good, tiny):
    mixed = good.astype({"accuracy": object})
    mixed.loc[0, "accuracy"] = "high"
    with pytest.raises(ZoobenchError, match=r"the DataFrame holds a column of mixed types \(.*\); give it one type"):
        evaluate(mixed)


def test_a_list_of_frames_is_named_by_position(good):
    with pytest.raises(ZoobenchError, match=r"DataFrame 1 and DataFrame 2 both predict accuracy of"):
        evaluate([good, good])
    with pytest.raises(ZoobenchError, match=r"DataFrame 2 has no column 'zoo'"):
        evaluate([good, good.drop(columns="zoo")])


def test_predictions_of_perturbed_networks_are_not_scored_as_if_they_were_not(good, tmp_path, zoobench):
    path = tmp_path / "preds.parquet"
    good.assign(perturbation="scale-2").to_parquet(path)
    outcome = zoobench("evaluate", "--predictions", path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "has predictions of perturbed networks; it is for --against" in outcome.err


def peak_megabytes(code):
    """The highest resident memory of a process of its own; VmHWM starts anew with it."""
    report = "print([l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    *said, peak = done.stdout.split("\n")[:-1]
    return said, int(peak) / 1000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory of a process from /proc")
def test_a_bomb_is_refused_before_it_expands(tmp_path):
    """Kilobytes that claim to be gigabytes: a long string that is repeated a million times, and far too many rows."""
    rows = 1_000_000
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 100_000]))
    table = pa.table({"zoo": long, "example_id": long, "accuracy": np.zeros(rows)})
    pq.write_table(table, tmp_path / "strings.parquet", store_schema=False, compression="ZSTD")
    with pq.ParquetWriter(tmp_path / "rows.parquet", pa.schema({"zoo": pa.string(), "example_id": pa.string()})) as out:
        part = pa.table(
            {name: pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x"]) for name in out.schema.names}
        )
        for _ in range(51):
            out.write_table(part.cast(out.schema))
    for name, message in (("strings", "unknown zoo 'xxxx"), ("rows", "claims to have 51,000,000 rows; no set of")):
        path = tmp_path / f"{name}.parquet"
        assert path.stat().st_size < 500_000
        said, peak = peak_megabytes(
            "from pathlib import Path\nfrom zoobench.errors import ZoobenchError\n"
            "from zoobench.scoring.predictions import read_predictions\n"
            f"try: read_predictions(Path({str(path)!r}))\nexcept ZoobenchError as error: print(str(error)[:300])"
        )
        assert message in said[0]
        assert peak < 500


def test_written_numbers_are_in_single_precision_and_classes_are_codes(tmp_path):
    rows = 5000
    frame = pd.DataFrame({"zoo": "tetris-zoo/hyp", "example_id": [f"hyp-{k:05d}/001" for k in range(rows)]})
    frame["accuracy"] = np.random.default_rng(0).random(rows)
    frame["epoch"] = np.arange(rows)
    frame["activation"] = ["tanh", "relu"] * (rows // 2)
    write_predictions(frame, tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert [table.schema.field(name).type for name in ("accuracy", "epoch")] == [pa.float32(), pa.int64()]
    assert table["accuracy"].to_numpy().tolist() == frame["accuracy"].astype(np.float32).tolist()
    assert table["activation"].to_pylist() == frame["activation"].tolist()
    columns = pq.ParquetFile(tmp_path / "p.parquet").metadata.row_group(0).to_dict()["columns"]
    assert {column["path_in_schema"] for column in columns if "RLE_DICTIONARY" in column["encodings"]} == {
        "zoo",
        "epoch",
        "activation",
    }
    assert {column["compression"] for column in columns} == {"ZSTD"}
    assert read_predictions(tmp_path / "p.parquet").task_names == ("accuracy", "epoch", "activation")
