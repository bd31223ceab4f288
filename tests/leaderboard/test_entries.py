import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from zoobench.building.build import build
from zoobench.data import hub
from zoobench.predictors import predictor
from zoobench.predictors.examples import learnable
from zoobench.zoos import ALL, Zoo, resolve
from zoobench_leaderboard.entries import BY_NAME, ENTRIES, SEEDS, lay_down, learned
from zoobench_leaderboard.pin import pin
from zoobench_leaderboard.score import score_submission
from zoobench_leaderboard.submission import read_submission
from zoobench_leaderboard.targets import labels_of


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entries_are_baselines_with_parameters_that_they_have(entry):
    made = predictor.create(entry.baseline, entry.parameters)
    # LightGBM draws nothing by default, and principal components draw for the other kernels alone.
    assert entry.random == hasattr(made, "seed") or entry.baseline in ("gbm", "pca")
    assert any(entry.covers(Zoo(spec, "full")) for spec in ALL)
    assert (Path(__file__).resolve().parents[2] / entry.description({}).code / "__init__.py").exists()


def test_a_random_method_has_a_file_for_each_seed_and_none_is_made_twice(tiny, tmp_path):
    entry = BY_NAME["comvex-linear"]
    made = lay_down(tmp_path, entry, [tiny], again=False)
    folder = tmp_path / "submissions" / "comvex-linear" / "tetris-zoo-tiny"
    assert made == [folder / f"seed-seed{seed}.parquet" for seed in SEEDS]
    first, second, *_ = (pd.read_parquet(path) for path in made)
    assert not first.equals(second)
    assert lay_down(tmp_path, entry, [tiny], again=False) == []
    assert read_submission(folder.parent).description.method == "ComVeX-Linear"


def test_the_command_in_the_description_makes_the_same_predictions(tiny, tmp_path, zoobench):
    (made,) = lay_down(tmp_path, BY_NAME["gbm-stats"], [tiny])
    command = yaml.safe_load((made.parents[1] / "submission.yaml").read_text())["command"]
    words = command.replace("ZOO.parquet", str(tmp_path / "again.parquet")).replace("ZOO", tiny.id).split()
    assert words[:2] == ["zoobench", "run"]
    outcome = zoobench(*words[1:])
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "again.parquet").read_bytes() == made.read_bytes()


def test_flat_weights_of_large_networks_are_left_out():
    large, small = resolve("cnn-zoo-2/mnist"), resolve("tetris-zoo/seed")
    assert [BY_NAME["gbm-w"].covers(zoo) for zoo in (large, small)] == [False, True]
    assert BY_NAME["gbm-stats"].covers(large)


def test_parameters_by_repo_are_all_in_the_description_and_other_repos_are_left_out():
    entry = BY_NAME["hyperrep"]
    tetris, large = resolve("tetris-zoo/seed"), resolve("cnn-zoo-2/mnist")
    assert [entry.covers(zoo) for zoo in (tetris, large)] == [True, False]
    said = entry.description({}).description
    assert all(f"--param {name}={value}" in said for name, value in entry.by_repo["tetris-zoo"].items())
    assert entry.parameters_on(tetris) == {**entry.parameters, **entry.by_repo["tetris-zoo"]}


def test_an_entry_that_transfers_predicts_every_zoo_by_every_other(tiny_home, tmp_path, monkeypatch):
    shutil.copytree(tiny_home, tmp_path / "home")
    build(resolve("tetris-zoo-tiny/hyp"), tmp_path / "home")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    zoos = [resolve("tetris-zoo-tiny/seed"), resolve("tetris-zoo-tiny/hyp")]
    entry = dataclasses.replace(BY_NAME["linear-stats"], transfers=("tetris-zoo",))
    made = lay_down(tmp_path, entry, zoos)
    pairs = {(zoo, origin) for path in made for zoo, origin in pd.read_parquet(path)[["zoo", "trained_on"]].to_numpy()}
    assert pairs == {(zoo.id, origin.id) for zoo in zoos for origin in zoos}
    for zoo in zoos:
        pin(tmp_path, zoo)
    results = score_submission(read_submission(tmp_path / "submissions" / "linear-stats"), labels_of(tmp_path)).results
    assert {(result.zoo, result.trained_on) for result in results} == pairs
    assert lay_down(tmp_path, entry, zoos, again=False) == []


def test_learned_parameters_are_counted(tiny, tmp_path):
    """100 weights and an intercept for each of the tasks; ComVeX: equation (3) of Liu and the perceptron after it."""
    tasks = len(learnable(hub.load_split(tiny, "train"), None, False))
    assert learned(BY_NAME["linear-w"], tiny) == tasks * 101
    assert learned(BY_NAME["gbm-w"], tiny) is None
    # Layers of 5 x 16 and 4 x 5 weights without biases; 64 kernels of height 3 each.
    encoders = 3 * 16 * 64 + 64 + 3 * 5 * 64 + 64
    perceptron = 128 * 256 + 256 + 2 * (256 * 256 + 256) + 256 * tasks + tasks
    assert learned(BY_NAME["comvex-conv"], tiny) == encoders + perceptron
