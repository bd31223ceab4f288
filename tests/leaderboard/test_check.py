import json
import shutil

import pytest

from zoobench_leaderboard.check import differences
from zoobench_leaderboard.ranking import boards
from zoobench_leaderboard.results import read_all
from zoobench_leaderboard.score import score_all

from .synthetic import renamed, shifted


def files(board):
    return {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}


def test_results_that_scoring_gives_pass_and_nothing_is_written(zoobench, board):
    score_all(board)
    before = files(board)
    outcome = zoobench("leaderboard", "check", "--dir", board)
    assert (outcome.code, outcome.out) == (0, f"{board / 'results'} is what scoring gives\n")
    assert files(board) == before


def test_a_score_that_was_changed_is_named_with_both_values(zoobench, board):
    first = score_all(board)[0]
    path = board / "results" / f"{first.name}.json"
    content = json.loads(path.read_text())
    row = content["results"][0]["scores"]["accuracy"]["mae"]
    true, row[0] = row[0], row[0] + 1e-6
    path.write_text(json.dumps(content))
    outcome = zoobench("leaderboard", "check", "--dir", board)
    assert outcome.code == 1
    assert outcome.out == (
        f"linear-stats: tetris-zoo-tiny/seed (all, trained on tetris-zoo-tiny/seed): tasks: accuracy: scores: mae: "
        f"value is {row[0]!r}, and {true!r} when it is scored now\n"
    )


@pytest.mark.parametrize(("share", "same"), [(2e-10, True), (2e-8, False)])
def test_the_last_digit_is_the_machine_s_and_those_before_are_not(board, share, same):
    scored = score_all(board)
    path = board / "results" / f"{scored[0].name}.json"
    content = json.loads(path.read_text())
    content["results"][0]["scores"]["accuracy"]["mae"][0] *= 1 + share
    path.write_text(json.dumps(content))
    assert (differences(read_all(board), scored) == []) == same


def test_ranks_that_change_are_differences(board):
    scored = score_all(board)
    first, second = (row.scored for row in boards(scored)[0].rows)
    last = renamed(first, first.name, [shifted(part, -10.0) for part in first.results])
    found = differences(scored, [last, second])
    for place in ("tetris-zoo-tiny/seed (all)", "all zoos (all)"):
        start = f"board of {place}: {first.name}: all is '1"
        assert any(line.startswith(start) and "and '2" in line for line in found)


def test_a_result_that_cannot_be_read_is_a_difference(zoobench, board):
    score_all(board)
    (board / "results" / "linear-w.json").write_text("[")
    outcome = zoobench("leaderboard", "check", "--dir", board)
    assert outcome.code == 1
    assert outcome.out.startswith(f"cannot read {board / 'results' / 'linear-w.json'}; run zoobench leaderboard score")
    assert "(Expecting value: line 1" in outcome.out
    assert outcome.out.endswith("linear-w is not kept\n")


def test_submissions_without_results_and_results_without_submissions_are_named(zoobench, board):
    score_all(board)
    shutil.copytree(board / "submissions" / "linear-w", board / "submissions" / "more")
    shutil.rmtree(board / "submissions" / "linear-w")
    outcome = zoobench("leaderboard", "check", "--dir", board)
    assert outcome.code == 1
    assert "linear-w is kept, and not what is scored now\n" in outcome.out
    assert "more is not kept\n" in outcome.out
