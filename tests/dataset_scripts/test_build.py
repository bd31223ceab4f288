import subprocess
import sys
from pathlib import Path

import pytest

from zoobench.data.manifest import read_manifest
from zoobench.zoos import ALL

ROOT = Path(__file__).resolve().parents[2]


def run_script(name, *arguments):
    command = [sys.executable, "-m", f"dataset_scripts.{name}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_script_builds_all_configs_of_its_dataset(tmp_path):
    done = run_script("tetris_zoo", "--scale", "tiny", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(read_manifest(tmp_path / "tetris-zoo-tiny").configs) == ["hyp", "seed"]


@pytest.mark.parametrize("repo", [repo for repo in dict.fromkeys(spec.repo for spec in ALL) if repo != "tetris-zoo"])
def test_every_dataset_has_its_script(repo, tmp_path):
    """Each asks for the images of its own first config, and says in one line that they are not there."""
    done = run_script(repo.replace("-", "_"), "--scale", "tiny", "--out", tmp_path / "out", "--images", tmp_path)
    first = next(spec for spec in ALL if spec.repo == repo)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: no folder {first.images.folder!r} in {tmp_path}; --images takes a folder that has one\n"
    )
    assert not (tmp_path / "out").exists()
