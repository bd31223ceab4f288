"""The loopback Hub, driven by the real clients over HTTP."""

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import pyarrow.parquet as pq
import pytest

from zoobench.data.manifest import read_manifest
from zoobench.errors import ZoobenchError
from zoobench.files import sha256_of
from zoobench.publishing.serve import dataset_folders, running


@pytest.fixture(scope="module")
def endpoint(tiny_home):
    with running(tiny_home) as url:
        yield url


def client(code, endpoint, tmp_path):
    """Run client code in a fresh process whose Hub is ``endpoint``; returns what it prints as JSON."""
    environment = {"PATH": "/usr/bin:/bin", "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def get(url, method="GET", **headers):
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_load_dataset_by_its_hub_name_gives_the_stored_rows(endpoint, tmp_path, tiny_home):
    code = """
import json
from datasets import load_dataset
zoo = load_dataset("zoobench/tetris-zoo-tiny")
rows = {split: zoo[split][3] for split in zoo}
print(json.dumps({split: [zoo[split].num_rows, row["example_id"], row["weights"]] for split, row in rows.items()}))
"""
    loaded = client(code, endpoint, tmp_path)
    for split, (count, example, weights) in loaded.items():
        table = pq.read_table(tiny_home / "tetris-zoo-tiny" / "seed" / f"{split}-00000-of-00001.parquet")
        row = table.slice(3, 1).to_pylist()[0]
        assert (count, example, weights) == (len(table), row["example_id"], row["weights"])
    assert set(loaded) == {"train", "validation", "test"}


def test_streaming_gives_rows_in_order(endpoint, tmp_path, tiny_home):
    code = """
import json
from datasets import load_dataset
zoo = load_dataset("zoobench/tetris-zoo-tiny", streaming=True)
print(json.dumps([[row["example_id"], len(row["weights"])] for row in zoo["test"]]))
"""
    table = pq.read_table(tiny_home / "tetris-zoo-tiny" / "seed" / "test-00000-of-00001.parquet")
    assert client(code, endpoint, tmp_path) == [[example, 100] for example in table["example_id"].to_pylist()]


def test_huggingface_hub_downloads_lists_and_reports_what_is_missing(endpoint, tmp_path):
    code = """
import hashlib, json, os
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
api, repo = HfApi(), "zoobench/tetris-zoo-tiny"
seen = {"sha": api.dataset_info(repo).sha, "files": api.list_repo_files(repo, repo_type="dataset")}
seen["tree"] = [entry.path for entry in api.list_repo_tree(repo, "labels", repo_type="dataset", recursive=True)]
infos = api.get_paths_info(repo, ["seed/test-00000-of-00001.parquet"], repo_type="dataset")
seen["info"] = [[info.path, info.lfs.sha256] for info in infos]
path = hf_hub_download(repo, "labels/seed/test.parquet", repo_type="dataset")
seen["labels"] = hashlib.sha256(open(path, "rb").read()).hexdigest()
seen["snapshot"] = sorted(os.listdir(snapshot_download(repo, repo_type="dataset")))
for name, call in {
    "entry": lambda: hf_hub_download(repo, "nothing.txt", repo_type="dataset"),
    "repo": lambda: api.dataset_info("zoobench/nothing"),
    "revision": lambda: api.dataset_info(repo, revision="v9"),
}.items():
    try:
        call()
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        seen[name] = type(error).__name__
print(json.dumps(seen))
"""
    seen = client(code, endpoint, tmp_path)
    assert len(seen["sha"]) == 40
    assert "labels/seed/test.parquet" in seen["files"]
    assert "labels/seed" in seen["tree"]
    assert seen["snapshot"] == ["README.md", "labels", "manifest.json", "pictures", "references", "seed"]
    assert seen["entry"] == "RemoteEntryNotFoundError"
    assert seen["repo"] == "RepositoryNotFoundError"
    assert seen["revision"] == "RevisionNotFoundError"
    assert seen["info"][0][0] == "seed/test-00000-of-00001.parquet"


def test_load_zoo_takes_a_pinned_revision_from_the_hub(endpoint, tiny_home, tmp_path):
    """Although the zoo is in ZOOBENCH_DATA too; an unknown revision is one clear error."""
    code = f"""
import json, os
os.environ["ZOOBENCH_DATA"] = {str(tiny_home)!r}
import zoobench
from huggingface_hub import HfApi
from zoobench.errors import ZoobenchError
sha = HfApi().dataset_info("zoobench/tetris-zoo-tiny").sha
zoo = zoobench.load_zoo("tetris-zoo-tiny/seed", split="test", revision=sha)
cached = [name for _, _, names in os.walk(os.environ["HF_HOME"]) for name in names if name.startswith("test-")]
try:
    zoobench.load_zoo("tetris-zoo-tiny/seed", revision="v9")
except ZoobenchError as error:
    message = str(error)
print(json.dumps([zoo.weights.shape[0], cached, message]))
"""
    table = pq.read_table(tiny_home / "tetris-zoo-tiny" / "seed" / "test-00000-of-00001.parquet")
    rows, cached, message = client(code, endpoint, tmp_path)
    assert (rows, cached) == (len(table), ["test-00000-of-00001.parquet"])
    assert message.startswith("cannot get manifest.json of the Hub dataset 'zoobench/tetris-zoo-tiny' at revision 'v9'")
    assert "\n" not in message


def test_a_download_that_went_bad_in_the_hubs_cache_is_told_with_the_way_out(endpoint, tmp_path):
    code = """
import json, os
from pathlib import Path
import zoobench
from zoobench.errors import ZoobenchError
os.environ["ZOOBENCH_DATA"] = "nowhere"
def load():
    return zoobench.load_zoo("tetris-zoo-tiny/seed", split="test").weights.tolist()
before = load()
(path,) = Path(os.environ["HF_HOME"]).rglob("test-00000-of-00001.parquet")
blob = path.resolve()
content = bytearray(blob.read_bytes())
content[len(content) // 2] ^= 1
blob.write_bytes(content)
try:
    load()
except ZoobenchError as error:
    message = str(error)
blob.unlink()
print(json.dumps([message.startswith(f"{path} has sha256 "), message.endswith(
    f"; delete {blob}, and it is downloaded again"), load() == before]))
"""
    assert client(code, endpoint, tmp_path) == [True, True, True]


def test_files_come_with_their_sha256_as_etag_and_in_ranges(endpoint, tiny_home):
    path = tiny_home / "tetris-zoo-tiny" / "seed" / "test-00000-of-00001.parquet"
    content = path.read_bytes()
    url = f"{endpoint}/datasets/zoobench/tetris-zoo-tiny/resolve/main/seed/{path.name}"
    status, headers, body = get(url)
    headers = {name.lower(): value for name, value in headers.items()}
    assert (status, body) == (200, content)
    assert headers["etag"] == f'"{sha256_of(path)}"'
    assert len(headers["x-repo-commit"]) == 40
    status, headers, body = get(url, Range="bytes=100-299")
    headers = {name.lower(): value for name, value in headers.items()}
    assert (status, body) == (206, content[100:300])
    assert headers["content-range"] == f"bytes 100-299/{len(content)}"
    assert get(url, Range="bytes=-8")[2] == content[-8:]
    status, headers, body = get(url, method="HEAD")
    assert (status, body) == (200, b"")
    assert {name.lower(): value for name, value in headers.items()}["content-length"] == str(len(content))


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2fmanifest.json",
        ".hidden",
        "",
        "a%0d%0aSet-Cookie:b",
        "%E2%82%AC",
    ],
)
def test_nothing_outside_the_dataset_folder_is_served(endpoint, tiny_home, path):
    (tiny_home / "tetris-zoo-tiny" / ".hidden").write_text("secret")
    status, _, body = get(f"{endpoint}/datasets/zoobench/tetris-zoo-tiny/resolve/main/{path}")
    (tiny_home / "tetris-zoo-tiny" / ".hidden").unlink()
    assert status == 404
    assert b"secret" not in body


@pytest.fixture
def served(tmp_path, tiny_home):
    """A copy of the tiny zoo that a test may change, and its address."""
    folder = tmp_path / "home" / "tetris-zoo-tiny"
    shutil.copytree(tiny_home / "tetris-zoo-tiny", folder)
    with running(folder) as url:
        yield folder, f"{url}/api/datasets/zoobench/tetris-zoo-tiny", f"{url}/datasets/zoobench/tetris-zoo-tiny"


def test_the_commit_changes_when_the_dataset_does(served):
    """Rows that the manifest does not describe are another commit, too: clients keep what they have by commit."""
    folder, info, _ = served
    commits = [json.loads(get(info)[2])["sha"]]
    (folder / "README.md").write_text("changed")
    commits.append(json.loads(get(info)[2])["sha"])
    rows = folder / "seed" / "test-00000-of-00001.parquet"
    content = rows.read_bytes()
    rows.write_bytes(content[:-1] + b"?")
    commits.append(json.loads(get(info)[2])["sha"])
    assert len(set(commits)) == 3
    rows.write_bytes(content)
    assert json.loads(get(info)[2])["sha"] == commits[1]


def test_a_mark_makes_another_commit_of_the_same_files(tiny_home):
    commits = []
    for mark in ("", "default"):
        with running(tiny_home, mark) as url:
            commits.append(json.loads(get(f"{url}/api/datasets/zoobench/tetris-zoo-tiny")[2])["sha"])
    assert len(set(commits)) == 2


def test_a_link_that_leaves_the_folder_is_not_served(served, tmp_path):
    folder, info, files = served
    (tmp_path / "secret").write_text("secret")
    (folder / "notes.md").symlink_to(tmp_path / "secret")
    (folder / "more").symlink_to(tmp_path)
    (folder / "card.md").symlink_to("README.md")
    for name in ("notes.md", "more/secret"):
        assert get(f"{files}/resolve/main/{name}")[0] == 404
    assert get(f"{files}/resolve/main/card.md")[2] == (folder / "README.md").read_bytes()
    assert "notes.md" not in json.dumps(json.loads(get(info)[2]))


def test_one_dataset_folder_or_a_folder_of_them(tiny_home):
    assert list(dataset_folders(tiny_home)) == list(dataset_folders(tiny_home / "tetris-zoo-tiny"))
    assert read_manifest(dataset_folders(tiny_home)["zoobench/tetris-zoo-tiny"]).repo == "tetris-zoo-tiny"


def test_a_folder_without_datasets_is_refused(zoobench, tmp_path):
    with pytest.raises(ZoobenchError, match="no dataset folder"):
        dataset_folders(tmp_path)
    outcome = zoobench("serve", tmp_path / "nowhere")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def test_a_taken_port_is_named(zoobench, endpoint, tiny_home):
    port = endpoint.rsplit(":", 1)[1]
    outcome = zoobench("serve", tiny_home, "--port", port)
    assert outcome.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in outcome.err
