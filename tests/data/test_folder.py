import hashlib
import shutil
from pathlib import Path

import pytest

from zoobench.data import hub, manifest
from zoobench.data.folder import DatasetFolder, HubDataset, NotOnHubError, Places, below
from zoobench.data.hub import Store
from zoobench.errors import ZoobenchError
from zoobench.zoos import resolve


@pytest.fixture
def copied(tiny_home, tmp_path, monkeypatch):
    """A copy of the tiny zoo that a test may change, in ``ZOOBENCH_DATA``."""
    folder = tmp_path / "home" / "tetris-zoo-tiny"
    shutil.copytree(tiny_home / "tetris-zoo-tiny", folder)
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    return DatasetFolder(folder)


@pytest.fixture
def reads(monkeypatch):
    """The manifest files that are read, in order."""
    found = []
    real = Path.read_text

    def read_text(path, *arguments, **named):
        found.extend([path] * (path.name == "manifest.json"))
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", read_text)
    return found


def test_places_are_those_that_the_design_names():
    places = Places("seed")
    assert places.shard("test", 2, 10) == "seed/test-00002-of-00010.parquet"
    assert places.labels_of("train") == "labels/seed/train.parquet"
    assert places.protocol("nfn") == "protocols/seed/nfn.parquet"
    assert places.reference("constant") == "references/seed/constant.parquet"
    assert places.picture("weights") == "pictures/seed-weights.png"
    assert places.folders == ("seed", "labels/seed", "protocols/seed", "references/seed")


def test_files_are_told_apart_by_split_and_folder():
    paths = [
        "seed/test-00000-of-00002.parquet",
        "seed/test-00001-of-00002.parquet",
        "seed/train-00000-of-00001.parquet",
    ]
    paths += ["labels/seed/test.parquet", "labels/seed-2/test.parquet"]
    paths += ["seed-2/test-00000-of-00001.parquet"]
    listed = [manifest.FileEntry(path=path, sha256="", size=0) for path in paths]
    assert [file.path for file in Places("seed").row_files("test", listed)] == paths[:2]
    assert below(Places("seed").labels, listed) == ["labels/seed/test.parquet"]


def test_a_checked_file_comes_with_the_sha256_of_its_bytes(copied):
    path, digest = copied.checked("labels/seed/test.parquet", copied.config("seed"))
    assert path == copied.path / "labels" / "seed" / "test.parquet"
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_changed_is_refused(copied):
    path = copied.path / "labels" / "seed" / "test.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ZoobenchError, match=r"has sha256 .*, the manifest says .*; build or download tetris-zoo-tiny"):
        copied.checked("labels/seed/test.parquet", copied.config("seed"))
    with pytest.raises(ZoobenchError, match="the manifest of tetris-zoo-tiny/seed lists no file 'labels/seed/more"):
        copied.checked("labels/seed/more.parquet", copied.config("seed"))


def test_a_config_that_is_not_there_is_named_with_those_that_are(copied):
    with pytest.raises(ZoobenchError, match="tetris-zoo-tiny has no config 'sed'; it has: seed"):
        copied.config("sed")
    assert not copied.has_config("sed")
    assert not DatasetFolder(copied.path / "nothing").has_config("seed")


def test_a_manifest_that_was_written_is_the_one_that_is_read(copied):
    changed = copied.manifest.model_copy(update={"configs": {}})
    copied.write_manifest(changed)
    assert copied.manifest == DatasetFolder(copied.path).manifest == changed


def test_what_is_not_on_the_hub_is_named():
    with pytest.raises(NotOnHubError, match=r"cannot get manifest.json of the Hub dataset 'zoobench/none' at revision"):
        HubDataset("zoobench/none", "v9").config("seed")


def test_a_store_reads_a_manifest_once(copied, reads):
    store, zoo = Store(), resolve("tetris-zoo-tiny/seed")
    for split in ("train", "validation", "test"):
        hub.load_split(zoo, split, store=store)
        hub.load_labels(zoo, split, store)
    assert hub.reference_files(zoo, store)
    assert reads == [copied.path / "manifest.json"]


def test_a_store_takes_the_first_folder_that_has_the_config(tiny_home, tiny_hyp_home, tmp_path, monkeypatch):
    """The same repo in three places, each with one config."""
    monkeypatch.setenv("ZOOBENCH_DATA", str(tiny_home))
    shutil.copytree(tiny_hyp_home, tmp_path / "given")
    store = Store([tmp_path / "nowhere", tmp_path / "given", tiny_hyp_home])
    found = {config: store.find(resolve(f"tetris-zoo-tiny/{config}")).files.path for config in ("hyp", "seed")}
    assert found == {"hyp": tmp_path / "given" / "tetris-zoo-tiny", "seed": tiny_home / "tetris-zoo-tiny"}


def test_a_zoo_that_was_built_again_is_seen_by_the_next_operation(copied, tiny_home):
    zoo = resolve("tetris-zoo-tiny/seed")
    rows = hub.load_split(zoo, "test").labels
    shutil.copy(
        copied.path / "labels" / "seed" / "validation.parquet", copied.path / "labels" / "seed" / "test.parquet"
    )
    files = [manifest.file_entry(copied.path, copied.path / entry.path) for entry in copied.config("seed").files]
    changed = copied.config("seed").model_copy(update={"files": files})
    DatasetFolder(copied.path).write_manifest(copied.manifest.model_copy(update={"configs": {"seed": changed}}))
    again = hub.load_labels(zoo, "test").frame
    assert not set(again["example_id"]) & set(rows["example_id"])
