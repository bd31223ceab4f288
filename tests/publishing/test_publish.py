"""Publishing to a Hub on loopback and reading it back with the real clients."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from zoobench.data.manifest import read_manifest
from zoobench.files import sha256_of

from ..loopback_hub import TOKEN, CuttingProxy, LoopbackHub, running

REPO = "zoobench/tetris-zoo-tiny"


@pytest.fixture
def hub(tmp_path):
    hub = LoopbackHub(tmp_path / "hub")
    with running(hub) as url:
        hub.url = url
        yield hub


@pytest.fixture
def folder(tiny_home, tmp_path):
    shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "tetris-zoo-tiny")
    return tmp_path / "tetris-zoo-tiny"


def environment(url, tmp_path, token):
    kept = {"PATH": os.environ["PATH"], "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf")}
    # The content-addressed transfer of the real Hub has no stand-in here; the client's LFS path is used.
    kept |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return kept | ({"HF_TOKEN": token} if token else {})


def publish(url, tmp_path, folder, *arguments, token=TOKEN, repo=REPO):
    command = [sys.executable, "-m", "zoobench", "publish", str(folder), repo, *map(str, arguments)]
    return subprocess.run(
        command, env=environment(url, tmp_path, token), capture_output=True, text=True, check=False, timeout=120
    )


def client(url, tmp_path, code):
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(url, tmp_path, None), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOAD_ALL = f"""
import json
from datasets import load_dataset
zoo = load_dataset("{REPO}")
print(json.dumps({{split: zoo[split].to_list() for split in zoo}}))
"""


def check_rows(loaded, folder):
    assert sorted(loaded) == ["test", "train", "validation"]
    for split, rows in loaded.items():
        assert rows == pq.read_table(folder / "seed" / f"{split}-00000-of-00001.parquet").to_pylist()


def test_what_is_published_is_what_load_dataset_gives(hub, folder, tmp_path):
    done = publish(hub.url, tmp_path, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"published {REPO}: {hub.url}/datasets/{REPO}/commit/")
    assert hub.commits == [f"tetris-zoo-tiny: seed; manifest sha256 {sha256_of(folder / 'manifest.json')}"]
    published = {path.relative_to(hub.folder(REPO)): path.read_bytes() for path in hub.folder(REPO).rglob("*.*")}
    assert published == {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
    check_rows(client(hub.url, tmp_path, LOAD_ALL), folder)
    assert not hub.private[REPO]
    assert TOKEN not in done.stdout + done.stderr


def test_a_private_dataset_is_created_as_one(hub, folder, tmp_path):
    assert publish(hub.url, tmp_path, folder, "--private").returncode == 0
    assert hub.private[REPO] is True


def test_a_dry_run_lists_and_sends_nothing(hub, folder, tmp_path):
    done = publish(hub.url, tmp_path, folder, "--dry-run", token=None)
    assert done.returncode == 0, done.stderr
    assert "seed/train-00000-of-00001.parquet" in done.stdout
    assert f"as {REPO}: tetris-zoo-tiny: seed; manifest sha256 " in done.stdout
    assert hub.log == []


def test_a_folder_that_is_not_sound_is_refused(hub, folder, tmp_path):
    path = folder / "seed" / "test-00000-of-00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = publish(hub.url, tmp_path, folder)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "is not sound and was not published: seed/test-00000-of-00001.parquet: its sha256" in done.stderr
    assert hub.log == []


@pytest.mark.parametrize(
    ("token", "message"),
    [(None, "no Hub token: set HF_TOKEN"), ("hf_secret_but_wrong", "the Hub refused the token (401)")],
)
def test_a_missing_or_refused_token_is_one_line_and_never_shown(hub, folder, tmp_path, token, message):
    done = publish(hub.url, tmp_path, folder, token=token)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert "hf_secret_but_wrong" not in done.stderr
    assert hub.commits == []
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"hf_secret_but_wrong" in path.read_bytes() for path in written)


@pytest.mark.parametrize("repo", ["zoobench/tetris-zoo", "tetris-zoo-tiny", "zoobench/cnn-zoo-2"])
def test_a_dataset_is_published_under_its_own_name_only(hub, folder, tmp_path, repo):
    done = publish(hub.url, tmp_path, folder, repo=repo)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "holds tetris-zoo-tiny; publish it under that name" in done.stderr


def test_files_that_a_new_version_lacks_are_deleted(hub, folder, tmp_path):
    """Old shards would match the card's patterns and come back as rows."""
    assert publish(hub.url, tmp_path, folder).returncode == 0
    stale = hub.folder(REPO) / "seed" / "train-00000-of-00002.parquet"
    shutil.copy(hub.folder(REPO) / "seed" / "train-00000-of-00001.parquet", stale)
    (hub.folder(REPO) / "notes.txt").write_text("kept")
    assert publish(hub.url, tmp_path, folder).returncode == 0
    assert not stale.exists()
    assert (hub.folder(REPO) / "notes.txt").read_text() == "kept"
    check_rows(client(hub.url, tmp_path, LOAD_ALL), folder)


def test_configs_on_the_hub_are_not_lost(hub, folder, tmp_path):
    assert publish(hub.url, tmp_path, folder).returncode == 0
    path = hub.folder(REPO) / "manifest.json"
    content = json.loads(path.read_text())
    content["configs"]["hyp"] = content["configs"]["seed"] | {"files": []}
    path.write_text(json.dumps(content))
    done = publish(hub.url, tmp_path, folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{REPO} on the Hub also has hyp, which {folder} lacks" in done.stderr
    assert len(hub.commits) == 1


def test_a_cut_upload_is_tried_again(hub, folder, tmp_path):
    proxy = CuttingProxy(hub.url, "up", 100_000, cuts=1)
    done = publish(proxy.url, tmp_path, folder)
    proxy.close()
    assert (done.returncode, proxy.cut) == (0, 1), done.stderr
    check_rows(client(hub.url, tmp_path, LOAD_ALL), folder)


def test_an_upload_that_keeps_failing_publishes_nothing_and_goes_on_later(hub, folder, tmp_path):
    proxy = CuttingProxy(hub.url, "up", 100_000, cuts=1000)
    done = publish(proxy.url, tmp_path, folder)
    proxy.close()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(f"error: publishing {REPO} was interrupted (")
    assert "Traceback" not in done.stderr
    assert list(hub.folder(REPO).iterdir()) == []
    sent = {path.name for path in hub.objects.iterdir()}
    assert sent, "small files had got through"
    before = len(hub.log)
    assert publish(hub.url, tmp_path, folder).returncode == 0
    again = {path.rsplit("/", 1)[1] for method, path, _ in hub.log[before:] if method == "PUT"}
    assert again
    assert not again & sent, "files that were uploaded are not sent again"
    check_rows(client(hub.url, tmp_path, LOAD_ALL), folder)


def test_a_cut_download_is_survived(hub, folder, tmp_path):
    assert publish(hub.url, tmp_path, folder).returncode == 0
    proxy = CuttingProxy(hub.url, "down", 60_000, cuts=1)
    loaded = client(proxy.url, tmp_path / "elsewhere", LOAD_ALL)
    proxy.close()
    assert proxy.cut == 1
    check_rows(loaded, folder)


@pytest.fixture
def large(tmp_path, zoobench):
    """A zoo of several row groups per split: 500 networks of 75,146 weights, imported."""
    rng = np.random.default_rng(0)
    content = {
        f"w{k}": torch.from_numpy(rng.normal(size=(500, width)).astype(np.float32))
        for k, width in enumerate((640, 36928, 36928, 650), 1)
    }
    torch.save(content | {"test_acc": torch.rand(500)}, tmp_path / "file.pt")
    arguments = ("--zoo", "cnn-zoo-2/mnist", "--out", tmp_path, "--checkpoints-per-run", 1)
    outcome = zoobench("import", "comvex", tmp_path / "file.pt", *arguments)
    assert outcome.code == 0, outcome.err
    return tmp_path / "cnn-zoo-2"


def test_streaming_reads_only_the_ranges_that_it_needs(hub, large, tmp_path):
    repo = "zoobench/cnn-zoo-2"
    done = publish(hub.url, tmp_path, large, "--sample", 0, repo=repo)
    assert done.returncode == 0, done.stderr
    (path,) = (large / "mnist").glob("train-*.parquet")
    assert pq.ParquetFile(path).num_row_groups >= 7
    read = {}
    for what, more in {"rows": "", "labels": ', columns=["example_id", "test_accuracy"]'}.items():
        before = len(hub.log)
        code = f"""
import itertools, json, os
from datasets import load_dataset
zoo = load_dataset("{repo}", "mnist", split="train", streaming=True{more})
print(json.dumps([row["test_accuracy"] for row in itertools.islice(zoo, 3)]), flush=True)
os._exit(0)  # a reader thread of pyarrow that outlives an unfinished stream may crash the interpreter's end
"""
        found = client(hub.url, tmp_path / what, code)
        assert found == pq.read_table(path, columns=["test_accuracy"])["test_accuracy"].to_pylist()[:3]
        read[what] = sum(size for _, name, size in hub.log[before:] if name.endswith(path.name))
    assert read["rows"] < 0.5 * path.stat().st_size
    assert read["labels"] < 0.15 * path.stat().st_size
    assert read_manifest(large).configs["mnist"].rows == 500
