"""A zoo is a function of its declaration: the same rows by every compiler, and whatever vector instructions there are.

``tests/native/test_exact.py`` has more processors, of which one is emulated.
"""

import os
import platform
import subprocess
import sys
import warnings
from dataclasses import replace

import pytest

from zoobench.building.build import build
from zoobench.data import manifest
from zoobench.training.formulation import CANONICAL
from zoobench.zoos import Zoo, resolve

from ..plain_arithmetic import PLAIN

ZIG = f"{sys.executable} -m ziglang cc"
# By zoo: the sha256 of its rows, weights and labels.
GOLDEN = {
    "tetris-zoo-tiny/seed": "10987fdb4b24838a25251e8f795073493718cebd798fe3f9b6b44a31a5675b7e",
    "tetris-zoo-tiny/hyp": "7d7827aab8b1042efce55b7b4b42a5c729e89f283bc68146077f1b7a82a75d00",
    "mnist-zoo-tiny/hyp-5-rand-seed": "4861ee53f025833bed76a6f1158d0c2aa79d99da8f14fb3eb8e923f311b20b8c",
    "small-cnn-zoo-tiny/mnist": "c1311fab1f89b7fedad3d546706275264d675eb264ca378a8d92aa84e5bc1e29",
}


def built(folder, zoo):
    return manifest.read_manifest(folder / zoo.repo).configs[zoo.spec.config]


@pytest.mark.parametrize("name", GOLDEN)
def test_every_machine_builds_the_same_rows(name, images_folder, tmp_path):
    """This one, by its own compiler and instructions."""
    zoo = resolve(name)
    build(zoo, tmp_path, images_folder)
    config = built(tmp_path, zoo)
    assert (config.arithmetic, config.rows_sha256) == (CANONICAL, GOLDEN[name])


def wrapped(folder, command):
    """A compiler of its own."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\nexec {command.replace('ARGUMENTS', chr(34) + '$@' + chr(34))}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize(
    ("name", "compiler"),
    [
        ("mnist-zoo-tiny/hyp-5-rand-seed", f"{ZIG} ARGUMENTS"),
        ("small-cnn-zoo-tiny/mnist", f"{ZIG} ARGUMENTS -O1"),
        pytest.param(
            "tetris-zoo-tiny/hyp",
            "cc ARGUMENTS -march=x86-64 -O1",
            marks=pytest.mark.skipif(platform.machine() != "x86_64", reason="the flag is of x86-64"),
        ),
    ],
)
def test_other_compilers_and_plain_instructions_build_the_same_rows(name, compiler, images_folder, tmp_path):
    """NumPy and PyTorch, too, use no vector instructions but those that all processors have; three chunks at a time."""
    zoo = resolve(name)
    command = [sys.executable, "-W", "ignore", "-m", "zoobench", "build", name, "--workers", "3"]
    command += ["--out", str(tmp_path / "home"), "--images", str(images_folder)]
    environment = os.environ | PLAIN | {"CC": wrapped(tmp_path, compiler), "OMP_NUM_THREADS": "3"}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert built(tmp_path / "home", zoo).rows_sha256 == GOLDEN[name]


def test_without_a_compiler_a_zoo_says_that_it_is_another(tmp_path):
    zoo = resolve("tetris-zoo-tiny/seed")
    command = [sys.executable, "-m", "zoobench", "build", zoo.id, "--out", str(tmp_path)]
    done = subprocess.run(command, check=True, env=os.environ | {"CC": "no-such"}, capture_output=True, text=True)
    assert "networks.c is not used" in done.stderr
    config = built(tmp_path, zoo)
    assert config.arithmetic.startswith("torch-")
    assert config.arithmetic.endswith("-cpu")
    assert config.rows_sha256 != GOLDEN[zoo.id]


def test_rows_that_are_not_the_declared_ones_are_noted(tmp_path):
    zoo = resolve("tetris-zoo-tiny/seed")

    def build_as_if(declared):
        scales = tuple((n, replace(s, rows_sha256=declared) if n == "tiny" else s) for n, s in zoo.spec.scales)
        build(Zoo(replace(zoo.spec, scales=scales), "tiny"), tmp_path)

    with warnings.catch_warnings(action="error"):
        build_as_if(GOLDEN[zoo.id])
    with pytest.warns(UserWarning, match="its rows are not those of all other builds: their sha256 is 10987fdb"):
        build_as_if("0" * 64)
