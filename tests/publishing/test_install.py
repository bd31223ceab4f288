"""After `zoobench install` (here: in quickstart) the plain Hub name works with no Hub in reach."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from zoobench import errors
from zoobench.building.build import build
from zoobench.data.folder import DatasetFolder
from zoobench.data.hub import load_split
from zoobench.publishing import installed
from zoobench.publishing.install import install
from zoobench.zoos import resolve

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
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "tetris-zoo-tiny")
    for file in (tmp_path / "tetris-zoo-tiny" / "seed").iterdir():
        file.write_bytes(b"broken")
    outcome = zoobench("install", tmp_path / "tetris-zoo-tiny")
    assert outcome.code == 2
    assert outcome.err.startswith("error: cannot load zoobench/tetris-zoo-tiny from ")
    assert outcome.err.count("\n") == 1


LOAD = """
import json, sys
from datasets import load_dataset
def first(*config):
    return load_dataset("zoobench/tetris-zoo-tiny", *config, split="test")[0]
print(json.dumps({name: [first(*name.split())[key] for key in ("example_id", "weights")] for name in sys.argv[1:]}))
"""


def offline(hub_cache, *configs):
    """What the real client gives with no Hub in reach: by config ("" for none), id and weights of the first row."""
    environment = os.environ | {"HF_HOME": str(hub_cache), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOAD, *configs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def first(home, config):
    """The same, of a zoo that was built in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOOBENCH_DATA", str(home))
        split = load_split(resolve(f"tetris-zoo-tiny/{config}"), "test")
    return [split.labels["example_id"][0], split.weights[0].tolist()]


@pytest.fixture(scope="module")
def both(once, tiny_home):
    """A data home that holds both configs of ``tetris-zoo-tiny``."""

    def make(home):
        shutil.copytree(tiny_home, home, dirs_exist_ok=True)
        build(resolve("tetris-zoo-tiny/hyp"), home)

    return once("both", make)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf"


def test_a_name_without_a_config_means_the_default_although_several_are_installed(both, tiny_hyp_home, hub_cache):
    """And although another config is installed later, from elsewhere."""
    seed, hyp = first(both, "seed"), first(both, "hyp")
    install(both)
    assert offline(hub_cache, "", "seed", "hyp") == {"": seed, "seed": seed, "hyp": hyp}
    install(tiny_hyp_home)
    assert offline(hub_cache, "", "hyp") == {"": seed, "hyp": first(tiny_hyp_home, "hyp")}


def test_a_zoo_that_is_built_again_is_warned_of_and_superseded_by_install(zoobench, tiny_home, hub_cache, tmp_path):
    home, folder = tmp_path / "home", tmp_path / "home" / "tetris-zoo-tiny"
    shutil.copytree(tiny_home, home)
    install(home)
    outcome = zoobench("build", "tetris-zoo-tiny/seed", "--out", home, "--seed", 1)
    said = re.fullmatch(
        r'warning: load_dataset\("zoobench/tetris-zoo-tiny", "seed"\) still gives the rows that were installed before '
        rf"\(sha256 (\w{{12}})…\), not these \(sha256 (\w{{12}})…\); to have these: zoobench install {folder}",
        outcome.err.splitlines()[-1],
    )
    assert said
    assert said[1] != said[2]
    install(home)
    assert offline(hub_cache, "")[""] == first(home, "seed")
    assert first(home, "seed")[1] != first(tiny_home, "seed")[1]
    install(tiny_home)
    assert offline(hub_cache, "")[""] == first(tiny_home, "seed")


def test_nothing_is_said_of_a_zoo_whose_rows_are_installed(tiny_home, tmp_path, monkeypatch):
    """Nor of one that is not installed, or of what somebody else has put there."""
    monkeypatch.setattr(errors, "_said", set())
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    folder = DatasetFolder(tiny_home / "tetris-zoo-tiny")
    loaded = tmp_path / "zoobench___tetris-zoo-tiny" / "seed" / "0.0.0" / "abc"
    installed.note_if_outdated(folder, "seed")
    loaded.mkdir(parents=True)
    for content in ("", "{}", "[]", "null", '{"rows_sha256": null}', "\0"):
        (loaded / "zoobench.json").write_text(content)
        installed.note_if_outdated(folder, "seed")
    installed.note(loaded, "seed", folder.config("seed"))
    installed.note_if_outdated(folder, "seed")
    assert errors._said == set()


def test_no_setting_of_the_user_leads_the_loading_elsewhere(tiny_home, tmp_path):
    """Proxies that nobody answers, a ``datasets.py`` in the folder and on the path, switches of Python and the Hub."""
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("datasets", "huggingface_hub", "fsspec"):
        (trap / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    environment = os.environ | {
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": os.pathsep.join(["", str(trap), os.environ.get("PYTHONPATH", "")]),
        "PYTHONWARNINGS": "ignore",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_IN_MEMORY_MAX_SIZE": "1000000000",
        "HF_HUB_ENABLE_HF_TRANSFER": "1",
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "SSL_CERT_FILE": str(tmp_path / "none.pem"),
    }
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        environment[name] = environment[name.upper()] = "http://127.0.0.1:9"
    for name in ("no_proxy", "NO_PROXY"):
        environment.pop(name, None)
    code = "import sys; sys.path[:] = [p for p in sys.path if p not in ('', sys.argv[1])]\n"
    code += (
        "from pathlib import Path\nfrom zoobench.publishing.install import install\nprint(install(Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(trap), str(tiny_home)]
    done = subprocess.run(command, cwd=trap, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'zoobench/tetris-zoo-tiny': ['seed']}\n"


def test_a_broken_zoo_does_not_keep_the_others_from_being_installed(zoobench, both, tiny_home, hub_cache, tmp_path):
    """A flipped byte is found before ``datasets`` could keep it; a foreign manifest is left out."""
    for name in ("tetris-zoo-tiny", "broken"):
        shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "home" / name)
    (tmp_path / "home" / "foreign").mkdir()
    (tmp_path / "home" / "foreign" / "manifest.json").write_text('{"name": "a web app"}')
    broken = tmp_path / "home" / "broken" / "seed" / "test-00000-of-00001.parquet"
    content = bytearray(broken.read_bytes())
    content[len(content) // 2] ^= 1
    broken.write_bytes(content)
    outcome = zoobench("install", tmp_path / "home")
    assert outcome.code == 2
    left_out, failed = outcome.err.splitlines()
    assert left_out.startswith(f"warning: left out {tmp_path}/home/foreign: ")
    assert failed.startswith(f"error: cannot load zoobench/broken from {tmp_path}/home/broken: {broken} has sha256 ")
    assert failed.endswith("; installed: zoobench/tetris-zoo-tiny")
    assert offline(hub_cache, "")[""] == first(tiny_home, "seed")
    (note,) = (hub_cache / "datasets").glob("*/seed/*/*/zoobench.json")
    note.unlink()
    note.mkdir()
    outcome = zoobench("install", tiny_home)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert str(note) in outcome.err
