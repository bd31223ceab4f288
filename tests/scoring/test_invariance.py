import numpy as np
import pandas as pd
import pytest

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.scoring.harness import evaluate


@pytest.fixture
def labels(tiny_hyp):
    return hub.load_labels(tiny_hyp, "test").frame


@pytest.fixture
def predictions(tiny_hyp, labels):
    return pd.DataFrame(
        {
            "zoo": tiny_hyp.id,
            "example_id": labels["example_id"],
            "accuracy": labels["test_accuracy"],
            "activation": labels["activation"],
        }
    )


@pytest.fixture
def perturbed(predictions, labels):
    """One perturbation that moves accuracies by 0.1, one of the ReLU networks alone that turns two classes."""
    moved = predictions.assign(accuracy=predictions["accuracy"] + np.where(np.arange(len(labels)) % 2, 0.1, -0.1))
    relu = predictions[labels["activation"] == "relu"].copy()
    relu.iloc[:2, relu.columns.get_loc("activation")] = "tanh"
    return pd.concat([moved.assign(perturbation="scale-2"), relu.assign(perturbation="relu-scaling")])


def write(path, frame):
    frame.to_parquet(path)
    return path


def test_changes_are_means_of_absolute_differences(predictions, perturbed, labels):
    (result,) = evaluate(predictions, against=perturbed.sample(frac=1, random_state=0)).results
    changes = {change.perturbation: change for change in result.perturbed}
    assert changes["scale-2"].changes["accuracy"].value == pytest.approx(0.1)
    assert changes["scale-2"].changes["activation"].value == 0
    relu = int((labels["activation"] == "relu").sum())
    assert (changes["relu-scaling"].rows, changes["scale-2"].rows) == (relu, len(labels))
    assert changes["relu-scaling"].changes["activation"].value == pytest.approx(2 / relu)
    assert changes["relu-scaling"].changes["accuracy"].value == 0
    score = changes["relu-scaling"].changes["activation"]
    assert score.low <= score.value <= score.high
    assert [changes[name].preserves for name in ("scale-2", "relu-scaling")] == [False, True]


def test_only_networks_that_the_protocol_scores_count(predictions, perturbed, labels):
    final = labels["epoch"] == labels["epoch"].max()
    results = evaluate(predictions, protocols=["final", "tanh"], against=perturbed).results
    assert {change.perturbation: change.rows for change in results[0].perturbed} == {
        "scale-2": final.sum(),
        "relu-scaling": (final & (labels["activation"] == "relu")).sum(),
    }
    assert [change.perturbation for change in results[1].perturbed] == ["scale-2"]


def test_a_sample_of_the_networks_is_enough(predictions, perturbed):
    (result,) = evaluate(predictions, against=perturbed.iloc[:5]).results
    assert [(change.perturbation, change.rows) for change in result.perturbed] == [("scale-2", 5)]


def test_it_is_printed_and_written(predictions, perturbed, tmp_path, zoobench):
    paths = write(tmp_path / "p.parquet", predictions), write(tmp_path / "a.parquet", perturbed)
    outcome = zoobench("evaluate", "--predictions", paths[0], "--against", paths[1])
    assert outcome.code == 0, outcome.err
    assert "mean absolute change" in outcome.out
    assert outcome.out.index("relu-scaling") < outcome.out.index("scale-2")


BAD = {
    "an unknown perturbation": (
        lambda f: f.assign(perturbation="scale-3"),
        "unknown perturbation 'scale-3'; did you mean 'scale-2'?",
    ),
    "no column perturbation": (lambda f: f.drop(columns="perturbation"), "has no column 'perturbation'"),
    "another zoo": (lambda f: f.assign(zoo="tetris-zoo/seed"), "predicts accuracy of tetris-zoo/seed, trained on"),
    "another task": (lambda f: f.assign(epoch=1), "predicts epoch of tetris-zoo-tiny/hyp, trained on"),
    "an id twice": (lambda f: pd.concat([f, f.iloc[:1]]), "1 example id of tetris-zoo-tiny/hyp is repeated"),
    "an id of nowhere": (lambda f: f.assign(example_id="x/001"), "are not in the test split: x/001"),
    "NaN": (lambda f: f.assign(accuracy=np.nan), "is NaN or infinite in"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_held_against_the_predictions(case, predictions, perturbed, tmp_path, zoobench):
    change, message = BAD[case]
    paths = write(tmp_path / "p.parquet", predictions), write(tmp_path / "a.parquet", change(perturbed))
    outcome = zoobench("evaluate", "--predictions", paths[0], "--against", paths[1], "--json", tmp_path / "r.json")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err
    assert not (tmp_path / "r.json").exists()


def test_several_seeds_cannot_be_held_against_one_file(predictions, perturbed, tmp_path):
    paths = [write(tmp_path / f"p-seed{seed}.parquet", predictions) for seed in (1, 2)]
    with pytest.raises(ZoobenchError, match="can be held against the predictions of one seed, not of several"):
        evaluate(paths, against=perturbed)


def test_a_baseline_predicts_perturbed_copies_and_is_held_against_itself(tiny, tmp_path, zoobench):
    """Statistics of a layer do not depend on the order within its tensors; flat weights do."""
    assert zoobench("perturb", tiny.id, "--out", tmp_path / "copies").code == 0
    changes = {}
    for features in ("stats", "W"):
        out = tmp_path / f"{features}.parquet"
        options = ("--zoo", tiny.id, "--features", features, "--out", out, "--perturbed", tmp_path / "copies")
        outcome = zoobench("run", "linear", *options)
        assert outcome.code == 0, outcome.err
        (result,) = evaluate(out, against=tmp_path / f"{features}-perturbed.parquet").results
        found = {change.perturbation: change.changes["accuracy"].value for change in result.perturbed}
        changes[features] = found
    assert changes["stats"]["neuron-permutation"] == pytest.approx(0, abs=1e-6)
    assert changes["stats"]["layer-permutation"] == pytest.approx(0, abs=1e-6)
    assert changes["stats"]["scale-10"] > 1e-3
    assert min(changes["W"].values()) > 1e-3


def test_copies_of_a_zoo_that_is_not_predicted(tiny, tiny_hyp_home, tmp_path, zoobench, monkeypatch):
    assert zoobench("perturb", tiny.id, "--out", tmp_path / "copies", "--sample", 3).code == 0
    monkeypatch.setenv("ZOOBENCH_DATA", str(tiny_hyp_home))
    options = ("--zoo", "tetris-zoo-tiny/hyp", "--out", tmp_path / "p.parquet", "--perturbed", tmp_path / "copies")
    outcome = zoobench("run", "linear", *options)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "holds copies of tetris-zoo-tiny/seed, which is not predicted here; name it with --on" in outcome.err
