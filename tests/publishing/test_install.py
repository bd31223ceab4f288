"""After `zoobench install` (here: in quickstart) the plain Hub name works with no Hub in reach."""

import subprocess
import sys

import pytest

CODE = """
from datasets import load_dataset
zoo = load_dataset("zoobench/tetris-zoo")
print(zoo.num_rows, zoo["test"][0]["example_id"])
"""


@pytest.mark.parametrize(
    "offline", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}], ids=["told", "found"]
)
def test_load_dataset_falls_back_to_the_installed_zoo(quickstart, offline):
    """Once told to be offline, once with an endpoint where nothing listens (the client retries, then falls back)."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=quickstart.environment(**offline), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'train': 51750, 'validation': 11175, 'test': 12075" in done.stdout


def test_a_folder_that_cannot_be_loaded_is_one_line(zoobench, tmp_path, tiny_home, monkeypatch):
    import shutil

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "tetris-zoo-tiny")
    for file in (tmp_path / "tetris-zoo-tiny" / "seed").iterdir():
        file.write_bytes(b"broken")
    outcome = zoobench("install", tmp_path / "tetris-zoo-tiny")
    assert outcome.code == 2
    assert outcome.err.startswith("error: cannot load zoobench/tetris-zoo-tiny from ")
    assert outcome.err.count("\n") == 1
