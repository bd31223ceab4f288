"""The split that later papers make of the Small CNN Zoo: imported_archive, learned from, scored."""

import random

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import kendalltau

from zoobench import load_zoo
from zoobench.data.manifest import file_entry, read_manifest, write_manifest
from zoobench.scoring.harness import evaluate
from zoobench.zoos.splits import SPLITS

from . import keras_like
from .keras_like import ROWS, RUNS, rows_of


def nfn_reference(metrics, lines):
    """The loader of the later papers, from its description: (modeldir, step) by split."""
    shuffled = metrics.iloc[[int(line) for line in lines]]
    final = shuffled[shuffled["step"] == 86].reset_index(drop=True)
    point = int(0.5 * len(final))
    trainval = list(range(point))
    random.Random(0).shuffle(trainval)
    cut = int(0.8 * len(trainval))
    chosen = {"train": trainval[:cut], "validation": trainval[cut:], "test": range(point, len(final))}
    return {split: sorted(final["modeldir"][list(rows)].str.rstrip("/")) for split, rows in chosen.items()}


@pytest.mark.parametrize("first", ["of epoch 86", "of another epoch"])
def test_the_split_of_later_papers_with_its_header_read_as_a_row(archive, tmp_path, zoobench, first, monkeypatch):
    """Row 0 stands in the header and among the indices: it comes twice if it is of epoch 86."""
    final = (archive.metrics["step"] == 86).to_numpy()
    swap = int(np.flatnonzero(final == (first == "of epoch 86"))[0])
    order = np.arange(ROWS)
    order[[0, swap]] = order[[swap, 0]]
    metrics = archive.metrics.iloc[order].reset_index(drop=True)
    folder = keras_like.write(tmp_path / "a", archive.weights[order], metrics)
    lines = ["0", *map(str, np.random.RandomState(1).permutation(ROWS))]
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    outcome = zoobench(
        "import", "small-cnn-zoo", folder, "--out", tmp_path / "out", "--nfn-split", tmp_path / "split.csv"
    )
    assert outcome.code == 0, outcome.err
    dataset = tmp_path / "out" / "small-cnn-zoo"
    stored = pq.read_table(dataset / "protocols" / "mnist" / "nfn.parquet").to_pandas()
    found = {
        split: sorted(stored.loc[stored["split"] == split, "example_id"].str.removesuffix("/086")) for split in SPLITS
    }
    assert found == nfn_reference(metrics, lines)
    assert len(stored) == (RUNS + 1 if first == "of epoch 86" else RUNS)
    assert read_manifest(dataset).configs["mnist"].has_file("protocols/mnist/nfn.parquet")
    assert zoobench("verify", dataset, "--sample", "0").code == 0
    assert "Protocol `nfn`" in (dataset / "README.md").read_text()
    final = metrics[metrics["step"] == 86]
    test = final.set_index(final["modeldir"].str.rstrip("/")).loc[found["test"]]
    predictions = pd.DataFrame({"zoo": "small-cnn-zoo/mnist", "example_id": [f"{run}/086" for run in test.index]})
    predictions["accuracy"] = np.random.RandomState(0).uniform(size=len(test))
    predictions.to_parquet(tmp_path / "preds.parquet")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "out"))
    (result,) = evaluate(tmp_path / "preds.parquet", protocols=["nfn"]).results
    expected = kendalltau(test["test_accuracy"], predictions["accuracy"]).statistic
    assert (result.rows, result.stamp.protocol) == (len(stored) - len(stored) // 2, "nfn")
    assert result.tasks["accuracy"].scores["kendall_tau"].value == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [f"0\n{10**14}\n", "0\n-1\n", "1e400\n", "0\n1\n2\n", "0\n" + "\n".join(map(str, range(ROWS + 6))), "a\nb\n"],
)
def test_a_permutation_of_another_archive_is_refused(archive, tmp_path, zoobench, text):
    (tmp_path / "split.csv").write_text(text)
    outcome = zoobench(
        "import", "small-cnn-zoo", archive.folder, "--out", tmp_path / "out", "--nfn-split", tmp_path / "split.csv"
    )
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "permutation" in outcome.err
    assert not (tmp_path / "out").exists()


def with_nfn(archive, folder, zoobench, damage):
    """An import with the split of later papers (in the order of the runs), after ``damage(weights, metrics)``."""
    weights, metrics = archive.weights.copy(), archive.metrics.copy()
    damage(weights, metrics)
    released = keras_like.write(folder / "a", weights, metrics)
    (folder / "split.csv").write_text("\n".join(["0", *map(str, np.random.RandomState(1).permutation(ROWS))]) + "\n")
    outcome = zoobench(
        "import", "small-cnn-zoo", released, "--out", folder / "out", "--nfn-split", folder / "split.csv"
    )
    assert outcome.code == 0, outcome.err
    dataset = folder / "out" / "small-cnn-zoo"
    return dataset, pq.read_table(dataset / "protocols" / "mnist" / "nfn.parquet").to_pandas()


def row_of(metrics, run, epoch):
    return metrics.index[(metrics["modeldir"] == f"/zoo/models/{run}/") & (metrics["step"] == epoch)][0]


def test_a_checkpoint_that_is_not_finite_takes_no_row_from_the_split_of_later_papers(archive, tmp_path, zoobench):
    """Two runs with a broken early checkpoint stay without it; a run whose last one is broken goes, and is counted."""

    def damage(weights, metrics):
        weights[row_of(metrics, "003", 1)] = np.inf
        metrics.loc[row_of(metrics, "004", 2), "test_accuracy"] = np.nan
        weights[row_of(metrics, "005", 86), 7] = np.nan

    dataset, stored = with_nfn(archive, tmp_path, zoobench, damage)
    assert sorted(set(stored["example_id"])) == [f"/zoo/models/{k:03d}/086" for k in range(RUNS) if k != 5]
    config = read_manifest(dataset).configs["mnist"]
    assert (config.runs, [run.run_id for run in config.dropped]) == (RUNS - 1, ["/zoo/models/005"])
    assert config.rows == ROWS - 4 - 2
    card = (dataset / "README.md").read_text()
    for note in (
        "2 checkpoints are left out of runs that are not dropped, since a named protocol takes other checkpoints of "
        "them: /zoo/models/004/002 (test accuracy not finite), /zoo/models/003/001 (weights not finite).",
        f"Protocol `nfn` lacks 1 of its {len(stored) + 1} rows, whose runs are dropped (weights not finite).",
    ):
        assert note in config.release.notes
        assert note in card
    assert zoobench("verify", dataset, "--sample", "0").code == 0


@pytest.fixture
def split_of_papers(archive, tmp_path, zoobench, monkeypatch):
    """The zoo, and its example ids by split of the papers."""
    dataset, stored = with_nfn(archive, tmp_path, zoobench, lambda weights, metrics: None)
    monkeypatch.setenv("ZOOBENCH_DATA", str(dataset.parent))
    once = stored.drop_duplicates("example_id")
    return {split: once.loc[once["split"] == split, "example_id"].tolist() for split in SPLITS}


def activations(ids):
    return ["relu" if int(name[12:15]) % 2 == 0 else "tanh" for name in ids]


def test_rows_of_the_split_of_later_papers_are_loaded_with_their_weights(split_of_papers, imported_archive, zoobench):
    rows = rows_of(imported_archive)
    sizes = {split: len(ids) for split, ids in split_of_papers.items()}
    for split, ids in split_of_papers.items():
        found = load_zoo("small-cnn-zoo/mnist", split=split, protocol="nfn")
        assert sorted(found.labels["example_id"]) == sorted(ids)
        assert found.labels["test_accuracy"].tolist() == [
            rows[name]["test_accuracy"] for name in found.labels["example_id"]
        ]
        expected = np.array([rows[name]["weights"] for name in found.labels["example_id"]], np.float32)
        assert np.array_equal(found.weights, expected)
    assert sizes["test"] == 6
    relu = load_zoo("small-cnn-zoo/mnist", "test", ["activation"], protocol="nfn-relu")
    assert set(relu.labels["activation"]) == {"relu"}
    assert len(relu.weights) == activations(split_of_papers["test"]).count("relu")
    assert list(relu.labels) == ["activation"]


def test_a_baseline_is_trained_by_the_split_of_later_papers_and_scored_by_it_and_its_strata(
    split_of_papers, tmp_path, zoobench
):
    out, model = tmp_path / "p.parquet", tmp_path / "model"
    what = ("--zoo", "small-cnn-zoo/mnist", "--task", "accuracy", "--out", out)
    ran = zoobench("run", "linear", *what, "--protocol", "nfn", "--save", model)
    assert ran.code == 0, ran.err
    assert "they are of protocol nfn: zoobench evaluate" in ran.out
    test = split_of_papers["test"]
    predicted = pd.read_parquet(out)
    assert sorted(predicted["example_id"]) == sorted(test)
    assert pq.read_schema(out).metadata[b"zoobench.protocol"] == b"nfn"
    train = load_zoo("small-cnn-zoo/mnist", "train", protocol="nfn")
    assert predicted["accuracy"].between(train.labels["test_accuracy"].min(), train.labels["test_accuracy"].max()).all()
    for name in ("nfn", "nfn-relu", "nfn-tanh"):
        (result,) = evaluate(out, protocols=[name]).results
        assert result.rows == (len(test) if name == "nfn" else activations(test).count(name[4:]))
    again = zoobench("predict", "--model", model, "--out", tmp_path / "q.parquet")
    assert again.code == 0, again.err
    assert (tmp_path / "q.parquet").read_bytes() == out.read_bytes()
    refused = zoobench("evaluate", "--predictions", out)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    for kind in ("relu", "tanh"):
        stratum = zoobench("run", "linear", *what, "--protocol", f"nfn-{kind}")
        if kind in activations(split_of_papers["validation"]):
            assert stratum.code == 0, stratum.err
            assert evaluate(out, protocols=[f"nfn-{kind}"]).results[0].rows == activations(test).count(kind)
        else:
            assert f"protocol 'nfn-{kind}' leaves no validation row of small-cnn-zoo/mnist" in stratum.err


def test_predictions_by_the_fixed_split_are_refused_at_the_split_of_later_papers(split_of_papers, tmp_path, zoobench):
    """Its test rows are among those that were learned from."""
    out = tmp_path / "p.parquet"
    assert zoobench("run", "linear", "--zoo", "small-cnn-zoo/mnist", "--task", "accuracy", "--out", out).code == 0
    for name in ("nfn", "nfn-tanh"):
        outcome = zoobench("evaluate", "--predictions", out, "--protocol", name)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "zoobench run NAME --zoo small-cnn-zoo/mnist --protocol nfn learns from those" in outcome.err


def test_a_protocol_file_of_a_stranger_is_one_line(split_of_papers, tmp_path, zoobench):
    folder = tmp_path / "out" / "small-cnn-zoo"
    path = folder / "protocols" / "mnist" / "nfn.parquet"
    for frame, message in (
        (pd.DataFrame({"example_id": ["x/001"], "split": ["test"]}), "names 1 rows that small-cnn-zoo/mnist does not"),
        (pd.DataFrame({"example_id": ["x/001"], "split": ["tset"]}), "names rows of the split 'tset'"),
        (pd.DataFrame({"example_id": ["x/001"]}), "has no column 'split'"),
    ):
        frame.to_parquet(path)
        manifest = read_manifest(folder)
        config = manifest.configs["mnist"]
        files = [file_entry(folder, folder / entry.path) for entry in config.files]
        changed = config.model_copy(update={"files": files})
        write_manifest(folder, manifest.model_copy(update={"configs": {"mnist": changed}}))
        outcome = zoobench(
            "run", "linear", "--zoo", "small-cnn-zoo/mnist", "--protocol", "nfn", "--out", tmp_path / "p.parquet"
        )
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
        assert message in outcome.err
