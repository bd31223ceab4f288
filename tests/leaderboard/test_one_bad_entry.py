"""Listings: what is not ours is named and skipped, and one bad entry never takes the others down."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

HEALTHY = ("linear-stats", "linear-w")


@pytest.fixture
def board(with_results, tmp_path):
    """Two healthy submissions and their results."""
    return shutil.copytree(with_results, tmp_path / "board")


def written(board):
    return {path.name: path.read_bytes() for path in (board / "results").iterdir() if path.stem in HEALTHY}


def file_of(folder):
    return folder / "tetris-zoo-tiny" / "seed.parquet"


def copied(board, name):
    return shutil.copytree(board / "submissions" / "linear-w", board / "submissions" / name)


def page_of(board):
    html = (board / "index.html").read_text(encoding="utf-8")

    def never(constant):
        raise AssertionError(constant)

    return json.loads(re.search(r'id="payload">(.*?)</script>', html, re.S)[1], parse_constant=never)


def rows_of(board):
    """By submission: its mean with interval, its places, its scores, on the first board of the page."""
    entries = page_of(board)["boards"][0]["entries"]
    return {entry["submission"]: (entry["mean"], entry["places"], entry["scores"]) for entry in entries}


@pytest.mark.parametrize("largest", [1e30, 3.4028e38])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1)])
def test_predictions_as_far_out_as_any_may_be_leave_all_others_as_they_were(zoobench, board, largest, signs):
    assert zoobench("leaderboard", "page", "--dir", board).code == 0
    before, files = rows_of(board), written(board)
    frame = pd.read_parquet(file_of(copied(board, "far-out")))
    numbers = [name for name in frame if frame[name].dtype.kind == "f"]
    frame[numbers] = largest * np.resize(signs, (len(frame), len(numbers))) * np.linspace(0.9, 1, len(frame))[:, None]
    frame.to_parquet(file_of(board / "submissions" / "far-out"), index=False)
    outcome = zoobench("leaderboard", "score", "--dir", board)
    assert (outcome.code, outcome.err) == (0, "")
    for verb in ("page", "show", "check"):
        outcome = zoobench("leaderboard", verb, "--dir", board)
        assert (outcome.code, outcome.err) == (0, ""), verb
    after = rows_of(board)
    assert after["far-out"][0][0] == 0
    assert after["far-out"][1]["all"][0] == max(places["all"][0] for _, places, _ in after.values())
    for name in HEALTHY:
        (mean, places, scores), then = after[name], before[name]
        assert (mean, scores) == (then[0], then[2])
        # Few runs cannot tell a poor method from a useless one: there is one more that it may be behind.
        assert {track: place[:2] for track, place in places.items()} == {track: p[:2] for track, p in then[1].items()}
    assert written(board) == files


@pytest.mark.parametrize("number", [1e39, 1e154, 1e200, 1e300, 1.7976931348623157e308, -1e300])
def test_predictions_beyond_single_precision_are_refused_and_the_others_scored(zoobench, board, number):
    frame = pd.read_parquet(file_of(copied(board, "a-far-out")))
    frame.assign(accuracy=np.float64(number)).to_parquet(file_of(board / "submissions" / "a-far-out"), index=False)
    outcome = zoobench("leaderboard", "score", "--dir", board)
    assert outcome.code == 2
    assert "'accuracy' is beyond ±3.4e+38" in outcome.err
    assert zoobench("leaderboard", "page", "--dir", board).code == 0
    assert set(rows_of(board)) == set(HEALTHY)


def _hidden_folder(folder):
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("[core]")


def _of_an_archive(folder):
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "x").write_text("")


FOREIGN = {
    "a hidden file": (lambda f: (f / ".DS_Store").write_bytes(b"\0\0\0\1Bud1"), ".DS_Store is skipped: it is hidden"),
    "a hidden folder": (_hidden_folder, ".git is skipped: it is hidden"),
    "a text": (lambda f: (f / "README.md").write_text("Hello"), "README.md is skipped: a submission is a folder"),
    "a backup": (lambda f: (f / "linear-w~").write_text("x"), "linear-w~ is skipped: a submission is a folder"),
    "a name with a line": (lambda f: (f / "a\nb").write_text("x"), r"a\nb is skipped: a submission is a folder"),
    "an empty folder": (lambda f: (f / "empty").mkdir(), "empty is skipped: the folder is empty"),
    "a folder of an archive": (_of_an_archive, "__MACOSX is skipped: the folder has no submission.yaml"),
    "a hidden file inside": (
        lambda f: (f / "linear-w" / ".DS_Store").write_bytes(b"x"),
        "linear-w/.DS_Store is skipped: a hidden file is no part of a submission",
    ),
    "a hidden link inside": (
        lambda f: (f / ".#linear-w").symlink_to("me@host.1:2"),
        ".#linear-w is skipped: it is hidden",
    ),
}


def test_what_is_no_submission_is_named_and_skipped(zoobench, board):
    before = written(board)
    for make, _ in FOREIGN.values():
        make(board / "submissions")
    outcome = zoobench("leaderboard", "score", "--all", "--dir", board)
    assert outcome.code == 0, outcome.err
    lines = outcome.err.splitlines()
    assert len(lines) == len(FOREIGN)
    assert all(line.startswith("warning: ") for line in lines)
    for _, message in FOREIGN.values():
        assert any(message in line for line in lines), message
    assert written(board) == before
    assert zoobench("leaderboard", "check", "--dir", board).code == 0


def _truncated(folder):
    file_of(folder).write_bytes(file_of(folder).read_bytes()[:300])


def _flipped(folder):
    content = bytearray(file_of(folder).read_bytes())
    content[len(content) // 3] ^= 0xFF
    content[len(content) // 2] ^= 0xFF
    content[-20] ^= 0xFF
    file_of(folder).write_bytes(content)


def _to_a_link(folder):
    shutil.rmtree(folder)
    folder.symlink_to("linear-w")


BAD = {
    "broken yaml": (lambda f: (f / "submission.yaml").write_text("method: [a\n"), "submission.yaml: while parsing"),
    "yaml of another encoding": (
        lambda f: (f / "submission.yaml").write_bytes("method: Zürich\n".encode("latin-1")),
        "submission.yaml: it is not text in UTF-8",
    ),
    "a date that is none": (
        lambda f: (f / "submission.yaml").write_text("version: 2024-99-99\n"),
        "submission.yaml: month must be in 1..12",
    ),
    "a tag that is not kept": (
        lambda f: (f / "submission.yaml").write_text("method: !!timestamp x\n"),
        "submission.yaml: a value is not what its tag says",
    ),
    "a key that is no word": (
        lambda f: (f / "submission.yaml").write_text("? {a: b}\n: c\n"),
        "submission.yaml:1: the name of a field is one word",
    ),
    "yaml without end": (
        lambda f: (f / "submission.yaml").write_text(
            "a0: &a0 {x: 1}\n" + "".join(f"a{k + 1}: &a{k + 1} {{<<: [*a{k}, *a{k}]}}\n" for k in range(60))
        ),
        "submission.yaml: found alias 'a0'",
    ),
    "nested yaml": (
        lambda f: (f / "submission.yaml").write_text("method: " + "[" * 3_000),
        "submission.yaml: it is nested too deeply",
    ),
    "a control character": (
        lambda f: (f / "submission.yaml").write_text('method: "a\\e[31m"\n'),
        "submission.yaml:1: method: the character U+001B is no text",
    ),
    "a text that turns": (
        lambda f: (f / "submission.yaml").write_text('method: "a\\u202eb"\n'),
        "submission.yaml:1: method: the character U+202E is no text",
    ),
    "truncated predictions": (_truncated, "seed.parquet is not a parquet file"),
    "flipped predictions": (_flipped, "seed.parquet"),
    "predictions of what is no zoo": (
        lambda f: pd.read_parquet(file_of(f)).assign(zoo="../../x").to_parquet(file_of(f), index=False),
        "unknown zoo '../../x'",
    ),
    "nothing but a description": (lambda f: shutil.rmtree(f / "tetris-zoo-tiny"), "has no predictions"),
    "a folder in a folder": (
        lambda f: (f / "tetris-zoo-tiny" / "more").mkdir(),
        "tetris-zoo-tiny/more does not belong in a submission",
    ),
    "a link in its place": (_to_a_link, "is no folder"),
}


def test_bad_submissions_are_named_and_all_others_are_scored(zoobench, board):
    shutil.rmtree(board / "results")
    names = {case: f"a-bad-{number}" for number, case in enumerate(BAD)}
    for case, name in names.items():
        BAD[case][0](copied(board, name))
    outcome = zoobench("leaderboard", "score", "--dir", board)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith(f"error: {len(BAD)} submissions are refused: ")
    for case, name in names.items():
        assert name in outcome.err, case
        assert BAD[case][1] in outcome.err, case
    assert len(written(board)) == 4
    assert {path.stem for path in (board / "results").iterdir()} == set(HEALTHY)
    assert zoobench("leaderboard", "page", "--dir", board).code == 0
    assert set(rows_of(board)) == set(HEALTHY)
    checked = zoobench("leaderboard", "check", "--dir", board)
    assert (checked.code, checked.out.count("\n")) == (1, len(BAD))


@pytest.mark.parametrize("case", BAD)
def test_a_bad_submission_is_one_line_for_whoever_validates_it(zoobench, board, case):
    change, message = BAD[case]
    change(folder := copied(board, "a-bad"))
    outcome = zoobench("leaderboard", "validate", folder, "--dir", board)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err


def test_folders_as_deep_as_a_system_takes_them_are_refused(zoobench, board):
    folder = copied(board, "deep")
    for depth in (400, 800, 1200):
        os.makedirs(folder / "/".join("d" * depth))
    outcome = zoobench("leaderboard", "score", "--dir", board)
    subprocess.run(["rm", "-rf", folder / "d"], check=True)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {folder}/d/d does not belong in a submission")
    assert len(written(board)) == 4


def _as_an_ordinary_user(*arguments):
    """Root reads everything, unless it gives that up."""
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
    command = [*(drop if os.geteuid() == 0 else []), sys.executable, "-m", "zoobench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root, who reads everything")
@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("", "cannot read {0}: Permission denied"),
        ("tetris-zoo-tiny", "cannot read {0}/tetris-zoo-tiny: Permission denied"),
        ("submission.yaml", "cannot read {0}/submission.yaml: Permission denied"),
        ("tetris-zoo-tiny/seed.parquet", "cannot read predictions {0}/tetris-zoo-tiny/seed.parquet: Permission denied"),
    ],
)
def test_what_may_not_be_read_is_refused_by_itself(board, inside, message):
    folder = copied(board, "closed")
    (folder / inside).chmod(0)
    done = _as_an_ordinary_user("leaderboard", "score", "--dir", board)
    (folder / inside).chmod(0o755)
    assert (done.returncode, done.stderr) == (2, f"error: {message.format(folder)}\n")
    assert len(written(board)) == 4


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root, who reads everything")
def test_labels_that_may_not_be_read_are_named_with_their_cause(board, tiny_home, monkeypatch):
    labels = board / "labels" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet"
    labels.chmod(0)
    scored = _as_an_ordinary_user("leaderboard", "score", "--all", "--dir", board)
    validated = _as_an_ordinary_user("leaderboard", "validate", board / "submissions" / "linear-w", "--dir", board)
    monkeypatch.setenv("ZOOBENCH_DATA", str(board / "labels"))
    pinned = _as_an_ordinary_user("leaderboard", "pin", "tetris-zoo-tiny/seed", "--dir", board.parent / "other")
    labels.chmod(0o644)
    said = f"cannot read {labels}: Permission denied"
    assert (scored.returncode, scored.stderr.count(said), scored.stderr.count("\n")) == (2, 2, 1)
    assert (validated.returncode, validated.stderr) == (2, f"error: {said}\n")
    assert (pinned.returncode, pinned.stderr) == (2, f"error: {said}\n")


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root, who writes everything")
def test_a_board_that_cannot_be_written_says_so_and_can_be_shown(zoobench, board):
    for folder in (board, board / "results"):
        folder.chmod(0o555)
    done = _as_an_ordinary_user("leaderboard", "score", "--dir", board)
    shown = _as_an_ordinary_user("leaderboard", "show", "--dir", board)
    for folder in (board, board / "results"):
        folder.chmod(0o755)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: cannot write results to {board}: Permission denied ({board}/.results.lock)\n",
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "linear-w" in shown.stdout


def test_a_folder_with_a_bad_name_withdraws_nothing(zoobench, board):
    before = written(board)
    (board / "submissions" / "linear-w").rename(board / "submissions" / "Linear W")
    assert zoobench("leaderboard", "score", "--dir", board).code == 2
    assert written(board) == before
    (board / "submissions" / "Linear W").rename(board / "submissions" / "linear-x")
    assert zoobench("leaderboard", "score", "--dir", board).code == 0
    assert {path.stem for path in (board / "results").iterdir()} == {"linear-stats", "linear-x"}


def test_of_several_zoos_those_that_can_be_had_are_pinned(zoobench, tiny, tmp_path):
    outcome = zoobench("leaderboard", "pin", "tetris-zoo/nothing", tiny.id, "--dir", tmp_path / "board")
    assert outcome.code == 2
    assert "unknown zoo 'tetris-zoo/nothing'" in outcome.err
    assert f"pinned {tiny.id}" in outcome.out
    assert (tmp_path / "board" / "labels" / "tetris-zoo-tiny" / "manifest.json").exists()


@pytest.mark.parametrize("verb", ["score", "page", "show", "check"])
def test_a_board_that_is_a_file_is_named(zoobench, tmp_path, verb):
    (tmp_path / "board").write_text("")
    outcome = zoobench("leaderboard", verb, "--dir", tmp_path / "board")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert str(tmp_path / "board") in outcome.err
