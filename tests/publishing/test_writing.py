"""Writing into a dataset folder that others write, too, or that is a stranger's."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from zoobench.building.build import build
from zoobench.data.manifest import read_manifest
from zoobench.errors import ZoobenchError
from zoobench.files import locked
from zoobench.publishing.verify import verify
from zoobench.zoos import resolve

SEED = resolve("tetris-zoo-tiny/seed")


@pytest.fixture
def home(tiny_home, tmp_path):
    """A copy of the tiny zoo that a test may change."""
    shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "zoos" / "tetris-zoo-tiny")
    return tmp_path / "zoos"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change_manifest(folder, change):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content["configs"]["seed"])
    path.write_text(json.dumps(content))


def test_two_configs_of_a_repo_that_are_built_at_once_are_both_there(tmp_path):
    commands = [
        [sys.executable, "-m", "zoobench", "build", f"tetris-zoo/{name}", "--scale", "tiny", "--out", str(tmp_path)]
        for name in ("seed", "hyp")
    ]
    builders = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [builder.wait() for builder in builders] == [0, 0]
    folder = tmp_path / "tetris-zoo-tiny"
    assert list(read_manifest(folder).configs) == ["hyp", "seed"]
    assert verify(folder, sample=0) == []
    assert os.listdir(tmp_path) == ["tetris-zoo-tiny"]


def test_a_zoo_that_is_being_built_is_not_built_twice_at_once(home, zoobench):
    before = contents(home)
    with locked(home / ".tetris-zoo-tiny-seed.build"):
        outcome = zoobench("build", "tetris-zoo/seed", "--scale", "tiny", "--out", home)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"is being written by process {os.getpid()} on " in outcome.err
    assert contents(home) == before


def test_a_config_that_is_written_meanwhile_is_kept(home, monkeypatch):
    """Read, change and write of the manifest are one step: another config appears while this one is trained."""
    folder = home / "tetris-zoo-tiny"
    shutil.rmtree(folder)
    real = build.__globals__["write_config"]

    def meanwhile(*args):
        monkeypatch.setitem(build.__globals__, "write_config", real)
        build(resolve("tetris-zoo-tiny/hyp"), home)
        return real(*args)

    monkeypatch.setitem(build.__globals__, "write_config", meanwhile)
    build(SEED, home)
    assert list(read_manifest(folder).configs) == ["hyp", "seed"]
    assert verify(folder, sample=0) == []


@pytest.mark.parametrize("path", ["../../thesis.tex", "/thesis.tex", "seed/../../thesis.tex", "hyp/notes.txt"])
def test_a_manifest_that_names_other_peoples_files_costs_none_of_them(path, home, zoobench):
    folder = home / "tetris-zoo-tiny"
    (home.parent / "thesis.tex").write_text("ten years")
    (folder / "hyp").mkdir()
    (folder / "hyp" / "notes.txt").write_text("of another config")
    entry = {"path": str(home.parent) + path if path.startswith("/") else path, "sha256": "0" * 64, "size": 9}
    change_manifest(folder, lambda config: config["files"].append(entry))
    before = contents(home.parent)
    for command in (
        ("build", "tetris-zoo/seed", "--scale", "tiny", "--out", home),
        ("verify", folder),
        ("publish", folder, "zoobench/tetris-zoo-tiny", "--dry-run"),
    ):
        outcome = zoobench(*command)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
        assert "thesis.tex" in outcome.err or "notes.txt" in outcome.err
    assert contents(home.parent) == before


@pytest.mark.parametrize("name", ["README.md", "manifest.json", "seed/test-00000-of-00001.parquet", "labels", "seed"])
def test_a_link_in_a_dataset_folder_is_neither_followed_nor_published(name, home, zoobench):
    folder, secret = home / "tetris-zoo-tiny", home.parent / "secret"
    (folder / name).rename(secret)
    (folder / name).symlink_to(secret)
    before = contents(home.parent) | ({"secret": secret.read_bytes()} if secret.is_file() else contents(secret))
    for command in (
        ("publish", folder, "zoobench/tetris-zoo-tiny", "--dry-run"),
        ("build", "tetris-zoo/seed", "--scale", "tiny", "--out", home),
    ):
        if name.endswith(".parquet") and command[0] == "build":
            continue  # it is replaced with its folder, and what it names stays
        outcome = zoobench(*command)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
        assert f"{folder / name} is a link" in outcome.err
    assert contents(home.parent) | ({"secret": secret.read_bytes()} if secret.is_file() else contents(secret)) == before


def test_a_folder_that_is_no_dataset_folder_is_refused_before_anything_is_trained(tmp_path, zoobench):
    folder = tmp_path / "tetris-zoo-tiny"
    (folder / "seed").mkdir(parents=True)
    (folder / "seed" / "notes.txt").write_text("mine")
    outcome = zoobench("build", "tetris-zoo/seed", "--scale", "tiny", "--out", tmp_path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"{folder} is there and is no dataset folder: it has no manifest.json" in outcome.err
    assert contents(tmp_path) == {(folder / "seed" / "notes.txt").relative_to(tmp_path): b"mine"}


def test_a_folder_of_another_repo_is_refused(home):
    (home / "tetris-zoo-tiny").rename(home / "mnist-zoo-tiny")
    with pytest.raises(ZoobenchError, match="mnist-zoo-tiny holds tetris-zoo-tiny, not mnist-zoo-tiny"):
        build(resolve("mnist-zoo-tiny/seed"), home)


def test_pictures_that_a_new_build_does_not_draw_are_removed(home):
    folder = home / "tetris-zoo-tiny"
    gone, stays = folder / "pictures" / "seed-old.png", folder / "pictures" / "hyp-old.png"
    for path in (gone, stays):
        path.write_bytes(b"")
    entry = {"path": "pictures/seed-old.png", "sha256": "0" * 64, "size": 0}
    change_manifest(folder, lambda config: config["files"].append(entry))
    build(SEED, home)
    assert not gone.exists()
    assert stays.exists()
