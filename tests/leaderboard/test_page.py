"""The page as a file; ``test_page_browser`` opens it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from zoobench_leaderboard.literature import TABLES, reported
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
    assert all(
        where.startswith("NeurIPS 2021, Table 5: ") for *_, where in data["zoos"]["tetris-zoo-tiny/seed"]["literature"]
    )


def test_the_release_of_the_small_cnn_zoo_stands_beside_the_papers_first_version():
    """Of the scores in best_configs.json those on statistics and hyperparameters; Table 2 of the first version."""
    collections = ("mnist", "fashion_mnist", "cifar10", "svhn")
    numbers = [number for name in collections for number in reported(f"small-cnn-zoo/{name}")]
    found = {
        (method, number.table): [one.value for one in numbers if (one.method, one.table) == (method, number.table)]
        for method in ("GBM, statistics per layer", "DNN, statistics per layer", "GBM, λ")
        for number in numbers
        if number.method == method
    }
    assert found == {
        ("GBM, statistics per layer", "Table 2"): [0.988, 0.982, 0.977, 0.977],
        ("GBM, statistics per layer", "best_configs.json, lgbm"): [0.9928, 0.9931, 0.9840, 0.9857],
        ("DNN, statistics per layer", "Table 5"): [0.989, 0.977, 0.977, 0.978],
        ("DNN, statistics per layer", "best_configs.json, dnn and linear"): [0.9928, 0.9919, 0.9802, 0.9852],
        ("GBM, λ", "Table 2"): [0.915, 0.931, 0.941, 0.924],
        ("GBM, λ", "best_configs.json, lgbm"): [0.9177, 0.9244, 0.9337, 0.9349],
    }
    assert {one.source.version for one in numbers if one.table == "Table 2" and one.metric == "r2"} == {
        "arXiv version 1"
    }


def test_every_number_names_where_it_is_from():
    numbers = [number for table in TABLES for number in table.numbers()]
    for number in numbers:
        assert all((number.source.name, number.source.version, number.table, number.protocol)), number
    # A method has one number of a zoo, task and metric in one version of a source.
    assert len({(n.source, n.zoo, n.task, n.metric, n.method) for n in numbers}) == len(numbers)


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
