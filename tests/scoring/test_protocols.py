import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import kendalltau
from sklearn.neighbors import KNeighborsRegressor

from zoobench import load_zoo
from zoobench.building.build import build
from zoobench.data import hub
from zoobench.data.manifest import file_entry, read_manifest, write_manifest
from zoobench.errors import ZoobenchError
from zoobench.scoring import protocols
from zoobench.scoring.harness import evaluate
from zoobench.scoring.protocols import NAMES, Protocol, Rows, rows_of, sensible
from zoobench.zoos import resolve


@pytest.fixture(scope="module")
def home(tiny_hyp_home, tmp_path_factory):
    """No configuration has both its seeds in the test split: some runs are given one of their own, in the labels."""
    home = tmp_path_factory.mktemp("hyp")
    folder = Path(shutil.copytree(tiny_hyp_home / "tetris-zoo-tiny", home / "tetris-zoo-tiny"))
    path = folder / "labels" / "hyp" / "test.parquet"
    labels = pq.read_table(path)
    configs = [f"{config}-new" if int(config[-1], 16) % 2 else config for config in labels["config_id"].to_pylist()]
    pq.write_table(labels.set_column(labels.schema.get_field_index("config_id"), "config_id", pa.array(configs)), path)
    manifest = read_manifest(folder)
    files = [file_entry(folder, folder / entry.path) for entry in manifest.configs["hyp"].files]
    changed = manifest.configs["hyp"].model_copy(update={"files": files})
    write_manifest(folder, manifest.model_copy(update={"configs": {"hyp": changed}}))
    return home


@pytest.fixture
def zoo(home, monkeypatch):
    monkeypatch.setenv("ZOOBENCH_DATA", str(home))
    return resolve("tetris-zoo-tiny/hyp")


@pytest.fixture
def predictions(zoo, tmp_path):
    """Noisy accuracies and guessed activations of the test split."""
    labels = hub.load_labels(zoo, "test").frame
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "zoo": zoo.id,
            "example_id": labels["example_id"],
            "accuracy": labels["test_accuracy"] + 0.2 * rng.normal(size=len(labels)),
            "activation": np.where(rng.uniform(size=len(labels)) < 0.7, labels["activation"], "relu"),
        }
    )
    path = tmp_path / "preds.parquet"
    frame.to_parquet(path)
    return path


def expected_rows(zoo, name):
    """Each protocol by its description, row by row."""
    frames = {split: hub.load_labels(zoo, split).frame for split in ("train", "validation", "test")}
    seen = set(frames["train"]["config_id"]) | set(frames["validation"]["config_id"])
    keep = {
        "all": lambda row: True,
        "final": lambda row: row.epoch == 4,
        "relu": lambda row: row.activation == "relu",
        "tanh": lambda row: row.activation == "tanh",
        "config-disjoint": lambda row: row.config_id not in seen,
    }[name]
    return [row.example_id for row in frames["test"].itertuples() if keep(row)]


@pytest.mark.parametrize("name", ["all", "final", "relu", "tanh", "config-disjoint"])
def test_a_protocol_scores_the_rows_of_its_description(zoo, predictions, name):
    ids = expected_rows(zoo, name)
    assert rows_of(name, zoo).labels["example_id"].tolist() == ids
    (result,) = evaluate(predictions, protocols=[name]).results
    assert (result.stamp.protocol, result.rows) == (name, len(ids))
    frame = pd.read_parquet(predictions).set_index("example_id").loc[ids]
    target = hub.load_labels(zoo, "test").frame.set_index("example_id").loc[ids]
    expected = kendalltau(target["test_accuracy"], frame["accuracy"]).statistic
    assert result.tasks["accuracy"].scores["kendall_tau"].value == pytest.approx(expected, rel=1e-9)
    right = (target["activation"] == frame["activation"]).mean()
    assert result.tasks["activation"].scores["accuracy"].value == pytest.approx(right)
    assert result.tasks["activation"].confusion.classes == ["relu", "tanh"]
    assert sum(map(sum, result.tasks["activation"].confusion.counts)) == len(ids)


def test_several_protocols_are_scored_in_one_call(predictions, zoobench):
    outcome = zoobench("evaluate", "--predictions", predictions, "--protocol", "all", "--protocol", "final")
    assert outcome.code == 0, outcome.err
    assert "protocol all" in outcome.out
    assert "protocol final" in outcome.out
    assert "macro-F1" in outcome.out


def test_predictions_of_a_protocols_rows_alone_are_enough(zoo, predictions):
    whole = evaluate(predictions, protocols=["final"]).results[0]
    frame = pd.read_parquet(predictions)
    frame[frame["example_id"].str.endswith("/004")].to_parquet(predictions)
    assert evaluate(predictions, protocols=["final"]).results[0].tasks == whole.tasks
    with pytest.raises(ZoobenchError, match="are missing"):
        evaluate(predictions, protocols=["all"])


def test_a_protocol_that_leaves_nothing_lists_those_that_do(tiny, tmp_path):
    labels = hub.load_labels(tiny, "test").frame
    frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"], "accuracy": 0.5})
    frame.to_csv(tmp_path / "preds.csv", index=False)
    assert sensible(tiny) == ["all", "final", "tanh", "folds"]
    for name in ("relu", "config-disjoint", "nfn"):
        with pytest.raises(ZoobenchError, match="it has: all, final, tanh, folds"):
            evaluate(tmp_path / "preds.csv", protocols=[name])


def test_an_unknown_protocol_is_named(predictions, zoobench):
    outcome = zoobench("evaluate", "--predictions", predictions, "--protocol", "finale")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "unknown protocol 'finale'; did you mean 'final'?" in outcome.err
    assert "final" in NAMES


def test_three_protocols_read_the_manifest_once(zoo, predictions, zoobench, monkeypatch):
    reads = []
    real = Path.read_text

    def read_text(path, *arguments, **named):
        reads.extend([path] * (path.name == "manifest.json"))
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", read_text)
    names = ["--protocol", "all", "--protocol", "final", "--protocol", "config-disjoint"]
    outcome = zoobench("evaluate", "--predictions", predictions, *names)
    assert outcome.code == 0, outcome.err
    assert len(reads) == 1


def test_a_protocol_that_somebody_declares_is_scored_as_the_others_are(zoo, predictions, monkeypatch):
    """Half of the train split, say: without the references, which are of the test split."""

    def half_of_train(zoo, store):
        labels = hub.load_labels(zoo, "train", store)
        return Rows(labels.frame.iloc[::2].reset_index(drop=True), labels.frame["example_id"].iloc[1::2], labels.sha256)

    mine = Protocol("mine", "every other checkpoint of the train runs", half_of_train, references=False)
    monkeypatch.setattr(protocols, "ALL", (*protocols.ALL, mine))
    monkeypatch.setitem(protocols.BY_NAME, "mine", mine)
    labels = hub.load_labels(zoo, "train")
    frame = pd.DataFrame({"zoo": zoo.id, "example_id": labels.frame["example_id"], "accuracy": 0.5})
    (result,) = evaluate(frame, protocols=["mine"]).results
    assert (result.rows, result.stamp.protocol) == (-(-len(frame) // 2), "mine")
    assert (result.stamp.labels_sha256, result.references) == (labels.sha256, [])
    assert sensible(zoo)[-1] == "mine"
    none = Protocol("none", "what nobody has", lambda zoo, store: None)
    monkeypatch.setitem(protocols.BY_NAME, "none", none)
    with pytest.raises(ZoobenchError, match=r"'none' \(what nobody has\) leaves no checkpoint of .*, mine$"):
        evaluate(frame, protocols=["none"])


@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_the_help_names_every_protocol(zoobench, verb):
    printed = " ".join(zoobench(verb, "--help").out.replace("│", " ").split()).replace("- ", "-")
    assert f"{', '.join(NAMES[:-1])} or {NAMES[-1]}" in printed


def test_an_unknown_class_is_named_with_the_known_ones(predictions, zoobench):
    frame = pd.read_parquet(predictions)
    frame.loc[3, "activation"] = "gelo"
    frame.to_parquet(predictions)
    outcome = zoobench("evaluate", "--predictions", predictions)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"'activation' of {frame['example_id'][3]} is 'gelo', which is no class of tetris-zoo-tiny/hyp (1 rows)" in (
        outcome.err
    )
    assert "its classes are: relu, tanh" in outcome.err


def test_numbers_are_no_classes(predictions, zoobench):
    pd.read_parquet(predictions).assign(activation=1.0).to_parquet(predictions)
    outcome = zoobench("evaluate", "--predictions", predictions)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "column 'activation' holds double, it must hold strings" in outcome.err


@pytest.fixture
def fix_seed(once, images_folder, monkeypatch):
    """Six configurations of five seeds each, split by run: every seed lies in several splits."""
    home = once("fix-seed-home", lambda home: build(resolve("mnist-zoo-tiny/hyp-5-fix-seed"), home, images_folder))
    monkeypatch.setenv("ZOOBENCH_DATA", str(home))
    return resolve("mnist-zoo-tiny/hyp-5-fix-seed")


def test_seed_disjoint_scores_all_runs_of_a_seed_that_is_not_learned_from(fix_seed, tmp_path, zoobench):
    """The seed is the one whose hash, computed here, is the greatest of five."""
    (held_out,) = sorted(range(1, 6), key=lambda seed: hashlib.sha256(
        f"split\n{fix_seed.spec.id}\nseed-{seed}".encode()).hexdigest())[-1:]  # fmt: skip
    frames = {split: hub.load_labels(fix_seed, split).frame for split in ("train", "validation", "test")}
    everything = pd.concat(frames.values())
    scored = rows_of("seed-disjoint", fix_seed)
    assert set(scored.labels["example_id"]) == set(everything.loc[everything["seed"] == held_out, "example_id"])
    for split in ("train", "validation"):
        learned = rows_of("seed-disjoint", fix_seed, split=split).labels
        expected = frames[split][frames[split]["seed"] != held_out]
        assert learned["example_id"].tolist() == expected["example_id"].tolist()
    out = tmp_path / "p.parquet"
    what = ("run", "linear", "--zoo", fix_seed.id, "--task", "accuracy", "--out", out)
    assert zoobench(*what, "--protocol", "seed-disjoint").code == 0
    (result,) = evaluate(out, protocols="seed-disjoint").results
    assert (result.rows, result.runs) == (len(scored.labels), 6)
    assert zoobench(*what).code == 0
    refused = zoobench("evaluate", "--predictions", out, "--protocol", "seed-disjoint")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "--protocol seed-disjoint learns from the other seeds" in refused.err


@pytest.mark.parametrize("splits", ["tiny", "tiny_hyp"])
def test_a_zoo_whose_splits_divide_no_seed_has_no_protocol_for_it(splits, request):
    zoo = request.getfixturevalue(splits)
    assert "seed-disjoint" not in sensible(zoo)
    with pytest.raises(ZoobenchError, match="its splits divide no seed, or all its runs have one"):
        rows_of("seed-disjoint", zoo)


@pytest.mark.parametrize("which", ["tiny", "tiny_hyp"])
def test_folds_are_of_all_runs_and_no_run_or_seed_is_learned_from_and_predicted(which, request):
    """By seed where the zoo's splits are by seed."""
    zoo = request.getfixturevalue(which)
    by = zoo.spec.splits.by + ("_id" if zoo.spec.splits.by == "run" else "")
    assert by == {"tiny": "run_id", "tiny_hyp": "seed"}[which]
    everything = pd.concat(hub.load_labels(zoo, split).frame for split in ("train", "validation", "test"))
    scored = rows_of("folds", zoo)
    assert sorted(scored.labels["example_id"]) == sorted(everything["example_id"])
    predicted = []
    for fold in range(5):
        parts = [rows_of("folds", zoo, split=split, fold=fold).labels for split in ("train", "validation", "test")]
        assert sorted(pd.concat(parts)["example_id"]) == sorted(everything["example_id"])
        undivided = [set(part[by]) for part in parts]
        assert len(set.union(*undivided)) == sum(map(len, undivided))
        sizes = [len(part) for part in undivided]
        groups = everything[by].nunique()
        assert sizes[1] - groups // 5 in (0, 1)
        assert sizes[2] - groups // 5 in (0, 1)
        predicted += parts[2]["example_id"].tolist()
    assert sorted(predicted) == sorted(everything["example_id"])


def test_folds_are_asked_for_by_number_and_only_where_there_are_some(tiny):
    for split, fold, words in (
        ("train", None, "'folds' has train rows of each fold; give a fold, 0 to 4"),
        ("train", 5, "fold 5 of protocol 'folds' does not exist; choose from 0 to 4"),
        ("test", -1, "fold -1 of protocol 'folds'"),
    ):
        with pytest.raises(ZoobenchError, match=words):
            load_zoo(tiny.id, split, protocol="folds", fold=fold)
    with pytest.raises(ZoobenchError, match="protocol 'final' has no folds"):
        load_zoo(tiny.id, protocol="final", fold=0)
    with pytest.raises(ZoobenchError, match="fold 0 is of no protocol"):
        load_zoo(tiny.id, fold=0)
    part = load_zoo(tiny.id, protocol="folds", fold=2)
    assert len(part.weights) == len(part.labels) == len(rows_of("folds", tiny, split="train", fold=2).labels)


def test_fewer_runs_than_folds_have_none(tiny_hyp, monkeypatch):
    labels = {split: hub.load_labels(tiny_hyp, split) for split in ("train", "validation", "test")}
    few = set(labels["test"].frame["seed"]) | set(labels["validation"].frame["seed"])

    def without(zoo, split, store=None):
        return replace(labels[split], frame=labels[split].frame[labels[split].frame["seed"].isin(few)])

    monkeypatch.setattr(hub, "load_labels", without)
    with pytest.raises(ZoobenchError, match="fewer than 5 runs or seeds for protocol 'folds'; it has: all, final"):
        rows_of("folds", tiny_hyp)


def test_every_run_is_predicted_by_what_learned_without_it(tiny, tmp_path, zoobench):
    """As scikit-learn predicts it from the same rows."""
    out = tmp_path / "p.parquet"
    what = ("run", "nearest", "--zoo", tiny.id, "--task", "accuracy", "--out", out)
    outcome = zoobench(*what, "--protocol", "folds")
    assert outcome.code == 0, outcome.err
    assert "--protocol folds" in outcome.out
    predicted = pd.read_parquet(out).set_index("example_id")["accuracy"]
    for fold in range(5):
        train, test = (load_zoo(tiny.id, split, protocol="folds", fold=fold) for split in ("train", "test"))
        nearest = KNeighborsRegressor(1).fit(train.weights, train.labels["test_accuracy"])
        np.testing.assert_allclose(predicted[test.labels["example_id"]], nearest.predict(test.weights), rtol=1e-6)
    (result,) = evaluate(out, protocols="folds").results
    assert (result.runs, result.rows) == (40, len(predicted))
    assert zoobench(*what).code == 0
    refused = zoobench("evaluate", "--predictions", out, "--protocol", "folds")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "each predicted without having learned from its fold: zoobench run NAME" in refused.err


@pytest.mark.parametrize("more", [("--save", "m"), ("--on", "tetris-zoo-tiny/seed")])
def test_the_predictors_of_folds_are_not_kept_nor_asked_of_other_zoos(tiny, tmp_path, zoobench, more):
    out = tmp_path / "p.parquet"
    outcome = zoobench("run", "linear", "--zoo", tiny.id, "--protocol", "folds", "--out", out, *more)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"each for a part of {tiny.id}; leave out {more[0]}" in outcome.err
    assert not out.exists()


def test_a_search_of_each_fold_is_recorded(tiny, tmp_path, zoobench):
    out = tmp_path / "p.parquet"
    outcome = zoobench(
        *("run", "gbm", "--features", "stats", "--param", "max_trees=5", "--zoo", tiny.id, "--task", "accuracy"),
        *("--trials", "2", "--storage", tmp_path / "s.db", "--protocol", "folds", "--out", out),
    )
    assert outcome.code == 0, outcome.err
    record = json.loads((tmp_path / "p-chosen.json").read_text())
    assert record["protocol"] == "folds"
    assert [len(part["trials"]) for part in record["folds"]] == [2] * 5
    assert len({part["trials"][0]["scores"]["accuracy"] for part in record["folds"]}) == 5
