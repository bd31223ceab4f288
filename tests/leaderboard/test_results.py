import json
import shutil

import numpy as np
import pytest

from zoobench.errors import ZoobenchError
from zoobench_leaderboard.results import read_all, read_scored, write_scored
from zoobench_leaderboard.score import score_all

from .synthetic import mean_of, renamed, shifted


def test_what_is_written_is_read_again(board):
    scored = score_all(board)
    assert read_all(board) == scored
    assert [read_scored(board, one.name) for one in scored] == scored


def test_one_score_that_changes_is_one_line(board):
    scored = score_all(board)[0]
    first = scored.results[0]
    tasks = {name: task.model_dump() for name, task in first.tasks.items()}
    tasks["epoch"]["scores"]["mae"]["value"] += 1
    changed = type(first).model_validate(first.model_dump() | {"tasks": tasks})
    path = board / "results" / f"{scored.name}.json"
    before = path.read_text().splitlines()
    write_scored(board, scored.model_copy(update={"results": [changed, *scored.results[1:]]}))
    pairs = [(old, new) for old, new in zip(before, path.read_text().splitlines(), strict=True) if old != new]
    assert len(pairs) == 1
    assert all(line.startswith('     "mae": [') for line in pairs[0])


def test_what_is_the_same_for_all_submissions_is_not_in_their_results(board):
    scored = score_all(board)[0]
    text = (board / "results" / f"{scored.name}.json").read_text()
    (reference, *_) = scored.results[0].references
    assert reference.predictions_sha256 not in text
    assert str(scored.results[0].tasks["accuracy"].tau_ceiling) not in text
    assert max(map(len, text.splitlines())) < 400


def test_means_without_each_run_are_kept_in_single_precision(board):
    scored = score_all(board)[0]
    without = [0.0, 0.123456, 1.0]
    result = shifted(scored.results[0], 0.0, mean=mean_of(np.array(without)))
    write_scored(board, renamed(scored, scored.name, [result]))
    found = read_scored(board, scored.name).results[0].mean
    assert found == mean_of(np.float32(without))


@pytest.mark.parametrize("damage", ["swapped", "old", "no parquet", "no json", "no targets"])
def test_files_that_do_not_belong_together_are_refused_and_scored_anew(zoobench, board, damage):
    scored = score_all(board)
    results = board / "results"
    match damage:
        case "swapped":
            shutil.copy(results / "linear-w.parquet", results / "linear-stats.parquet")
        case "old":
            content = json.loads((results / "linear-stats.json").read_text())
            (results / "linear-stats.json").write_text(json.dumps(content | {"schema_version": 4}))
        case "no parquet":
            (results / "linear-stats.parquet").unlink()
        case "no json":
            (results / "linear-stats.json").write_text("[]")
        case "no targets":
            for path in board.glob("labels/*/targets/*.json"):
                path.unlink()
        case _:
            raise ValueError(damage)
    with pytest.raises(ZoobenchError, match="run zoobench leaderboard score"):
        read_all(board)
    again = 0 if damage == "no targets" else 1
    assert zoobench("leaderboard", "score", "--dir", board).out.startswith(f"scored {again} of 2")
    assert read_all(board) == scored
