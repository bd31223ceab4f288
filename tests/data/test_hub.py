import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import zoobench as package
from zoobench import errors
from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.zoos import resolve


def test_a_split_is_one_matrix_with_its_labels_beside_it(tiny, tiny_home):
    split = hub.load_split(tiny, "train")
    stored = pq.read_table(tiny_home / "tetris-zoo-tiny" / "seed" / "train-00000-of-00001.parquet").to_pylist()
    assert split.weights.shape == (len(stored), 100)
    assert split.weights.dtype == np.float32
    assert split.labels["example_id"].tolist() == [row["example_id"] for row in stored]
    assert np.array_equal(split.weights[7], np.array(stored[7]["weights"], dtype=np.float32))
    assert "weights" not in split.labels


def test_built_zoos_are_found_in_the_data_home(tiny):
    assert hub.built_zoos() == ["tetris-zoo-tiny/seed"]


def test_folders_given_first_are_searched_first(tiny, tmp_path, tiny_home):
    pinned = tmp_path / "pinned" / "tetris-zoo-tiny"
    pinned.mkdir(parents=True)
    shutil.copy(tiny_home / "tetris-zoo-tiny" / "manifest.json", pinned)
    with pytest.raises(ZoobenchError, match="although the manifest of tetris-zoo-tiny/seed lists it"):
        hub.load_labels(tiny, "test", hub.Store([tmp_path / "pinned"]))
    shutil.copytree(tiny_home / "tetris-zoo-tiny" / "labels", pinned / "labels")
    assert len(hub.load_labels(tiny, "test", hub.Store([tmp_path / "pinned"])).frame) == 18


def test_a_missing_file_of_a_built_zoo_is_named(tiny, tmp_path, tiny_home, monkeypatch):
    shutil.copytree(tiny_home, tmp_path / "home")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    (tmp_path / "home" / "tetris-zoo-tiny" / "seed" / "train-00000-of-00001.parquet").unlink()
    with pytest.raises(ZoobenchError, match=r"no file .*/seed/train-00000-of-00001.parquet, although"):
        hub.load_split(tiny, "train")


def test_a_zoo_that_is_nowhere_is_named():
    with pytest.raises(ZoobenchError, match="zoo 'mnist-zoo-lite/seed' is neither in "):
        hub.load_labels(resolve("mnist-zoo-lite/seed"), "test")


def test_load_zoo_gives_one_writable_matrix_and_the_columns_that_were_asked_for(tiny, tiny_home):
    zoo = package.load_zoo("tetris-zoo-tiny/seed", split="test", columns=["example_id", "test_accuracy"])
    stored = pq.read_table(tiny_home / "tetris-zoo-tiny" / "seed" / "test-00000-of-00001.parquet")
    assert list(zoo.labels) == ["example_id", "test_accuracy"]
    assert zoo.labels["test_accuracy"].tolist() == stored["test_accuracy"].to_pylist()
    assert (zoo.weights.dtype, zoo.weights.flags.c_contiguous, zoo.weights.flags.writeable) == (np.float32, True, True)
    assert zoo.weights.tolist() == stored["weights"].to_pylist()
    first = zoo.layout.to_matrices(zoo.weights)["fc1"]
    assert first[2].ravel().tolist() == stored["weights"].to_pylist()[2][:80]


def test_a_mapped_matrix_is_the_same_and_decoded_once(tiny, tiny_home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    read = package.load_zoo("tetris-zoo-tiny/seed", split="train")
    first = package.load_zoo("tetris-zoo-tiny/seed", split="train", memory_map=True)
    (copy,) = (tmp_path / "cache").rglob("*.npy")
    written = copy.stat().st_mtime_ns
    second = package.load_zoo("tetris-zoo-tiny/seed", split="train", memory_map=True)
    for mapped in (first, second):
        assert isinstance(mapped.weights, np.memmap)
        assert not mapped.weights.flags.writeable
        assert np.array_equal(mapped.weights, read.weights)
    assert copy.stat().st_mtime_ns == written
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_without_a_place_for_copies_weights_are_read_and_that_is_said_once(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with warnings.catch_warnings(record=True, action="always") as said:
        zoos = [package.load_zoo("tetris-zoo-tiny/seed", memory_map=True) for _ in range(2)]
    assert np.array_equal(zoos[1].weights, package.load_zoo("tetris-zoo-tiny/seed").weights)
    assert not zoos[1].weights.flags.writeable
    assert [str(each.message) for each in said] == [
        f"weights are read into memory, no decoded copy is kept in {tmp_path}/file/zoobench/weights: Not a directory"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tetris-zoo-tiny/seed", "trian"), "unknown split 'trian'; did you mean 'train'?"),
        (("tetris-zoo-tiny/seed", "test", ["test_acuracy"]), "unknown column 'test_acuracy'; did you mean"),
        (("tetris-zo/seed",), "unknown zoo 'tetris-zo/seed'; did you mean 'tetris-zoo/seed'?"),
    ],
)
def test_load_zoo_says_what_it_does_not_know(tiny, arguments, message):
    with pytest.raises(ZoobenchError) as error:
        package.load_zoo(*arguments)
    assert message in str(error.value)


def changed(text, **fields):
    return json.dumps(json.loads(text) | fields)


def other_zoo(text, zoo):
    manifest = json.loads(text)
    manifest["configs"]["seed"]["zoo"] = zoo
    return json.dumps(manifest)


# What may lie in a folder as ``manifest.json`` and is not ours, and what is said of it.
FOREIGN = {
    "a web app's": (lambda text: '{"name": "App", "icons": []}', "schema version None"),
    "of another version": (lambda text: changed(text, schema_version=99), "schema version 99"),
    "with more fields": (lambda text: changed(text, mood="good"), "mood"),
    "a list": (lambda text: "[1, 2]", "schema version None"),
    "cut": (lambda text: text[:200], "cannot read"),
    "empty": (lambda text: "", "cannot read"),
    "deep": (lambda text: "[" * 100_000, "cannot read"),
    "binary": (lambda text: "\udc80\udcff", "cannot read"),
    "of an unknown zoo": (lambda text: other_zoo(text, "foreign/seed"), "unknown zoo 'foreign/seed'"),
    "of another zoo": (lambda text: other_zoo(text, "cnn-zoo-2/cifar10"), "is of the zoo 'cnn-zoo-2/cifar10'"),
}


@pytest.fixture
def mixed(tiny_home, tmp_path, monkeypatch):
    """``ZOOBENCH_DATA`` with the tiny zoo and a folder ``foreign``, and what notes say."""
    monkeypatch.setattr(errors, "_said", set())
    shutil.copytree(tiny_home, tmp_path / "home")
    (tmp_path / "home" / "foreign").mkdir()
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_ours_is_named_once_and_left_out(zoobench, mixed, kind):
    make, said = FOREIGN[kind]
    ours = (mixed / "tetris-zoo-tiny" / "manifest.json").read_text()
    (mixed / "foreign" / "manifest.json").write_text(make(ours), errors="surrogateescape")
    outcome = zoobench("zoos", "--json")
    assert outcome.code == 0
    assert [zoo["built_here"] for zoo in json.loads(outcome.out) if zoo["zoo"] == "tetris-zoo/seed"] == [
        ["tetris-zoo-tiny/seed"]
    ]
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith(f"warning: left out {mixed}/foreign: ")
    assert said in outcome.err
    assert hub.built_zoos() == ["tetris-zoo-tiny/seed"]
    assert len(hub.load_labels(resolve("tetris-zoo-tiny/seed"), "test").frame) == 18


@pytest.mark.parametrize("kind", sorted(FOREIGN))
def test_a_broken_manifest_of_the_zoo_that_is_asked_for_is_one_line(zoobench, mixed, tmp_path, kind):
    path = mixed / "tetris-zoo-tiny" / "manifest.json"
    path.write_text(FOREIGN[kind][0](path.read_text()), errors="surrogateescape")
    outcome = zoobench("plot", "zoo", "tetris-zoo-tiny/seed", "--out", tmp_path / "pictures")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert str(path.parent) in outcome.err


def test_what_is_no_manifest_at_all_is_passed_over(mixed):
    for name in ("loop", "nowhere"):
        (mixed / name).symlink_to(name)
    (mixed / "notes.txt").write_text("rows")
    (mixed / "foreign" / "manifest.json").mkdir()
    (mixed / "pipe").mkdir()
    os.mkfifo(mixed / "pipe" / "manifest.json")
    assert hub.built_zoos() == ["tetris-zoo-tiny/seed"]


def test_a_folder_that_may_not_be_read_is_left_out(mixed, monkeypatch):
    """As it is for who is not root."""
    real = Path.is_file

    def is_file(path):
        if path.parent.name == "foreign":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    with pytest.warns(UserWarning, match="left out .*/foreign: cannot read .*Permission denied"):
        assert hub.built_zoos() == ["tetris-zoo-tiny/seed"]


def test_a_data_home_that_is_no_folder_is_one_line(zoobench, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    outcome = zoobench("zoos")
    assert (outcome.code, outcome.err) == (2, f"error: cannot read {tmp_path}/home: Not a directory\n")


def test_the_data_home_may_be_given_from_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOOBENCH_DATA", "~/zoos")
    assert hub.data_home() == tmp_path / "zoos"


def test_without_a_home_a_place_for_zoos_is_asked_for_and_weights_are_read_all_the_same(
    zoobench, tiny_home, monkeypatch
):
    """As of a user whom the system does not know, in a container."""

    def unknown(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ZOOBENCH_DATA")
    monkeypatch.setattr("platformdirs.user_cache_path", unknown)
    outcome = zoobench("zoos")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "no folder for caches" in outcome.err
    assert "set ZOOBENCH_DATA to the folder of zoos" in outcome.err
    monkeypatch.setenv("ZOOBENCH_DATA", str(tiny_home))
    with pytest.warns(UserWarning, match="weights are read into memory, no decoded copy is kept: no folder for caches"):
        mapped = package.load_zoo("tetris-zoo-tiny/seed", "test", memory_map=True).weights
    assert np.array_equal(mapped, package.load_zoo("tetris-zoo-tiny/seed", "test").weights)


def test_a_strangers_zoo_that_claims_the_same_files_does_not_take_the_place_of_the_true_one(
    tiny_home, tmp_path, monkeypatch
):
    """Its manifest is that of the true zoo, its weights are not: refused, and no copy of them is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(tiny_home, tmp_path / "stranger")
    path = tmp_path / "stranger" / "tetris-zoo-tiny" / "seed" / "test-00000-of-00001.parquet"
    shutil.copy(path.with_name("validation-00000-of-00001.parquet"), path)
    for home, good in ((tmp_path / "stranger", False), (tiny_home, True), (tmp_path / "stranger", False)):
        monkeypatch.setenv("ZOOBENCH_DATA", str(home))
        if good:
            mapped = package.load_zoo("tetris-zoo-tiny/seed", "test", memory_map=True).weights
            assert np.array_equal(mapped, package.load_zoo("tetris-zoo-tiny/seed", "test").weights)
        else:
            with pytest.raises(ZoobenchError, match="the manifest says"):
                package.load_zoo("tetris-zoo-tiny/seed", "test", memory_map=True)
