"""The scripts of the workflows, run by bash in a real git repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "leaderboard" / "ci"


@pytest.fixture
def repository(board, tmp_path):
    """A repository of entries: labels and one submission on main, and another one to be proposed."""
    folder = tmp_path / "repository"
    shutil.copytree(board, folder / "leaderboard")
    shutil.copytree(SCRIPTS, folder / "leaderboard" / "ci")
    (folder / "leaderboard" / "submissions" / "linear-w").rename(tmp_path / "linear-w")
    (folder / "code.py").write_text("print('trusted')\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "main")
    git(folder, "checkout", "--quiet", "-b", "proposed")
    shutil.move(tmp_path / "linear-w", folder / "leaderboard" / "submissions")
    return folder


def environment(folder):
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(folder.parent), "ZOOBENCH_DATA": str(folder / "none")}
    settings |= {f"GIT_{who}_{what}": "x@y.z" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return settings | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, env=environment(folder), check=True, capture_output=True)


def validate(folder):
    """Propose what lies there, and validate it from main: exit code, comment."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "proposal")
    git(folder, "checkout", "--quiet", "main")
    comment = folder.parent / "comment.md"
    command = ["leaderboard/ci/validate.sh", "main", "proposed", str(comment)]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, comment.read_text()


def test_a_good_submission_is_commented_with_its_scores(repository):
    code, comment = validate(repository)
    assert code == 0
    assert "linear-w is valid: tetris-zoo-tiny/seed; track standard" in comment
    assert "accuracy" in comment
    assert "linear-stats" not in comment  # has not changed
    assert all(line.startswith("    ") for line in comment.splitlines() if line)


def test_a_bad_submission_fails_with_its_line(repository):
    path = repository / "leaderboard" / "submissions" / "linear-w" / "submission.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"seeds": [0]}))
    code, comment = validate(repository)
    assert code == 1
    assert "it says seeds [0], but tetris-zoo-tiny/seed has a file without a seed" in comment


def test_nothing_but_submissions_is_taken_from_a_proposal(repository):
    """Neither changed code nor changed labels nor a changed script have any effect, and they are refused."""
    (repository / "code.py").write_text("print('mine')\n")
    (repository / "leaderboard" / "ci" / "validate.sh").write_text("#!/bin/sh\ntouch /tmp/pwned; exit 0\n")
    code, comment = validate(repository)
    assert code == 1
    assert "changes more than `leaderboard/submissions`" in comment
    assert (repository / "code.py").read_text() == "print('trusted')\n"
    assert "linear-w is valid" in comment


def test_hostile_names_and_links_are_refused_and_not_followed(repository):
    submissions = repository / "leaderboard" / "submissions"
    (submissions / "linear-w").rename(submissions / "$(touch pwned) ```")
    (submissions / "link").symlink_to("/etc")
    code, comment = validate(repository)
    assert code == 1
    assert "is not lower-case letters" in comment
    assert "is no folder" in comment
    assert not list(repository.rglob("pwned"))
    assert all(line.startswith("    ") for line in comment.splitlines() if line)


def test_a_submission_may_be_withdrawn(repository):
    submissions = repository / "leaderboard" / "submissions"
    shutil.rmtree(submissions / "linear-stats")
    shutil.rmtree(submissions / "linear-w")
    code, comment = validate(repository)
    assert (code, comment) == (0, "    withdrawn: linear-stats\n")


def test_publishing_scores_and_writes_the_page(repository):
    command = ["leaderboard/ci/publish.sh"]
    done = subprocess.run(command, cwd=repository, env=environment(repository), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((repository / "leaderboard" / "results").glob("*.json"))) == 2
    assert "linear-w" in (repository / "leaderboard" / "index.html").read_text()


def test_a_refused_submission_fails_and_the_page_shows_all_others(repository):
    (repository / "leaderboard" / "submissions" / "linear-w" / "submission.yaml").write_text("method: [")
    (repository / "leaderboard" / "submissions" / ".DS_Store").write_text("")
    command = ["leaderboard/ci/publish.sh"]
    done = subprocess.run(command, cwd=repository, env=environment(repository), capture_output=True, check=False)
    assert done.returncode == 2
    assert b"linear-w/submission.yaml" in done.stderr
    assert {path.stem for path in (repository / "leaderboard" / "results").iterdir()} == {"linear-stats"}
    assert "linear-stats" in (repository / "leaderboard" / "index.html").read_text()


@pytest.fixture
def published(repository):
    """A clone of a remote whose main has no results, in which scoring has written some."""
    git(repository, "checkout", "--quiet", "main")
    remote, clone = repository.parent / "remote", repository.parent / "clone"
    git(repository, "clone", "--quiet", "--bare", str(repository), str(remote))
    git(repository, "clone", "--quiet", "--branch", "main", str(remote), str(clone))
    subprocess.run(["leaderboard/ci/publish.sh"], cwd=clone, env=environment(clone), capture_output=True, check=True)
    return clone, remote


def keep(clone):
    command = ["leaderboard/ci/keep.sh"]
    return subprocess.run(command, cwd=clone, env=environment(clone), capture_output=True, text=True, check=False)


def kept(remote):
    listed = subprocess.run(["git", "ls-tree", "-r", "--name-only", "main"], cwd=remote, capture_output=True, text=True)
    return [name for name in listed.stdout.split() if "/results/" in name or "/targets/" in name]


def test_new_results_are_kept_on_the_branch_and_no_commit_is_made_of_nothing(published):
    clone, remote = published
    assert keep(clone).returncode == 0
    assert [name.rpartition("/")[2] for name in kept(remote)[-2:]] == ["linear-stats.json", "linear-stats.parquet"]
    assert [name for name in kept(remote) if "/targets/" in name]
    head = (remote / "refs" / "heads" / "main").read_text()
    assert keep(clone).returncode == 0
    assert (remote / "refs" / "heads" / "main").read_text() == head


def test_a_branch_that_refuses_the_results_is_a_failure_that_says_so(published):
    clone, remote = published
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'protected branch hook declined' >&2\nexit 1\n")
    hook.chmod(0o755)
    done = keep(clone)
    assert done.returncode == 1
    assert "::error title=Results are not kept::" in done.stdout
    assert kept(remote) == []


def test_results_that_cannot_be_committed_are_a_failure(published):
    clone, remote = published
    (clone / ".git" / "index.lock").write_text("")
    assert keep(clone).returncode != 0
    assert kept(remote) == []


@pytest.mark.parametrize("name", ["submission.yml", "leaderboard.yml"])
def test_the_workflows_call_these_scripts_and_do_not_run_what_is_submitted(name):
    text = (ROOT / ".github" / "workflows" / name).read_text()
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    script = {"submission.yml": "validate.sh", "leaderboard.yml": "publish.sh"}[name]
    assert any(script in step.get("run", "") for step in job["steps"])
    checkouts = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert all("ref" not in step.get("with", {}) for step in checkouts)  # the base branch, never the pull request
    # Numbers and names of a pull request reach the shell as variables only.
    assert not any("${{" in step.get("run", "") for step in job["steps"])
