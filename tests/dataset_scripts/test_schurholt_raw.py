"""Ray Tune folders as the authors' code leaves them."""

import json
from collections import OrderedDict

import pytest
import torch

from zoobench.data.manifest import read_manifest

from .schurholt_like import CONFIG, MNIST, RUNS, check_networks, imported, refused, rows_of, write_raw


def test_raw_checkpoints_give_networks_that_say_the_same(runs, images, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    (raw / "NN_tune_trainable_00000" / "checkpoint_000000").mkdir()
    torch.save(OrderedDict(runs[0][0][0]), raw / "NN_tune_trainable_00000" / "checkpoint_000000" / "checkpoints")
    outcome = zoobench("import", "schurholt", raw, "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "mnist-zoo"
    check_networks(rows_of(folder, CONFIG), runs, images, lambda row: int(row["run_id"][-2:]))
    notes = read_manifest(folder).configs[CONFIG].release.notes
    left_out = "Left out: 1 checkpoints without a line in result.json."
    assert left_out in notes
    assert left_out in outcome.out


def test_broken_runs_of_a_raw_zoo_are_dropped_and_listed(runs, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    path = raw / "NN_tune_trainable_00001" / "checkpoint_000002" / "checkpoints"
    path.write_bytes(path.read_bytes()[:500])
    (raw / "NN_tune_trainable_00002" / "result.json").write_text('{"training_iteration": 1, "test')
    outcome = zoobench("import", "schurholt", raw, "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    config = read_manifest(tmp_path / "out" / "mnist-zoo").configs[CONFIG]
    assert [(run.run_id, run.epoch) for run in config.dropped] == [
        ("NN_tune_trainable_00001", 2),
        ("NN_tune_trainable_00002", 0),
    ]
    assert config.runs == RUNS - 2


def _line(run, number, change):
    """Change one line of a run's results."""
    path = run / "result.json"
    lines = path.read_text().splitlines()
    lines[number : number + 1] = change(lines[number])
    path.write_text("\n".join(lines))


def without(name):
    return lambda line: [json.dumps({key: value for key, value in json.loads(line).items() if key != name})]


LEFT_OUT = {
    "the last line is cut": (2, lambda line: [line[:40]], [1, 2], "1 lines of result.json that are cut off"),
    "a line is cut and the next glued to it": (1, lambda line: [line[:30] + line], [1, 3], "that are cut off"),
    "a line is no object": (1, lambda line: ["[" * 100_000], [1, 3], "1 lines of result.json that are cut off"),
    "a line comes again on resume": (1, lambda line: [line, line], [1, 2, 3], "1 lines of result.json that come again"),
    "a line has no accuracy": (0, without("test_acc"), [2, 3], "1 lines of result.json without a test accuracy"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_whole_of_a_killed_or_resumed_run_is_kept(case, runs, images, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    number, change, kept, said = LEFT_OUT[case]
    _line(raw / "NN_tune_trainable_00003", number, change)
    outcome = imported(zoobench, raw, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert said in outcome.out
    folder = tmp_path / "out" / "mnist-zoo"
    config = read_manifest(folder).configs[CONFIG]
    assert any(said in note for note in config.release.notes)
    assert said in (folder / "README.md").read_text()
    assert (config.runs, config.dropped) == (RUNS, [])
    assert [row["epoch"] for row in rows_of(folder, CONFIG) if row["run_id"].endswith("3")] == kept


def test_a_key_that_the_first_line_lacks_is_kept(runs, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    _line(raw / "NN_tune_trainable_00003", 0, without("train_acc"))
    assert imported(zoobench, raw, tmp_path / "out").code == 0
    rows = [row for row in rows_of(tmp_path / "out" / "mnist-zoo", CONFIG) if row["run_id"].endswith("3")]
    assert [row["train_accuracy"] for row in rows] == [None, 1.0, 1.0]
    assert [row["generalization_gap"] is None for row in rows] == [True, False, False]


def test_without_params_the_config_of_the_results_is_read(runs, images, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    (raw / "NN_tune_trainable_00003" / "params.json").unlink()
    assert imported(zoobench, raw, tmp_path / "out").code == 0
    check_networks(rows_of(tmp_path / "out" / "mnist-zoo", CONFIG), runs, images, lambda row: int(row["run_id"][-2:]))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("training_iteration", 2**40, "no checkpoint with a result"),
        ("training_iteration", "first", "no checkpoint with a result"),
        ("test_acc", [0.5], "test_acc holds a list"),
        ("seed", {"a": 1}, "seed holds a dict"),
    ],
)
def test_strange_values_of_one_run_drop_it(name, value, message, runs, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    run = raw / "NN_tune_trainable_00003"
    if name == "seed":
        (run / "params.json").write_text(json.dumps(runs[3][2] | {name: value}))
    for number in range(3):
        _line(run, number, lambda line: [json.dumps(json.loads(line) | {name: value})])
    outcome = imported(zoobench, raw, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    (dropped,) = read_manifest(tmp_path / "out" / "mnist-zoo").configs[CONFIG].dropped
    assert dropped.run_id == run.name
    assert message in dropped.reason


@pytest.mark.parametrize(
    ("seed", "message"), [(1e30, "is 1e+30, out of"), ("abc", "'abc', which is no number"), (0.5, "is 0.5")]
)
def test_a_seed_that_is_none_is_one_line(seed, message, runs, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    (raw / "NN_tune_trainable_00003" / "params.json").write_text(json.dumps(runs[3][2] | {"seed": seed}))
    refused(imported(zoobench, raw, tmp_path / "out"), "seed of checkpoint", message)
    assert not (tmp_path / "out").exists()


def test_folders_that_are_no_checkpoints_are_passed_over(runs, images, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    for name in ("checkpoint_best", "checkpoint_", "checkpoint_99999999999999999999"):
        (raw / "NN_tune_trainable_00003" / name).mkdir()
        (raw / "NN_tune_trainable_00003" / name / "checkpoints").write_bytes(b"")
    assert imported(zoobench, raw, tmp_path / "out").code == 0
    rows = rows_of(tmp_path / "out" / "mnist-zoo", CONFIG)
    check_networks(rows, runs, images, lambda row: int(row["run_id"][-2:]))
