import numpy as np
import pyarrow.parquet as pq
import pytest

from zoobench import hub
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
    import shutil

    pinned = tmp_path / "pinned" / "tetris-zoo-tiny"
    pinned.mkdir(parents=True)
    shutil.copy(tiny_home / "tetris-zoo-tiny" / "manifest.json", pinned)
    with pytest.raises(ZoobenchError, match="although the manifest of tetris-zoo-tiny/seed lists it"):
        hub.load_labels(tiny, "test", homes=[tmp_path / "pinned"])
    shutil.copytree(tiny_home / "tetris-zoo-tiny" / "labels", pinned / "labels")
    assert len(hub.load_labels(tiny, "test", homes=[tmp_path / "pinned"]).frame) == 18


def test_a_missing_file_of_a_built_zoo_is_named(tiny, tmp_path, tiny_home, monkeypatch):
    import shutil

    shutil.copytree(tiny_home, tmp_path / "home")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    (tmp_path / "home" / "tetris-zoo-tiny" / "seed" / "train-00000-of-00001.parquet").unlink()
    with pytest.raises(ZoobenchError, match=r"no file .*/seed/train-00000-of-00001.parquet, although"):
        hub.load_split(tiny, "train")


def test_a_zoo_that_is_nowhere_is_named():
    with pytest.raises(ZoobenchError, match="zoo 'mnist-zoo-lite/seed' is neither in "):
        hub.load_labels(resolve("mnist-zoo-lite/seed"), "test")
