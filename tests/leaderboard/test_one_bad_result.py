"""Results and labels that are not what they should be, and files of others among them."""

import json
import os
import re
import shutil

import pandas as pd
import pytest

from .test_one_bad_entry import HEALTHY, copied, rows_of, written


@pytest.fixture
def board(with_results, tmp_path):
    """Two healthy submissions and their results."""
    return shutil.copytree(with_results, tmp_path / "board")


def _changed(**changes):
    def change(path):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _number(text):
    """The first score, replaced by what JSON readers take for a number."""
    return lambda path: path.write_text(re.sub(r'"r2": \[[^,]+', f'"r2": [{text}', path.read_text(), count=1))


UNREADABLE = {
    "another version": (_changed(schema_version=3), "has another schema version"),
    "a later version": (_changed(schema_version=99), "has another schema version"),
    "no version": (lambda path: path.write_text("{}"), "has another schema version"),
    "a list": (lambda path: path.write_text("[1]"), "no result of a submission"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "line "),
    "nothing": (lambda path: path.write_bytes(b""), "Expecting value"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe\xff"), "codec can't decode"),
    "another's": (lambda path: shutil.copy(path.with_name("linear-w.json"), path), "it is the result of 'linear-w'"),
    "a field more": (_changed(more=1), "(more: Extra inputs are not permitted)"),
    "no main metric": (lambda path: path.write_text(path.read_text().replace('"r2"', '"r3"')), "has no r2"),
    "infinity": (_number("Infinity"), "Input should be a finite number"),
    "no number": (_number("NaN"), "Input should be a finite number"),
    "beyond all numbers": (_number("-1e999"), "Input should be a finite number"),
    "nested": (lambda path: path.write_text("[" * 100_000), "maximum recursion depth exceeded"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_result_that_cannot_be_read_is_left_out_with_its_cause(zoobench, board, case):
    change, message = UNREADABLE[case]
    change(board / "results" / "linear-stats.json")
    for verb in ("page", "show"):
        outcome = zoobench("leaderboard", verb, "--dir", board)
        assert (outcome.code, outcome.err.count("\n")) == (0, 1)
        assert outcome.err.startswith("warning: a submission is left out: ")
        assert message in outcome.err
        assert "run zoobench leaderboard score" in outcome.err
    assert set(rows_of(board)) == {"linear-w"}


def test_files_of_others_in_the_folder_of_results_are_named_and_stay(zoobench, board):
    results = board / "results"
    foreign = {
        "notes.txt": b"mine",
        "package.json": b'{"name": "x"}',
        "._linear-w.json": b"\0\5\x16\7",
        "Old.json": b"{}",
    }
    for name, content in foreign.items():
        (results / name).write_bytes(content)
    (results / "folder").mkdir()
    (results / "folder.json").mkdir()
    os.mkfifo(results / "pipe.json")
    (results / "link.json").symlink_to("/dev/zero")
    pd.DataFrame({"x": [1]}).to_parquet(results / "mine.parquet")
    assert zoobench("leaderboard", "score", "--dir", board).code == 0
    outcome = zoobench("leaderboard", "page", "--dir", board)
    assert outcome.code == 0
    for name in ("notes.txt", "._linear-w.json", "Old.json", "folder", "folder.json", "pipe.json", "link.json"):
        assert f"warning: {results / name} is skipped: it is no result of a submission" in outcome.err
    assert "left out: " in outcome.err
    assert "package.json" in outcome.err
    assert {name: (results / name).read_bytes() for name in foreign} == foreign
    assert (results / "mine.parquet").exists()
    assert set(rows_of(board)) == set(HEALTHY)


def test_files_of_others_among_the_labels_harm_nothing(zoobench, board):
    labels = board / "labels"
    (labels / ".DS_Store").write_bytes(b"x")
    (labels / "README.md").write_text("x")
    (labels / "tetris-zoo-tiny" / "notes.txt").write_text("x")
    (labels / "mnist-zoo-tiny").mkdir()
    (labels / "mnist-zoo-tiny" / "manifest.json").write_text("{")
    targets = labels / "tetris-zoo-tiny" / "targets"
    (targets / "mine.json").write_text('{"a": 1}')
    other = copied(board, "other")
    (other / "tetris-zoo-tiny").rename(other / "mnist-zoo-tiny")
    outcome = zoobench("leaderboard", "score", "--dir", board)
    assert outcome.code == 2
    assert str(labels / "mnist-zoo-tiny" / "manifest.json") in outcome.err
    assert (targets / "mine.json").exists()
    assert len(written(board)) == 4


def test_labels_that_cannot_be_read_refuse_what_needs_them_in_one_line(zoobench, board):
    path = board / "labels" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet"
    content = path.read_bytes()
    for change, message in (
        (lambda: path.write_bytes(content[:-1]), "the manifest says"),
        (lambda: path.unlink(), "although the manifest of tetris-zoo-tiny/seed lists it"),
        (lambda: shutil.rmtree(board / "labels"), "zoo 'tetris-zoo-tiny/seed' is neither in"),
    ):
        change()
        outcome = zoobench("leaderboard", "score", "--dir", board)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert message in outcome.err
