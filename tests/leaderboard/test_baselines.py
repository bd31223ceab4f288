import pandas as pd
import pytest
import yaml

from zoobench import predictor
from zoobench.zoos import ALL, Zoo, resolve
from zoobench_leaderboard.baselines import BY_NAME, ENTRIES, SEEDS, submit
from zoobench_leaderboard.submission import read_submission


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entries_are_baselines_with_parameters_that_they_have(entry):
    made = predictor.create(entry.baseline, entry.parameters)
    assert entry.random == hasattr(made, "seed") or entry.baseline == "gbm"  # LightGBM draws nothing by default
    assert any(entry.covers(Zoo(spec, "full")) for spec in ALL)


def test_a_random_method_has_a_file_for_each_seed_and_none_is_made_twice(tiny, tmp_path):
    entry = BY_NAME["comvex-linear"]
    made = submit(tmp_path, entry, tiny, again=False)
    folder = tmp_path / "submissions" / "comvex-linear" / "tetris-zoo-tiny"
    assert made == [folder / f"seed-seed{seed}.parquet" for seed in SEEDS]
    first, second, _ = (pd.read_parquet(path) for path in made)
    assert not first.equals(second)
    assert submit(tmp_path, entry, tiny, again=False) == []
    assert read_submission(folder.parent).description.method == "ComVeX-Linear"


def test_the_command_in_the_description_makes_the_same_predictions(tiny, tmp_path, zoobench):
    (made,) = submit(tmp_path, BY_NAME["gbm-stats"], tiny)
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
