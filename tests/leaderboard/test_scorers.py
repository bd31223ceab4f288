"""Scorers that are killed, and several at a time, as real processes."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from zoobench_leaderboard.results import read_all

MANY = 6


@pytest.fixture
def crowded(board):
    """The board with more submissions, so that scoring takes a while."""
    for number in range(MANY):
        shutil.copytree(board / "submissions" / "linear-w", board / "submissions" / f"copy-{number}")
    return board


def scorer(board):
    command = [sys.executable, "-m", "zoobench", "leaderboard", "score", "--dir", str(board)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def results(board):
    return {path.name: path.read_bytes() for path in sorted((board / "results").glob("*")) if path.is_file()}


@pytest.fixture
def expected(crowded, tmp_path):
    """What one scorer alone writes."""
    alone = tmp_path / "alone"
    shutil.copytree(crowded, alone)
    _, errors = (running := scorer(alone)).communicate(timeout=300)
    assert running.returncode == 0, errors
    found = results(alone)
    assert len(found) == 2 * (MANY + 2)
    return found


def test_a_scorer_that_is_killed_leaves_whole_results_and_the_next_goes_on(crowded, expected):
    killed = scorer(crowded)
    while killed.poll() is None and not list((crowded / "results").glob("*.json")):
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    there = {name: content for name, content in results(crowded).items() if name.endswith(".json")}
    assert 0 < len(there) < MANY + 2
    assert there == {name: expected[name] for name in there}
    read_all(crowded)
    leftover = crowded / "results" / ".copy-0.json.killed.tmp"
    leftover.mkdir()
    (leftover / "copy-0.json").write_text('{"half')
    os.utime(leftover, times=(0, 0))
    printed, errors = (again := scorer(crowded)).communicate(timeout=300)
    assert again.returncode == 0, errors
    assert printed.startswith(f"scored {MANY + 2 - len(there)} of {MANY + 2} submissions")
    assert results(crowded) == expected
    assert not leftover.exists()


def test_two_scorers_at_once_write_what_one_writes(crowded, expected):
    running = [scorer(crowded) for _ in range(2)]
    for one in running:
        _, errors = one.communicate(timeout=300)
        assert one.returncode == 0, errors
    assert results(crowded) == expected


def test_nothing_is_scored_twice_and_all_when_asked(crowded, expected, zoobench):
    outcome = zoobench("leaderboard", "score", "--dir", crowded)
    assert outcome.out.startswith(f"scored {MANY + 2} of {MANY + 2}")
    assert zoobench("leaderboard", "score", "--dir", crowded).out.startswith(f"scored 0 of {MANY + 2}")
    path = crowded / "submissions" / "copy-1" / "submission.yaml"
    path.write_text(path.read_text().replace("Ridge on statistics", "Ridge"))
    assert zoobench("leaderboard", "score", "--dir", crowded).out.startswith("scored 1 of")
    assert zoobench("leaderboard", "score", "--dir", crowded, "--all").out.startswith(f"scored {MANY + 2} of")
    (crowded / "results" / "copy-2.json").write_text("{}")
    assert zoobench("leaderboard", "score", "--dir", crowded).out.startswith("scored 1 of")


def test_one_bad_submission_does_not_hold_up_the_others(crowded, expected, zoobench):
    bad = crowded / "submissions" / "copy-3" / "tetris-zoo-tiny" / "seed.parquet"
    bad.write_bytes(bad.read_bytes()[:1000])
    outcome = zoobench("leaderboard", "score", "--dir", crowded)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "copy-3/tetris-zoo-tiny/seed.parquet is not a parquet file" in outcome.err
    assert results(crowded) == {name: content for name, content in expected.items() if not name.startswith("copy-3.")}
