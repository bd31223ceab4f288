"""``run`` and ``search`` misused: parameters out of range, zoos without rows, places that are taken."""

import os
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench.data.manifest import SplitCount, file_entry, read_manifest, write_manifest
from zoobench.errors import ZoobenchError
from zoobench.files import locked
from zoobench.predictors import fitted, search
from zoobench.predictors.run import Selection, run
from zoobench.scoring.harness import evaluate
from zoobench.zoos import resolve


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gbm", "--seed", "-1"], "parameter 'seed' is -1; it must lie between 0 and "),
        (["gbm", "--seed", "9" * 40], "parameter 'seed' is 9999999999"),
        (["gbm", "--param", "num_leaves=1000000000"], "parameter 'num_leaves' is 1000000000; it must lie between 2"),
        (["gbm", "--param", "learning_rate=nan"], "parameter 'learning_rate' is nan"),
        (["gbm", "--param", "max_trees=1e30"], "'max_trees' of baseline 'gbm' takes int, not '1e30'"),
        (["gbm", "--param", f"max_trees={'x' * 500}"], "xxx…'"),
        (["dnn", "--param", "layers=1000000000"], "parameter 'layers' is 1000000000"),
        (["dnn", "--param", "device=gpu0"], "baseline 'dnn' cannot learn from tetris-zoo-tiny/seed: "),
        (["comvex", "--param", "hidden_layers=1000000000"], "parameter 'hidden_layers' is 1000000000"),
        (["comvex", "--param", "batch_size=0"], "parameter 'batch_size' is 0; it must lie between 1"),
        (["hyperrep", "--param", "temperature=inf"], "parameter 'temperature' is inf"),
        (["hyperrep", "--param", "width=10", "--param", "heads=4"], "a width of 10 cannot be shared by 4 heads"),
        (["pca", "--param", "components=0"], "parameter 'components' is 0"),
        (["linear", "--protocol", "nfm"], "unknown protocol 'nfm'; did you mean 'nfn'?"),
        (["linear", "--protocol", "nfn"], "tetris-zoo-tiny/seed has no rows of protocol 'nfn'"),
        (["linear", "--protocol", "final", "--perturbed", "x"], "copies of the test split; leave out --protocol"),
    ],
)
def test_what_a_method_cannot_do_is_one_line(zoobench, tiny, tmp_path, arguments, message):
    outcome = zoobench("run", *arguments, "--zoo", tiny.id, "--out", tmp_path / "p.parquet")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err
    assert len(outcome.err) < 400
    assert list(tmp_path.iterdir()) == []


def small_zoo(tiny_hyp_home, home, keep):
    """A zoo with the first rows of each split alone, as many as ``keep`` says."""
    folder = Path(shutil.copytree(tiny_hyp_home / "tetris-zoo-tiny", home / "tetris-zoo-tiny"))
    manifest = read_manifest(folder)
    config = manifest.configs["hyp"]
    for split, rows in keep.items():
        for path in [*(folder / "hyp").glob(f"{split}-*.parquet"), folder / "labels" / "hyp" / f"{split}.parquet"]:
            pq.write_table(
                pa.Table.from_batches(pq.read_table(path).slice(0, rows).to_batches(), pq.read_schema(path)), path
            )
    listed = [entry.path for entry in config.files if not entry.path.startswith("references/")]
    files = [file_entry(folder, folder / path) for path in listed]
    splits = {name: SplitCount(runs=1, rows=keep.get(name, count.rows)) for name, count in config.splits.items()}
    changed = config.model_copy(update={"files": files, "splits": splits})
    write_manifest(folder, manifest.model_copy(update={"configs": {"hyp": changed}}))
    return resolve("tetris-zoo-tiny/hyp")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_rows_is_one_line(tiny_hyp_home, tmp_path, monkeypatch, zoobench, split):
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    zoo = small_zoo(tiny_hyp_home, tmp_path / "home", {split: 0})
    outcome = zoobench("run", "linear", "--zoo", zoo.id, "--out", tmp_path / "p.parquet")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"has no row in its {split} split" in outcome.err


@pytest.mark.parametrize(
    "baseline", [("linear",), ("gbm", "--param", "max_trees=20"), ("dnn", "--param", "max_epochs=3"), ("pca",)]
)
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.filterwarnings("ignore:R\\^2 score is not well-defined")
def test_a_zoo_of_a_row_or_two_is_learned_or_refused_in_one_line(
    tiny_hyp_home, tmp_path, monkeypatch, zoobench, baseline, rows
):
    """Of one class, one run, one value."""
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    zoo = small_zoo(tiny_hyp_home, tmp_path / "home", dict.fromkeys(("train", "validation", "test"), rows))
    outcome = zoobench("run", *baseline, "--zoo", zoo.id, "--out", tmp_path / "p.parquet")
    if outcome.code:
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        return
    assert len(pd.read_parquet(tmp_path / "p.parquet")) == rows
    evaluate(tmp_path / "p.parquet")


def test_a_class_that_all_train_rows_have_is_predicted(tiny_hyp_home, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    zoo = small_zoo(tiny_hyp_home, tmp_path / "home", {"train": 2})
    found = run("linear", zoo, {}, tmp_path / "p.parquet", only=["activation"], keep=tmp_path / "model")
    assert found["activation"].nunique() == 1
    assert fitted.predict(tmp_path / "model", [], tmp_path / "q.parquet").equals(found)


def test_two_runs_do_not_write_one_file(tiny, tmp_path):
    out = tmp_path / "p.parquet"
    with locked(out), pytest.raises(ZoobenchError, match=f"is being written by process {os.getpid()}"):
        run("linear", tiny, {}, out)
    run("linear", tiny, {}, out)
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


def test_files_that_are_not_of_a_saved_model_are_not_replaced(tiny, tmp_path):
    model = tmp_path / "model"
    run("linear", tiny, {}, tmp_path / "p", keep=model)
    (model / "thesis.tex").write_text("\\chapter{}")
    with pytest.raises(ZoobenchError, match=r"holds thesis\.tex beside a saved predictor"):
        run("gbm", tiny, {"max_trees": "2"}, tmp_path / "p", keep=model)
    assert (model / "thesis.tex").read_text() == "\\chapter{}"
    (model / "thesis.tex").unlink()
    (tmp_path / "link").symlink_to("model")
    run("gbm", tiny, {"max_trees": "2"}, tmp_path / "p", keep=tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert fitted.load(model).baseline == "gbm"


@pytest.mark.parametrize("name", ["a?b.db", "100%.db", "a#b;c.db", "{x} & y.db"])
def test_trials_are_kept_at_the_path_that_was_given(tiny, tmp_path, name):
    selection = Selection(1, tmp_path / name)
    run("gbm", tiny, {"max_trees": "2"}, tmp_path / "p", only=["accuracy"], selection=selection)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "p", "p-chosen.json"])
    with sqlite3.connect(tmp_path / name) as database:
        assert database.execute("select count(*) from trials").fetchone() == (1,)


def test_a_database_of_trials_that_cannot_be_used_is_one_line(tiny, tmp_path, monkeypatch):
    """A folder, other content, one that another process holds, one whose trials somebody changed."""

    def refusal(storage):
        selection = Selection(1, storage)
        with pytest.raises(ZoobenchError) as error:
            run("gbm", tiny, {"max_trees": "2"}, tmp_path / "p", only=["accuracy"], selection=selection)
        assert "\n" not in str(error.value)
        return str(error.value)

    monkeypatch.setattr(search, "_LOCKED_SECONDS", 0.1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no database" * 100)
    for name in ("folder", "text", "missing/x.db"):
        assert f"cannot keep trials in {tmp_path / name} (" in refusal(tmp_path / name)
    selection = Selection(1, tmp_path / "t.db")
    run("gbm", tiny, {"max_trees": "2"}, tmp_path / "p", only=["accuracy"], selection=selection)
    with sqlite3.connect(tmp_path / "t.db") as database:
        database.execute("begin exclusive")
        assert "database is locked" in refusal(tmp_path / "t.db")
        database.rollback()
        database.execute("update trial_user_attributes set value_json = '5'")
    assert "cannot keep trials in" in refusal(tmp_path / "t.db")


def test_a_record_of_trials_that_cannot_be_written_is_one_line(zoobench, tiny, tmp_path):
    (tmp_path / "p-chosen.json").mkdir()
    search_few = ("--trials", "1", "--param", "max_trees=2", "--task", "accuracy")
    outcome = zoobench("run", "gbm", "--zoo", tiny.id, "--out", tmp_path / "p.parquet", *search_few)
    assert (outcome.code, outcome.err) == (2, f"error: cannot write {tmp_path}/p-chosen.json: Is a directory\n")
