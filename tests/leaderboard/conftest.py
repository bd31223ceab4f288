import shutil

import pytest
import yaml

from zoobench.predictors.run import run
from zoobench_leaderboard.pin import pin
from zoobench_leaderboard.score import score_all

SUBMISSION = {
    "method": "Ridge on statistics",
    "authors": ["A. Nonymous"],
    "description": "A test submission.",
    "training_data": "same-zoo",
    "validation_labels": "selection",
}


@pytest.fixture(scope="session")
def scored_board(tiny_home, tmp_path_factory):
    """A leaderboard folder with two honest submissions on the tiny zoo and its pinned labels."""
    from zoobench.zoos import resolve

    board = tmp_path_factory.mktemp("board")
    zoo = resolve("tetris-zoo-tiny/seed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOOBENCH_DATA", str(tiny_home))
        for features in ("W", "stats"):
            folder = board / "submissions" / f"linear-{features.lower()}"
            run("linear", zoo, {"features": features}, folder / f"{zoo.id}.parquet")
            (folder / "submission.yaml").write_text(yaml.safe_dump(SUBMISSION))
        pin(board, zoo)
    return board


@pytest.fixture(scope="session")
def with_results(scored_board, tmp_path_factory):
    """The same, scored."""
    board = tmp_path_factory.mktemp("with-results") / "board"
    shutil.copytree(scored_board, board)
    score_all(board)
    return board


@pytest.fixture
def board(scored_board, tmp_path):
    """A copy to change; the labels are found in the folder itself, nowhere else."""
    shutil.copytree(scored_board, tmp_path / "board")
    return tmp_path / "board"
