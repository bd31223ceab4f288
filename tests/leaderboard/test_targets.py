import base64
import hashlib
import json
import os

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from zoobench.errors import ZoobenchError
from zoobench.zoos import resolve
from zoobench_leaderboard.ranking import boards
from zoobench_leaderboard.results import read_all
from zoobench_leaderboard.score import score_all
from zoobench_leaderboard.targets import keep_targets, labels_of, read_targets, targets_path

ZOO = "tetris-zoo-tiny/seed"


def labels_file(board):
    return board / "labels" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet"


def stamp(board):
    manifest = json.loads((board / "labels" / "tetris-zoo-tiny" / "manifest.json").read_text())
    (entry,) = [one for one in manifest["configs"]["seed"]["files"] if one["path"] == "labels/seed/test.parquet"]
    return entry["sha256"]


def test_targets_are_what_the_labels_say(board):
    keep_targets(board, resolve(ZOO), labels_of(board))
    found = read_targets(board, resolve(ZOO), stamp(board))
    labels = pd.read_parquet(labels_file(board))
    final = labels.sort_values("epoch").groupby("run_id").tail(1)
    assert [(one.runs, one.rows) for one in (found["all"], found["final"])] == [
        (labels["run_id"].nunique(), len(labels)),
        (labels["run_id"].nunique(), len(final)),
    ]
    constant = pd.read_parquet(labels_file(board).parents[2] / "references" / "seed" / "constant.parquet")
    both = labels.merge(constant, on="example_id", suffixes=("", "_predicted"))
    (reference,) = [one for one in found["all"].references if one.name == "constant"]
    assert reference.tasks["accuracy"]["r2"].value == pytest.approx(r2_score(both["test_accuracy"], both["accuracy"]))


def test_the_axis_of_a_task_has_a_margin_of_eight_percent_and_a_byte_for_each_network(board):
    keep_targets(board, resolve(ZOO), labels_of(board))
    axis = read_targets(board, resolve(ZOO), stamp(board))["all"].tasks["epoch"].axis
    labels = pd.read_parquet(labels_file(board))
    epochs = labels["epoch"].iloc[np.random.RandomState(0).permutation(len(labels))[:150]]
    low, high = epochs.min(), epochs.max()
    assert (axis.low, axis.high) == pytest.approx((low - 0.08 * (high - low), high + 0.08 * (high - low)))
    drawn = np.frombuffer(base64.b64decode(axis.targets), np.uint8)
    assert axis.low + drawn / 255 * (axis.high - axis.low) == pytest.approx(epochs.to_numpy(), abs=(high - low) / 400)
    beyond = np.frombuffer(base64.b64decode(axis.drawn(np.array([-1e9, 1e9]))), np.uint8)
    assert beyond.tolist() == [0, 255]


def test_targets_are_made_anew_only_when_something_changed(board):
    zoo = resolve(ZOO)
    keep_targets(board, zoo, labels_of(board))
    path = targets_path(board, zoo, stamp(board))
    before = path.read_bytes()
    os.utime(path, (0, 0))
    keep_targets(board, zoo, labels_of(board))
    assert path.stat().st_mtime == 0
    keep_targets(board, zoo, labels_of(board), again=True)
    assert path.stat().st_mtime > 0
    path.write_bytes(before[:100])
    with pytest.raises(ZoobenchError, match=f"cannot read {path}; run zoobench leaderboard score"):
        read_targets(board, zoo, stamp(board))
    keep_targets(board, zoo, labels_of(board))
    assert path.read_bytes() == before


def test_a_refused_submission_keeps_its_result_and_the_targets_that_it_is_of(zoobench, board):
    """Labels are pinned anew; one submission has been mended, the other not yet: two boards, until it is."""
    score_all(board)
    old = stamp(board)
    predictions = board / "submissions" / "linear-w" / "tetris-zoo-tiny" / "seed.parquet"
    whole = predictions.read_bytes()
    predictions.write_bytes(b"no parquet")
    labels = pd.read_parquet(labels_file(board))
    labels.loc[0, "test_accuracy"] += 0.01
    labels.to_parquet(labels_file(board))
    manifest = board / "labels" / "tetris-zoo-tiny" / "manifest.json"
    content = json.loads(manifest.read_text())
    (entry,) = [one for one in content["configs"]["seed"]["files"] if one["path"] == "labels/seed/test.parquet"]
    entry["sha256"] = hashlib.sha256(labels_file(board).read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content))
    assert zoobench("leaderboard", "score", "--dir", board).code == 2
    listed = boards(read_all(board))
    assert {(one.labels_sha256, one.rows[0].scored.name) for one in listed} == {
        (old, "linear-w"),
        (stamp(board), "linear-stats"),
    }
    predictions.write_bytes(whole)
    score_all(board)
    assert [path.name for path in board.glob("labels/*/targets/*.json")] == [f"seed-{stamp(board)[:12]}.json"]
