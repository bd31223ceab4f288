"""What a process inherits changes no result: the current folder, variables, open files, limits."""

import hashlib
import json
import os
import shlex
import subprocess
import sys

import pytest

from zoobench.building.build import build
from zoobench.zoos import resolve

ZOOBENCH = f"{shlex.quote(sys.executable)} -m zoobench"
SHADOW = "raise SystemExit('a module of the current folder was imported')\n"


def shell(script, folder, **variables):
    """Run a script of the shell in a folder, with more variables, and this checkout to import from."""
    path = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    environment = os.environ | {"PYTHONPATH": path} | variables
    return subprocess.run(["sh", "-c", script], cwd=folder, env=environment, capture_output=True, check=False)


def hashes(folder):
    """Of all files that a build writes but for the manifest and the card, which name the day."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".parquet", ".png")
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The files of a build in an environment without surprises."""
    return hashes(build(resolve("tetris-zoo-tiny/seed"), tmp_path_factory.mktemp("plain")))


def hostile_files(folder):
    """What libraries take from the current folder, and modules that it has of the names of theirs."""
    (folder / "matplotlibrc").write_bytes(b"\xff\xfe")
    (folder / ".numba_config.yaml").write_bytes(b"\xff{{")
    for name in ("yaml", "torch", "datasets", "random", "zoobench_baselines"):
        (folder / f"{name}.py").write_text(SHADOW)


NONSENSE = {
    "OMP_NUM_THREADS": "abc",
    "TMPDIR": "/nonexistent",
    "COLUMNS": "0",
    "TERM": "dumb",
    "PYTHONWARNINGS": "error",
}
LOCALE = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONHASHSEED": "7"}
SURROUNDINGS = {
    "a folder of shadows, few rights and files": ("umask 077; ulimit -n 64;", {}),
    "variables that are nonsense": ("", NONSENSE | LOCALE),
    "no caches and no settings": ("touch file;", {"XDG_CACHE_HOME": "file", "HF_HOME": "file", "MPLCONFIGDIR": "file"}),
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_build_gives_the_same_bytes_whatever_it_inherits(name, plain, tmp_path):
    before, variables = SURROUNDINGS[name]
    if "shadows" in name:
        hostile_files(tmp_path)
    variables = {k: str(tmp_path / "file") if v == "file" else v for k, v in variables.items()}
    script = f"{before} {ZOOBENCH} build tetris-zoo/seed --scale tiny --out {tmp_path}/out"
    done = shell(script, tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "out" / "tetris-zoo-tiny") == plain
    said = done.stderr.decode().splitlines()
    caches = ["warning: compiled code is not kept, so that each process compiles it"]
    assert [line.partition(": [")[0] for line in said] == (caches if "XDG_CACHE_HOME" in variables else [])


@pytest.fixture
def predictions(tiny, tmp_path):
    from zoobench.data import hub

    frame = hub.load_labels(tiny, "test").frame
    frame = frame.assign(zoo=tiny.id, accuracy=frame["train_accuracy"])[["zoo", "example_id", "accuracy"]]
    frame.to_parquet(tmp_path / "predictions.parquet")
    return tmp_path / "predictions.parquet"


def test_scores_and_pictures_are_had_in_a_folder_of_shadows(predictions, tmp_path, zoobench):
    here = tmp_path / "here"
    here.mkdir()
    zoobench("evaluate", "--predictions", predictions, "--json", tmp_path / "expected.json")
    hostile_files(here)
    done = shell(f"{ZOOBENCH} evaluate --predictions {predictions} --json r.json --plot pictures", here)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (here / "r.json").read_bytes() == (tmp_path / "expected.json").read_bytes()
    assert list((here / "pictures").glob("*.png"))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_scores_are_written_where_standard_files_are_closed(closed, predictions, tmp_path, zoobench):
    zoobench("evaluate", "--predictions", predictions, "--json", tmp_path / "expected.json")
    done = shell(f"exec {closed}; {ZOOBENCH} evaluate --predictions {predictions} --json r.json", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "r.json").read_bytes() == (tmp_path / "expected.json").read_bytes()


def test_a_folder_that_was_removed_ends_in_one_line_where_it_cannot_be_worked_in(predictions, tmp_path):
    """Files with whole names may be scored there; oneMKL ends the process."""
    (tmp_path / "gone").mkdir()
    leave = f"rmdir {tmp_path}/gone;"
    done = shell(f"{leave} {ZOOBENCH} evaluate --predictions {predictions} --json {tmp_path}/r.json", tmp_path / "gone")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    (tmp_path / "gone").mkdir()
    script = f"{leave} {ZOOBENCH} build tetris-zoo/seed --scale tiny --out {tmp_path}/out"
    done = shell(script, tmp_path / "gone")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: the current folder cannot be used (No such file or directory); change to")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("verb", ["", "build", "run", "leaderboard score"])
def test_help_is_there_without_docstrings(verb, tmp_path):
    done = shell(f"{ZOOBENCH} {verb} --help", tmp_path, PYTHONOPTIMIZE="2")
    assert done.returncode == 0
    assert b"--" in done.stdout
