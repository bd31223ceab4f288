"""The package without extras, in a virtual environment of its own: it scores, it is light, and it has no torch."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pandas as pd
import pytest

from zoobench.data import hub
from zoobench.scoring.harness import evaluate

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "transformers", "scikit-learn", "scipy", "lightgbm", "ray", "matplotlib", "evaluate", "optuna"}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The python of an environment into which ``pip install .`` has installed what it says and nothing else."""
    folder = tmp_path_factory.mktemp("scorer")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    # pip builds where the sources are: in a copy, so that nothing is left behind and nothing stale is packed.
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__"))
    command = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture
def run(clean, tiny_home, tmp_path):
    """Run that python away from the checkout, so that only what is installed can be imported."""

    def call(*arguments):
        environment = {"PATH": os.environ["PATH"], "ZOOBENCH_DATA": str(tiny_home), "HF_HUB_OFFLINE": "1"}
        command = [clean, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return call


@pytest.fixture
def predictions(tiny, tmp_path):
    labels = hub.load_labels(tiny, "test").frame
    frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"], "accuracy": labels["test_accuracy"] ** 2})
    frame.to_parquet(tmp_path / "preds.parquet")
    return tmp_path / "preds.parquet"


def test_it_pulls_in_nothing_heavy(run):
    installed = {package["name"].lower() for package in json.loads(run("-m", "pip", "list", "--format=json").stdout)}
    assert "zoobench" in installed
    assert not HEAVY & installed


def test_every_source_file_of_the_four_rooms_is_installed(run):
    code = "import importlib.metadata as m; print(*map(str, m.files('zoobench')), sep='\\n')"
    installed = set(run("-c", code).stdout.split("\n"))
    rooms = {"zoobench": "zoobench"} | {
        room: f"zoobench_{room}" for room in ("baselines", "dataset_scripts", "leaderboard")
    }
    shipped = {".py", ".pyi", ".c", ".j2", ".js", ".css", ".typed"}
    expected = {
        (Path(name) / path.relative_to(ROOT / room)).as_posix()
        for room, name in rooms.items()
        for path in (ROOT / room).rglob("*")
        if path.suffix in shipped
    }
    assert {f"{name}/py.typed" for name in rooms.values()} <= expected
    assert expected <= installed


def test_it_scores_as_the_whole_package_does(run, predictions, tmp_path):
    done = run("-m", "zoobench", "evaluate", "--predictions", predictions, "--json", "result.json")
    assert done.returncode == 0, done.stderr
    scored = json.loads((tmp_path / "result.json").read_text())
    assert scored == json.loads(evaluate(predictions).to_json())


def test_the_modules_for_the_evaluate_library_are_there(run):
    code = "import os, zoobench.evaluate_modules as m; print(*sorted(os.listdir(m.folder())))"
    assert "zoobench_accuracy zoobench_class_skill zoobench_kendall_tau zoobench_macro_f1" in run("-c", code).stdout


def test_it_compares_and_perturbs_too(run, predictions, tiny):
    assert run("-m", "zoobench", "compare", predictions, predictions).returncode == 0
    assert run("-m", "zoobench", "perturb", tiny.id, "--out", "copies").returncode == 0


def test_a_type_checker_knows_the_public_names(clean, tmp_path):
    """``mypy --strict`` of a script as a user would write it; the last two lines are wrong."""
    script = tmp_path / "script.py"
    script.write_text("""
import zoobench

split = zoobench.load_zoo("tetris-zoo/seed", split="train")
columns: int = split.weights.shape[1]
result = zoobench.evaluate("preds.parquet", protocols=["all"])
first: str = result.results[0].zoo
named: str = zoobench.compare("a.parquet", "b.parquet")[0].zoo


def examples(given: zoobench.Examples) -> zoobench.Examples:
    if given.folds is None:
        raise zoobench.ZoobenchError("no folds")
    return given.only(["accuracy"])


zoobench.load_zoo(5)
zoobench.no_such_name
""")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(clean), str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    errors = [line.split("error: ")[1] for line in done.stdout.splitlines() if "error: " in line]
    assert len(errors) == 2, done.stdout
    assert 'incompatible type "int"; expected "str"' in errors[0]
    assert 'has no attribute "no_such_name"' in errors[1]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory of a process from /proc")
def test_importing_it_takes_less_than_a_second_and_150_megabytes(run):
    code = """
import time
start = time.perf_counter()
import zoobench.scoring.harness
seconds = time.perf_counter() - start
print(seconds, next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    run("-c", code)  # once, so that files are in memory and compiled
    measured = [[float(text) for text in run("-c", code).stdout.split()] for _ in range(3)]
    assert min(seconds for seconds, _ in measured) < 1
    assert min(kilobytes for _, kilobytes in measured) < 150_000


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("build", "tetris-zoo/seed", "--scale", "tiny"), "build"),
        (("run", "gbm", "--zoo", "tetris-zoo-tiny/seed", "--out", "p.parquet"), "baselines"),
        (("evaluate", "--predictions", "preds.parquet", "--plot", "pictures"), "plot"),
    ],
)
def test_what_needs_an_extra_says_which(run, predictions, arguments, extra):
    done = run("-m", "zoobench", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"pip install 'zoobench[{extra}]'" in done.stderr
