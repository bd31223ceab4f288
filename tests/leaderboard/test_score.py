import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from zoobench.scoring.harness import evaluate
from zoobench_leaderboard.results import read_all, read_scored

REPOSITORY_BOARD = Path(__file__).resolve().parents[2] / "leaderboard"


def test_scores_are_recomputed_from_the_predictions(zoobench, board):
    outcome = zoobench("leaderboard", "score", "--dir", board)
    assert outcome.code == 0, outcome.err
    for name in ("linear-w", "linear-stats"):
        scored = read_scored(board, name)
        predictions = board / "submissions" / name / "tetris-zoo-tiny" / "seed.parquet"
        expected = evaluate(predictions, ["all", "final"], homes=[board / "labels"]).model_dump()["results"]
        for result in expected:
            for task in result["tasks"].values():
                task["tau_beside"] = None
        assert [part.model_dump(include=set(expected[0])) for part in scored.results] == expected
        assert scored.submission.authors == ["A. Nonymous"]


def test_scoring_again_changes_no_byte(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    before = {path: path.read_bytes() for path in (board / "results").iterdir()}
    zoobench("leaderboard", "score", "--dir", board)
    assert {path: path.read_bytes() for path in (board / "results").iterdir()} == before


def test_a_withdrawn_submission_loses_its_result(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    (board / "submissions" / "linear-w").rename(board / "withdrawn")
    zoobench("leaderboard", "score", "--dir", board)
    assert sorted(path.name for path in (board / "results").iterdir()) == ["linear-stats.json", "linear-stats.parquet"]


def _file(folder):
    return folder / "tetris-zoo-tiny" / "seed.parquet"


def _changed(change):
    def apply(folder):
        change(pd.read_parquet(_file(folder))).to_parquet(_file(folder), index=False)

    return apply


def _wrong_id(frame):
    frame.loc[0, "example_id"] = "seed-0000/001"
    return frame


def _yaml(text):
    return lambda folder: (folder / "submission.yaml").write_text(text)


def _field(name, value):
    def apply(folder):
        path = folder / "submission.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {name: value}, sort_keys=False))

    return apply


def _two_gigabytes(folder):
    with _file(folder).open("r+b") as file:
        file.truncate(2_000_000_000)


def _to_a_link(folder):
    outside = folder.parents[1] / "elsewhere.parquet"
    _file(folder).rename(outside)
    _file(folder).symlink_to(outside)


BAD = {
    "one wrong id": (
        _changed(_wrong_id),
        "1 example id of tetris-zoo-tiny/seed is not in the test split: seed-0000/001",
    ),
    "another zoo's name": (
        _changed(lambda frame: frame.assign(zoo="tetris-zoo-tiny/hyp")),
        "seed.parquet predicts tetris-zoo-tiny/hyp, but lies where predictions of tetris-zoo-tiny/seed belong",
    ),
    "repeated rows": (
        _changed(lambda frame: pd.concat([frame, frame.head(3)])),
        "3 example ids of tetris-zoo-tiny/seed are repeated: ",
    ),
    "numbers that no metric survives": (
        _changed(lambda frame: frame.assign(accuracy=1e308)),
        "column 'accuracy' is beyond ±3.4e+38, the largest in single precision",
    ),
    "2 GB": (_two_gigabytes, "seed.parquet has 2,000 MB; predictions of one zoo have 100 MB at most"),
    "a link": (_to_a_link, "seed.parquet is a link; a submission holds plain files only"),
    "a link to a folder": (
        lambda f: (f / "mnist-zoo").symlink_to("/etc"),
        "mnist-zoo is a link; a submission holds plain files only",
    ),
    "a link in its place": (
        lambda f: f.rename(f.parents[1] / "moved") and f.symlink_to(f.parents[1] / "moved"),
        "linear-w is no folder",
    ),
    "a path outside": (
        _field("predictions", "../../labels/tetris-zoo-tiny/labels/seed/test.parquet"),
        "predictions: there is no such field",
    ),
    "a pipe": (lambda f: os.mkfifo(f / "pipe"), "pipe is no plain file"),
    "a program": (lambda f: (f / "setup.py").write_text("import os"), "setup.py does not belong in a submission"),
    "an unknown zoo": (
        lambda f: (f / "tetris-zoo-tiny").rename(f / "tetris-zo"),
        "unknown zoo 'tetris-zo/seed'; did you mean 'tetris-zoo/seed'?",
    ),
    "seeds that are not there": (
        _field("seeds", [0, 1, 2]),
        "it says seeds [0, 1, 2], but tetris-zoo-tiny/seed has a file without a seed",
    ),
    "seeds that are not named": (
        lambda f: _file(f).rename(_file(f).with_name("seed-seed7.parquet")),
        "it says no seeds, but tetris-zoo-tiny/seed has files of seeds [7]",
    ),
    "a seed twice": (_field("seeds", [1, 1]), "submission.yaml:7: seeds: a seed is named twice"),
    "no yaml": (lambda f: (f / "submission.yaml").unlink(), "submission 'linear-w' has no submission.yaml"),
    "a field too many": (_field("scores", 1), "submission.yaml:7: scores: there is no such field"),
    "a field missing": (
        _yaml("method: a\nauthors: anonymous\n"),
        "submission.yaml:1: description: this field is missing",
    ),
    "a wrong value": (
        _field("validation_labels", "both"),
        "submission.yaml:6: validation_labels: Input should be 'none', 'selection' or 'fitting'",
    ),
    "a name that is no list": (_field("authors", "Me"), "submission.yaml:1: authors: names, one per line as '- Name'"),
    "a field twice": (_yaml("method: a\nmethod: b\n"), "submission.yaml:2: method: this field is there twice"),
    "not fields": (_yaml("- method\n"), "submission.yaml:1: this is no list of fields"),
    "nothing": (_yaml(""), "submission.yaml:1: this is no list of fields"),
    "not yaml": (_yaml("method: [a\n"), "cannot read "),
    "yaml that would run code": (
        _yaml("method: !!python/object/apply:os.system ['true']\n"),
        "could not determine a constructor",
    ),
    "a long yaml": (_yaml("method: " + "a" * 100_000), "submission.yaml has more than 64,000 bytes"),
    "no predictions": (lambda f: _file(f).unlink(), "has no predictions; put them in"),
    "a bad name": (lambda f: f.rename(f.with_name("Linear W")), "submission name 'Linear W' is not lower-case letters"),
    "the same zoo twice": (
        lambda f: (shutil.copy(_file(f), _file(f).with_name("seed-seed0.parquet")), _field("seeds", [0])(f)),
        "it says seeds [0], but tetris-zoo-tiny/seed has files of seeds [0] and a file without a seed",
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
    folder = next(path for path in (board / "submissions").iterdir() if path.name != "linear-stats")
    outcome = zoobench("leaderboard", "validate", folder, "--dir", board)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err


@pytest.mark.parametrize("verb", ["score", "page", "show"])
def test_a_folder_that_is_no_leaderboard_is_named(zoobench, tmp_path, verb):
    outcome = zoobench("leaderboard", verb, "--dir", tmp_path)
    assert outcome.code == 2
    assert str(tmp_path) in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_committed_results_are_what_scoring_gives(zoobench, tmp_path):
    """From the repository's own predictions and pinned labels, to the byte; of all of them: make leaderboard-check.

    Of the parquet file, to the value: its bytes are those of the version of pyarrow that writes it.
    """
    shutil.copytree(REPOSITORY_BOARD, tmp_path / "leaderboard")
    results = tmp_path / "leaderboard" / "results"
    names = {path.stem for path in results.glob("*.json")}
    assert names == {path.name for path in (REPOSITORY_BOARD / "submissions").iterdir()}
    assert len(names) >= 8
    (results / "linear-stats.json").unlink()
    (results / "linear-stats.parquet").unlink()
    for path in (tmp_path / "leaderboard" / "labels").glob("*/targets/*"):
        path.unlink()
    outcome = zoobench("leaderboard", "score", "--dir", tmp_path / "leaderboard")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"scored 1 of {len(names)} submissions")
    assert read_all(tmp_path / "leaderboard") == read_all(REPOSITORY_BOARD)
    for pattern in ("results/*.json", "labels/*/targets/*.json"):
        written, committed = (
            {path.relative_to(folder): path.read_bytes() for path in folder.glob(pattern)}
            for folder in (tmp_path / "leaderboard", REPOSITORY_BOARD)
        )
        assert written == committed
