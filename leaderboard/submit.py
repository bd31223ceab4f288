"""Submitting: a pull request that adds a submission to a leaderboard on the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zoobench.publishing.publish import writing

from .description import FILE_NAME
from .score import score_submission
from .submission import README, read_submission
from .targets import labels_of


def submit(board: Path, folder: Path, repo_id: str, on_step: Callable[[str], None] = lambda step: None) -> str:
    """Check and score a submission as the leaderboard will, then propose it.

    Args:
        board: leaderboard folder whose labels it is scored against; others are searched as usual.
        folder: the submission.
        repo_id: the leaderboard's Hub dataset.
        on_step: told what is being done.

    Returns:
        the URL of the pull request.

    Raises:
        ZoobenchError: a submission that the leaderboard would refuse, no token, or an interrupted upload.
    """
    from huggingface_hub import CommitOperationAdd

    submission = read_submission(folder)
    on_step("scoring")
    scored = score_submission(submission, labels_of(board))
    zoos = ", ".join(dict.fromkeys(result.zoo for result in scored.results))
    texts = [path for path in (folder / FILE_NAME, folder / README) if path.is_file()]
    paths = [*texts, *(path for path, _ in submission.predictions)]
    with writing(repo_id) as api:
        on_step("uploading")
        commit = api.create_commit(
            repo_id,
            [
                CommitOperationAdd(f"submissions/{submission.name}/{path.relative_to(folder).as_posix()}", path)
                for path in paths
            ],
            commit_message=f"Submission {submission.name}: {submission.description.method}",
            commit_description=f"Zoos: {zoos}. Track: {submission.description.track}.",
            repo_type="dataset",
            create_pr=True,
        )
    return str(commit.pr_url)
