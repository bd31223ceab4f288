"""The page as a file; ``test_page_browser`` opens it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from zoobench_leaderboard.literature import reported
from zoobench_leaderboard.page import render
from zoobench_leaderboard.payload import payload
from zoobench_leaderboard.results import read_all
from zoobench_leaderboard.score import score_all

from .synthetic import renamed, shifted


@pytest.fixture
def entries(board):
    return score_all(board)


def test_texts_of_submissions_are_data_and_never_markup(board):
    hostile = '</script><script>alert("x")</script>'
    path = board / "submissions" / "linear-w" / "submission.yaml"
    texts = dict.fromkeys(("method", "version", "description", "paper", "code", "hardware", "command"), hostile)
    fields = {"authors": [hostile], "training_data": "same-zoo", "validation_labels": "none"}
    path.write_text(yaml.safe_dump(texts | fields))
    html = render(score_all(board))
    assert hostile not in html
    assert html.count("<script") == 2  # the data and the code
    assert html.count("</script>") == 2
    data = json.loads(re.search(r'id="payload">(.*?)</script>', html, re.S)[1])
    assert data["submissions"]["linear-w"]["method"] == hostile


def test_the_committed_results_make_a_page_with_every_submission_on_it():
    board = Path(__file__).resolve().parents[2] / "leaderboard"
    html = render(read_all(board))
    data = json.loads(re.search(r'id="payload">(.*?)</script>', html, re.S)[1])
    assert set(data["submissions"]) == {path.name for path in (board / "submissions").iterdir()}
    shown = {row["submission"] for one in data["boards"] for row in one["entries"]}
    assert shown == set(data["submissions"])


def test_the_page_asks_for_nothing_outside_itself(entries):
    html = render(entries)
    assert "src=" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html  # the browser would refuse it, too


def test_scores_and_references_are_those_of_the_results(entries):
    board = payload(entries)["boards"][0]
    assert (board["zoo"], board["protocol"]) == ("tetris-zoo-tiny/seed", "all")
    for row in board["entries"]:
        (entry,) = [entry for entry in entries if entry.name == row["submission"]]
        score = entry.results[0].tasks["accuracy"].scores["r2"]
        assert row["scores"]["accuracy"]["r2"] == pytest.approx([score.value, score.low, score.high], rel=1e-4)
    reference = entries[0].results[0].references[0]
    assert board["references"][reference.name]["accuracy"]["r2"] == pytest.approx(
        [reference.tasks["accuracy"]["r2"].value], rel=1e-4
    )


def test_numbers_of_papers_stand_beside_a_zoo_and_on_no_board(entries):
    data = payload(entries)
    listed = {
        (method, task): value for method, task, _, value, *_ in data["zoos"]["tetris-zoo-tiny/seed"]["literature"]
    }
    assert listed["hyper-representation", "accuracy"] == 0.902  # Schürholt et al. 2021, Table 5
    assert listed["s(W)", "epoch"] == 0.964
    assert "hyper-representation" not in json.dumps(data["boards"])
    assert {one.value for one in reported("small-cnn-zoo/mnist") if one.method == "GBM, W"} == {0.976}


def test_what_was_scored_out_of_distribution_is_no_row(entries):
    result = entries[0].results[0]
    other = renamed(entries[0], "far", [result, shifted(result, -0.1, trained_on="tetris-zoo-tiny/hyp")])
    data = payload([*entries, other])
    (transfer,) = data["transfers"]
    assert (transfer["submission"], transfer["trained_on"]) == ("far", "tetris-zoo-tiny/hyp")
    assert [row["submission"] for row in data["boards"][0]["entries"]].count("far") == 1


def test_a_space_is_a_folder_that_the_hub_shows(zoobench, board, tmp_path):
    zoobench("leaderboard", "score", "--dir", board)
    outcome = zoobench("leaderboard", "page", "--dir", board, "--space", tmp_path / "space")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (tmp_path / "space").iterdir()) == ["README.md", "index.html"]
    front = yaml.safe_load((tmp_path / "space" / "README.md").read_text().split("---")[1])
    assert (front["sdk"], front["app_file"]) == ("static", "index.html")
    assert not (board / "index.html").exists()


def test_a_page_that_cannot_be_written_is_one_line(zoobench, board, tmp_path):
    zoobench("leaderboard", "score", "--dir", board)
    (tmp_path / "file").write_text("")
    for option, said in (("--out", "cannot write"), ("--space", "cannot make folder")):
        outcome = zoobench("leaderboard", "page", "--dir", board, option, tmp_path / "file" / "x")
        assert outcome.code == 2
        assert outcome.err.startswith(f"error: {said} {tmp_path / 'file'}")
        assert outcome.err.count("\n") == 1
