import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from zoobench.harness import evaluate

REPOSITORY_BOARD = Path(__file__).resolve().parents[2] / "leaderboard"


def test_scores_are_recomputed_from_the_predictions(zoobench, board):
    outcome = zoobench("leaderboard", "score", "--dir", board)
    assert outcome.code == 0, outcome.err
    for name in ("linear-w", "linear-stats"):
        entry = json.loads((board / "results" / f"{name}.json").read_text())
        predictions = board / "submissions" / name / "tetris-zoo-tiny" / "seed.parquet"
        expected = evaluate(predictions, homes=[board / "labels"]).model_dump()["results"]
        assert entry["results"] == json.loads(json.dumps(expected))
        assert entry["submission"]["authors"] == "A. Nonymous"


def test_scoring_again_changes_no_byte(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    before = {path: path.read_bytes() for path in (board / "results").iterdir()}
    zoobench("leaderboard", "score", "--dir", board)
    assert {path: path.read_bytes() for path in (board / "results").iterdir()} == before


def test_a_withdrawn_submission_loses_its_result(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    (board / "submissions" / "linear-w").rename(board / "withdrawn")
    zoobench("leaderboard", "score", "--dir", board)
    assert [path.name for path in (board / "results").iterdir()] == ["linear-stats.json"]


def _wrong_id(folder):
    path = folder / "tetris-zoo-tiny" / "seed.parquet"
    frame = pd.read_parquet(path)
    frame.loc[0, "example_id"] = "seed-0000/001"
    frame.to_parquet(path, index=False)


def _yaml(text):
    return lambda folder: (folder / "submission.yaml").write_text(text)


BAD = {
    "one wrong id": (_wrong_id, "1 example id of tetris-zoo-tiny/seed is not in the test split: seed-0000/001"),
    "no yaml": (lambda f: (f / "submission.yaml").unlink(), "submission 'linear-w' has no submission.yaml"),
    "a field too many": (
        _yaml("method: a\nauthors: b\ndescription: c\nscore: 1\n"),
        "score: Extra inputs are not permitted",
    ),
    "a field missing": (_yaml("method: a\nauthors: b\n"), "description: Field required"),
    "not yaml": (_yaml("method: [a\n"), "cannot read "),
    "yaml that would run code": (
        _yaml("!!python/object/apply:os.system ['true']\n"),
        "could not determine a constructor",
    ),
    "no predictions": (lambda f: (f / "tetris-zoo-tiny" / "seed.parquet").unlink(), "has no predictions; put them in"),
    "a bad name": (lambda f: f.rename(f.with_name("Linear W")), "submission name 'Linear W' is not lower-case letters"),
    "the same zoo twice": (
        lambda f: (f / "tetris-zoo-tiny" / "again.parquet").write_bytes(
            (f / "tetris-zoo-tiny" / "seed.parquet").read_bytes()
        ),
        "both predict accuracy of tetris-zoo-tiny/seed",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_submission_is_one_line_and_changes_no_result(case, zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    before = {path: path.read_bytes() for path in (board / "results").iterdir()}
    change, message = BAD[case]
    change(board / "submissions" / "linear-w")
    outcome = zoobench("leaderboard", "score", "--dir", board)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert {path: path.read_bytes() for path in (board / "results").iterdir()} == before


@pytest.mark.parametrize("verb", ["score", "page", "show"])
def test_a_folder_that_is_no_leaderboard_is_named(zoobench, tmp_path, verb):
    outcome = zoobench("leaderboard", verb, "--dir", tmp_path)
    assert outcome.code == 2
    assert str(tmp_path) in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_committed_results_are_what_scoring_gives(zoobench, tmp_path):
    """From the repository's own predictions and pinned labels, to the byte."""
    shutil.copytree(REPOSITORY_BOARD, tmp_path / "leaderboard")
    committed = {path.name: path.read_bytes() for path in (REPOSITORY_BOARD / "results").glob("*.json")}
    shutil.rmtree(tmp_path / "leaderboard" / "results")
    outcome = zoobench("leaderboard", "score", "--dir", tmp_path / "leaderboard")
    assert outcome.code == 0, outcome.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "leaderboard" / "results").iterdir()} == committed
    assert len(committed) >= 4
