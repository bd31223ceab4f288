"""Pull requests to a leaderboard on a Hub on loopback, by the real client."""

import os
import subprocess
import sys

import pytest
import yaml

from ..loopback_hub import TOKEN, LoopbackHub, running

REPO = "zoobench/leaderboard"


@pytest.fixture
def hub(tmp_path):
    hub = LoopbackHub(tmp_path / "hub")
    hub.repos[REPO] = tmp_path / "hub" / "zoobench--leaderboard" / "leaderboard"
    hub.repos[REPO].mkdir(parents=True)
    (hub.repos[REPO] / "README.md").write_text("A leaderboard.")
    with running(hub) as url:
        hub.url = url
        yield hub


def submit(hub, board, tmp_path, name="linear-w", token=TOKEN, repo=REPO):
    environment = {"PATH": os.environ["PATH"], "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_TOKEN": token}
    environment |= {"ZOOBENCH_DATA": str(tmp_path / "none"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "zoobench", "leaderboard", "submit", str(board / "submissions" / name)]
    return subprocess.run(
        [*command, "--dir", str(board), "--repo", repo],
        env={name: value for name, value in environment.items() if value},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_submission_becomes_a_pull_request_of_its_own_files(hub, board, tmp_path):
    (board / "submissions" / "linear-w" / "README.md").write_text("How it works.")
    done = submit(hub, board, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"opened {hub.url}/datasets/{REPO}/discussions/1\n"
    (proposed,) = hub.pulls
    files = sorted(str(path.relative_to(proposed)) for path in proposed.rglob("*") if path.is_file())
    inside = "submissions/linear-w"
    sent = ("README.md", "submission.yaml", "tetris-zoo-tiny/seed.parquet")
    assert files == ["README.md", *(f"{inside}/{path}" for path in sent)]
    for path in sent:
        assert (proposed / inside / path).read_bytes() == (board / "submissions" / "linear-w" / path).read_bytes()
    assert [path.name for path in hub.repos[REPO].iterdir()] == ["README.md"]  # nothing on main before it is merged
    assert hub.commits == ["Submission linear-w: Ridge on statistics"]


def test_what_the_scorer_would_refuse_is_not_sent(hub, board, tmp_path):
    path = board / "submissions" / "linear-w" / "submission.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"seeds": [0, 1]}))
    done = submit(hub, board, tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "it says seeds [0, 1]" in done.stderr
    assert (hub.pulls, [entry for entry in hub.log if entry[0] != "GET"]) == ([], [])


def test_a_token_that_is_refused_and_none_at_all_are_one_line(hub, board, tmp_path):
    for token, message in (("hf_wrong", "the Hub refused the token (401)"), ("", "no Hub token: set HF_TOKEN")):
        done = submit(hub, board, tmp_path, token=token)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert message in done.stderr
        assert "hf_wrong" not in done.stderr
    assert hub.pulls == []


def test_a_new_submission_is_filled_in_and_valid(board, zoobench):
    """Also under a name that YAML would take for a number."""
    outcome = zoobench("leaderboard", "new", "2026", "--dir", board)
    assert outcome.code == 0, outcome.err
    folder = board / "submissions" / "2026"
    predictions = (board / "submissions" / "linear-w" / "tetris-zoo-tiny" / "seed.parquet").read_bytes()
    (folder / "tetris-zoo-tiny").mkdir()
    for seed in range(3):
        (folder / "tetris-zoo-tiny" / f"seed-seed{seed}.parquet").write_bytes(predictions)
    outcome = zoobench("leaderboard", "validate", folder, "--dir", board)
    assert outcome.code == 0, outcome.err
    assert outcome.out.endswith("2026 is valid: tetris-zoo-tiny/seed; track standard\n")
    again = zoobench("leaderboard", "new", "2026", "--dir", board)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "is there already" in again.err
