import shutil
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest

import zoobench as package
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
        f"no decoded copy of weights in {tmp_path}/file/zoobench/weights (Not a directory): they are read into memory"
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
