import json
import os
import subprocess
import sys

import pytest

from zoobench.zoos import ALL

VERBS = [
    ["zoos"],
    ["tasks"],
    ["build"],
    ["verify"],
    ["serve"],
    ["install"],
    ["run"],
    ["evaluate"],
    ["quickstart"],
    ["leaderboard", "score"],
    ["leaderboard", "page"],
    ["leaderboard", "show"],
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_help_with_an_example(zoobench, verb):
    outcome = zoobench(*verb, "--help")
    assert outcome.code == 0
    assert f"Example: zoobench {' '.join(verb)}" in " ".join(outcome.out.split())


def test_zoos_lists_all_sixteen_with_what_is_built(zoobench, tiny):
    outcome = zoobench("zoos", "--json")
    listed = {entry["zoo"]: entry for entry in json.loads(outcome.out)}
    assert list(listed) == [spec.id for spec in ALL]
    assert listed["tetris-zoo/seed"]["built_here"] == ["tetris-zoo-tiny/seed"]
    assert listed["tetris-zoo/seed"]["scales"] == {"full": 1000, "lite": 200, "tiny": 40}
    assert listed["cnn-zoo-2/usps"]["scales"] == {"full": 1000, "lite": 300, "tiny": 20}
    assert listed["mnist-zoo/hyp-1-fix-seed"]["published_rows"] == 57_600
    table = zoobench("zoos").out
    assert all(spec.id in table for spec in ALL)
    assert "75,146" in table


def test_tasks_say_where_they_make_sense(zoobench):
    listed = {entry["task"]: entry for entry in json.loads(zoobench("tasks", "--json").out)}
    assert listed["f1_class_0"]["zoos"] == ["tetris-zoo/seed", "tetris-zoo/hyp"]
    assert "tetris-zoo/seed" not in listed["learning_rate"]["zoos"]
    assert len(listed["accuracy"]["zoos"]) == 16
    assert "accuracy" in zoobench("tasks").out


@pytest.mark.parametrize("arguments", [["evalute"], ["build"], ["run", "gbm"], ["zoos", "--jsn"]])
def test_a_wrong_command_line_ends_with_code_2(zoobench, arguments):
    outcome = zoobench(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_the_version_is_printed(zoobench):
    assert zoobench("--version").out == "zoobench 0.1.0\n"


@pytest.mark.parametrize("spelled", [["--out=~/made"], ["--out", "~/made"]], ids=["with =", "as a word"])
def test_a_tilde_is_the_users_home_wherever_a_path_is_given(zoobench, tiny, tmp_path, monkeypatch, spelled):
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    assert zoobench("perturb", tiny.id, "--sample", 2, *spelled).code == 0
    assert (tmp_path / "home" / "made" / "perturbed.json").is_file()
    assert list((tmp_path / "here").iterdir()) == []


def test_zoos_are_built_into_a_data_home_below_the_users_home(zoobench, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOOBENCH_DATA", "~/zoos")
    monkeypatch.chdir(tmp_path / "here")
    assert zoobench("build", "tetris-zoo-tiny/seed").code == 0
    assert (tmp_path / "zoos" / "tetris-zoo-tiny" / "manifest.json").is_file()
    assert list((tmp_path / "here").iterdir()) == []


def test_text_that_begins_with_a_tilde_and_names_nobody_stays(zoobench):
    assert "unknown zoo '~nobody-here/zoo'" in zoobench("build", "~nobody-here/zoo").err


@pytest.mark.parametrize(
    ("before", "after"), [("", "127.0.0.1,localhost"), ("a.org", "a.org,127.0.0.1,localhost"), ("*", "*")]
)
def test_this_machine_is_asked_without_a_proxy(zoobench, monkeypatch, before, after):
    monkeypatch.setenv("NO_PROXY", before)
    for _ in range(2):
        zoobench("tasks")
    assert os.environ["NO_PROXY"] == after


def test_serve_says_how_to_leave_a_proxy_out(tiny_home):
    command = [sys.executable, "-u", "-m", "zoobench", "serve", str(tiny_home), "--port", "0"]
    environment = os.environ | {"http_proxy": "http://127.0.0.1:9"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr.readline() == "use it: NO_PROXY=127.0.0.1 HF_ENDPOINT=http://127.0.0.1:0\n"
        served.terminate()
