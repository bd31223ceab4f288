"""Printing never costs what a verb has made: no reader, no room, no encoding for it, no traceback."""

import contextlib
import errno
import io
import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from zoobench import cli
from zoobench.cli.output import shielded
from zoobench.data import hub
from zoobench.errors import ZoobenchError


@pytest.fixture
def predictions(tiny, tmp_path):
    labels = hub.load_labels(tiny, "test").frame
    frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"], "accuracy": labels["test_accuracy"]})
    frame.to_parquet(tmp_path / "preds.parquet")
    return tmp_path / "preds.parquet"


class Faulty(io.TextIOWrapper):
    """A standard output that fails as a full disk or a closed pipe does."""

    def __init__(self, code, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)
        self._code = code

    def flush(self):
        if self._code:
            raise OSError(self._code, os.strerror(self._code))


def call(monkeypatch, output, *arguments):
    """The exit code, and what went to standard error."""
    error = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["zoobench", *map(str, arguments)])
        patch.setattr(sys, "stdout", output)
        patch.setattr(sys, "stderr", error)
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return stop.value.code or 0, error.getvalue()


FULL = "error: cannot write to standard output: No space left on device\n"
FAULTS = {"a full disk": (errno.ENOSPC, 2, FULL), "a closed pipe": (errno.EPIPE, 0, "")}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_verb_that_writes_has_written_when_printing_fails(fault, predictions, tiny, tmp_path, monkeypatch):
    number, code, said = FAULTS[fault]
    verbs = {
        "r.json": (
            "evaluate",
            "--predictions",
            predictions,
            "--json",
            tmp_path / "r.json",
            "--plot",
            tmp_path / "plot",
        ),
        "plot/tetris-zoo-tiny-seed-all.png": ("compare", predictions, predictions),
        "gbm.parquet": ("run", "linear", "--zoo", tiny.id, "--out", tmp_path / "gbm.parquet", "--save", tmp_path / "m"),
        "again.parquet": ("predict", "--model", tmp_path / "m", "--out", tmp_path / "again.parquet"),
        "copies": ("perturb", tiny.id, "--out", tmp_path / "copies"),
        "zoo/seed-accuracy.png": ("plot", "zoo", tiny.id, "--out", tmp_path / "zoo"),
        "board/labels": ("leaderboard", "pin", tiny.id, "--dir", tmp_path / "board"),
        "board/submissions/mine/submission.yaml": ("leaderboard", "new", "mine", "--dir", tmp_path / "board"),
    }
    for made, verb in verbs.items():
        assert call(monkeypatch, Faulty(number), *verb) == (code, said), verb
        assert (tmp_path / made).exists(), verb
    json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_what_an_encoding_lacks_is_replaced(encoding, predictions, tmp_path, monkeypatch):
    output = Faulty(0, encoding)
    verb = ("evaluate", "--predictions", predictions, "--json", tmp_path / "r.json")
    assert call(monkeypatch, output, *verb) == (0, "")
    io.TextIOWrapper.flush(output)
    printed = output.buffer.getvalue().decode(encoding)
    assert "tau-b" in printed
    assert "tau ceiling" in printed
    assert "1.000" in printed
    assert (tmp_path / "r.json").exists()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_json_on_a_narrow_output_is_the_same_json(encoding, zoobench, monkeypatch):
    output = Faulty(0, encoding)
    assert call(monkeypatch, output, "tasks", "--json") == (0, "")
    io.TextIOWrapper.flush(output)
    tasks = json.loads(output.buffer.getvalue().decode(encoding))
    assert tasks == json.loads(zoobench("tasks", "--json").out)


@contextlib.contextmanager
def started(arguments, **given):
    command = [sys.executable, "-m", "zoobench", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, **given) as process:
        yield process


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="writes to /dev/full")
def test_a_real_device_that_is_full_and_a_real_pipe_that_is_closed(predictions, tmp_path):
    """Buffers that Python flushes at its very end are part of it."""
    verb = ["evaluate", "--predictions", predictions, "--json"]
    with open("/dev/full", "w") as full, started([*verb, tmp_path / "full.json"], stdout=full) as process:
        assert (process.communicate()[1].decode(), process.returncode) == (FULL, 2)
    reader, writer = os.pipe()
    os.close(reader)
    with started([*verb, tmp_path / "pipe.json"], stdout=writer) as process:
        assert (process.communicate()[1], process.returncode) == (b"", 0)
    os.close(writer)
    assert (tmp_path / "full.json").exists()
    assert (tmp_path / "pipe.json").exists()


def test_scores_are_on_the_screen_where_the_file_cannot_be_written(predictions, zoobench, tmp_path):
    (tmp_path / "file").touch()
    outcome = zoobench("evaluate", "--predictions", predictions, "--json", tmp_path / "file" / "r.json")
    assert outcome.code == 2
    assert "cannot write" in outcome.err
    assert "1.000" in outcome.out


ESCAPES = "\x1b[31mred\x1b[0m \x9b2J \u202eltr \r\n"


def test_control_characters_of_foreign_text_are_shown_as_text(capsys):
    with shielded():
        print(f"one{ESCAPES}two")
    assert capsys.readouterr().out == "one\\x1b[31mred\\x1b[0m \\x9b2J \\u202eltr \\r\ntwo\n"


def test_an_error_is_one_printable_line_whatever_it_repeats(zoobench):
    assert str(ZoobenchError(f"unknown {ESCAPES}")) == "unknown \\x1b[31mred\\x1b[0m \\x9b2J \\u202eltr \\r\\n"
    outcome = zoobench("evaluate", "--predictions", "a\x1b[31m\nb.parquet")
    assert outcome.err == "error: cannot read predictions a\\x1b[31m\\nb.parquet: No such file or directory\n"


def test_a_warning_is_one_printable_line(predictions, zoobench):
    pd.read_parquet(predictions).assign(**{"\x1b[2J": 1}).to_parquet(predictions)
    outcome = zoobench("evaluate", "--predictions", predictions)
    assert outcome.code == 0
    assert outcome.err.startswith("warning: ")
    assert outcome.err.rstrip("\n").isprintable()


def test_what_the_system_says_of_a_file_is_one_line_wherever_it_is_said(zoobench, monkeypatch):
    """A full disk can be met at any write."""

    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/\x1b[2Jzoo.parquet")

    monkeypatch.setattr("zoobench.data.hub.built_zoos", full)
    outcome = zoobench("zoos")
    assert (outcome.code, outcome.err) == (2, "error: /data/\\x1b[2Jzoo.parquet: No space left on device\n")
