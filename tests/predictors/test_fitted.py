import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from zoobench.building.build import build
from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.predictors import fitted, predictor
from zoobench.predictors.run import Selection, run
from zoobench.zoos import resolve

QUICK = {
    "linear": {},
    "gbm": {"max_trees": "5"},
    "dnn": {"max_epochs": "1"},
    "comvex": {"max_epochs": "1"},
    "hyperrep": {"epochs": "1", "width": "16"},
}


@pytest.mark.parametrize("baseline", sorted(QUICK))
def test_a_saved_baseline_predicts_the_same_in_a_fresh_process(tiny_hyp, tmp_path, baseline):
    """Numbers, classes of two and of many; once with one predictor, and with parameters of its own for a task."""
    run(baseline, tiny_hyp, QUICK[baseline], tmp_path / "before.parquet", keep=tmp_path / "model")
    command = [
        sys.executable,
        "-m",
        "zoobench",
        "predict",
        "--model",
        tmp_path / "model",
        "--out",
        tmp_path / "after.parquet",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "after.parquet").read_bytes() == (tmp_path / "before.parquet").read_bytes()
    assert not [path for path in (tmp_path / "model").rglob("*") if path.suffix in (".pkl", ".pt", ".bin", ".joblib")]


def test_each_task_keeps_the_parameters_that_were_chosen_for_it(tiny_hyp, tmp_path):
    selection = Selection(4)
    tasks = ["accuracy", "init", "learning_rate", "epoch"]
    parameters = {"max_trees": "5"}
    before = run("gbm", tiny_hyp, parameters, tmp_path / "p", only=tasks, selection=selection, keep=tmp_path / "model")
    chosen = json.loads((tmp_path / "p-chosen.json").read_text())["chosen"]
    parts = fitted.load(tmp_path / "model").parts
    assert len(parts) == len({found["trial"] for found in chosen.values()}) > 1
    for part in parts:
        for task in part.tasks:
            assert dict(part.parameters) == chosen[task]["parameters"]
    assert fitted.predict(tmp_path / "model", [], tmp_path / "q").equals(before)


def test_features_of_hyperparameters_are_seen_again(tiny_hyp, tmp_path):
    before = run(
        "gbm", tiny_hyp, {"features": "lambda+stats", "max_trees": "5"}, tmp_path / "p", keep=tmp_path / "model"
    )
    assert fitted.predict(tmp_path / "model", [], tmp_path / "q").equals(before)


@pytest.fixture(scope="module")
def home(tiny_hyp_home, all_images, tmp_path_factory):
    """A data home of three zoos: the two of Tetris, and one of other networks."""
    copy = tmp_path_factory.mktemp("home")
    shutil.copytree(tiny_hyp_home, copy, dirs_exist_ok=True)
    for zoo in ("tetris-zoo-tiny/seed", "mnist-zoo-tiny/seed"):
        build(resolve(zoo), copy, images_folder=all_images)
    return copy


@pytest.fixture
def zoos(home, monkeypatch):
    monkeypatch.setenv("ZOOBENCH_DATA", str(home))
    return [resolve(zoo) for zoo in ("tetris-zoo-tiny/seed", "tetris-zoo-tiny/hyp", "mnist-zoo-tiny/seed")]


def test_other_zoos_are_predicted_and_say_who_learned(zoos, tmp_path, zoobench):
    tiny, tiny_hyp, _ = zoos
    run("linear", tiny_hyp, {}, tmp_path / "p", only=["accuracy"], keep=tmp_path / "model")
    out = tmp_path / "q.parquet"
    outcome = zoobench("predict", "--model", tmp_path / "model", "--on", tiny.id, "--on", tiny_hyp.id, "--out", out)
    assert outcome.code == 0, outcome.err
    rows = sum(len(hub.load_labels(zoo, "test").frame) for zoo in (tiny, tiny_hyp))
    assert outcome.out == f"wrote {rows:,} predictions of accuracy to {out}\n"
    found = pd.read_parquet(out)
    assert set(found["trained_on"]) == {tiny_hyp.id}
    assert found["zoo"].unique().tolist() == [tiny.id, tiny_hyp.id]


def test_saving_again_replaces_and_nothing_else_is_overwritten(tiny, tmp_path):
    for alpha in range(2):
        run("linear", tiny, {"features": ("W", "stats")[alpha]}, tmp_path / "p", keep=tmp_path / "model")
    assert fitted.load(tmp_path / "model").parameters == {"features": "stats"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "p"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("\\chapter{}")
    for name in ("thesis", "p"):
        with pytest.raises(ZoobenchError, match=f"{name} is there and is no saved predictor"):
            run("linear", tiny, {}, tmp_path / "q", keep=tmp_path / name)
    assert not (tmp_path / "q").exists()


def test_a_predictor_without_save_is_refused_before_it_is_fitted(tiny, tmp_path, monkeypatch):
    class Constant:
        def fit(self, train, validation):
            raise AssertionError("fitted")

    monkeypatch.setattr(predictor, "_factory", lambda name: Constant)
    with pytest.raises(ZoobenchError, match="'constant' cannot be saved: it has no save and load; leave out --save"):
        run("constant", tiny, {}, tmp_path / "p", keep=tmp_path / "model")


def test_what_cannot_be_loaded_is_one_line(zoos, tmp_path, zoobench):
    tiny, _, other = zoos

    def refusal(*arguments):
        outcome = zoobench("predict", "--model", tmp_path / "model", "--out", tmp_path / "q.parquet", *arguments)
        assert outcome.code == 2
        assert not (tmp_path / "q.parquet").exists()
        assert outcome.err.count("\n") == 1
        return outcome.err

    assert "no predictor in" in refusal()
    run("linear", tiny, {}, tmp_path / "p", keep=tmp_path / "model")
    assert "cannot predict mnist-zoo-tiny/seed (2,464 weights)" in refusal("--on", other.id)
    (tmp_path / "model" / "fitted.safetensors").write_bytes(b"\x00" * 40)
    assert "cannot load the predictor in" in refusal()
    record = json.loads((tmp_path / "model" / "predictor.json").read_text())
    (tmp_path / "model" / "predictor.json").write_text(json.dumps(record | {"baseline": "nobody"}))
    assert "unknown baseline 'nobody'" in refusal()
    (tmp_path / "model" / "predictor.json").write_text("{}")
    assert "is not a predictor's record" in refusal()
