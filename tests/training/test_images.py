import dataclasses
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.conftest import write_digits
from zoobench import errors
from zoobench.errors import ZoobenchError
from zoobench.publishing.serve import application
from zoobench.training import image_files
from zoobench.training.images import draw_tetris, load_images
from zoobench.zoos import resolve

TINY_MNIST = resolve("mnist-zoo-tiny/seed")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of decoded images; nothing was said yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(errors, "_said", set())
    return tmp_path / "cache" / "zoobench" / "images"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of images, for tests that only read it."""
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def decoded(monkeypatch):
    """One entry for each time that a part was decoded."""
    found = []
    decode = image_files._decode
    monkeypatch.setattr(image_files, "_decode", lambda *args: found.append(1) or decode(*args))
    return found


def test_the_tetris_images_are_fixed_forever(tetris_images):
    full = load_images(resolve("tetris-zoo/seed").spec, resolve("tetris-zoo/seed").size)
    assert full.sha256 == "61ed0ca5e1e4dfae646b495184fc2ac0354db74ef0a9c2dcc6afd0cb8a40ec35"
    assert tetris_images.sha256 == "aebd288fa6ef226bf5f54525c399e3c5aa01f18490e1560f56fa60e5ebf75480"
    assert (full.train_images.shape, tetris_images.train_images.shape) == ((2000, 1, 4, 4), (80, 1, 4, 4))
    assert np.bincount(full.train_labels).tolist() == [500] * 4
    for images in (full, tetris_images):
        assert images.test_images.shape == (1000, 1, 4, 4)
        assert np.bincount(images.test_labels).tolist() == [250] * 4
    assert np.array_equal(tetris_images.train_images[:20], full.train_images[:20])
    assert np.array_equal(tetris_images.train_images[-20:], full.train_images[1500:1520])


def test_drawn_images_are_as_many_of_each_class_or_refused():
    zoo = resolve("tetris-zoo/seed")
    for count in (2004, 82):
        with pytest.raises(ZoobenchError, match=f"2000 images are drawn, equally many of each class; {count} cannot"):
            load_images(zoo.spec, dataclasses.replace(zoo.size, train_images=count))


# E[clip(N(0.25, s²))] for s = 0.2 and 0.5, by the normal distribution function; of a cell 1 minus that, by symmetry.
@pytest.mark.parametrize(("part", "clipped"), [("train", 0.2601), ("test", 0.3342)])
def test_tetris_means_show_the_four_shapes(part, clipped):
    many = dataclasses.replace(resolve("tetris-zoo").spec.images, train_per_class=4000, test_per_class=4000)
    levels, labels = draw_tetris(many, part)
    pictures = {
        0: ["....", ".##.", ".##.", "...."],
        1: ["....", "###.", ".#..", "...."],
        2: [".#..", ".#..", ".##.", "...."],
        3: [".#..", ".#..", ".#..", ".#.."],
    }
    for label, picture in pictures.items():
        mean = levels[labels == label].mean(axis=0)
        shape = np.array([[cell == "#" for cell in row] for row in picture])
        # Clipping to [0, 1] pulls both levels inwards.
        assert mean[shape] == pytest.approx(1 - clipped, abs=0.02)
        assert mean[~shape] == pytest.approx(clipped, abs=0.02)


def test_a_folder_of_images_is_loaded_grey_scaled_and_normalised(images_folder):
    images = load_images(TINY_MNIST.spec, TINY_MNIST.size, images_folder)
    assert images.train_images.shape == (200, 1, 28, 28)
    assert images.train_images.dtype == np.float32
    grey = images.train_images * 0.3081 + 0.1307
    assert grey.min() == pytest.approx(0, abs=1e-6)
    assert 0.9 < grey.max() <= 1 + 1e-6
    assert set(np.unique(images.train_labels)) <= set(range(10))


def test_the_order_of_the_source_does_not_matter(tmp_path):
    folder = write_digits(tmp_path / "as-is")
    shuffled = tmp_path / "shuffled" / "mnist"
    shuffled.mkdir(parents=True)
    for file in (folder / "mnist").iterdir():
        table = pq.read_table(file)
        pq.write_table(table.take(np.random.default_rng(0).permutation(len(table))), shuffled / file.name)
    one = load_images(TINY_MNIST.spec, TINY_MNIST.size, folder)
    other = load_images(TINY_MNIST.spec, TINY_MNIST.size, tmp_path / "shuffled")
    assert one.sha256 == other.sha256
    assert np.array_equal(one.train_images, other.train_images)


def test_no_progress_bar_is_drawn_where_there_is_no_terminal(tmp_path, capfd):
    load_images(TINY_MNIST.spec, TINY_MNIST.size, write_digits(tmp_path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("cache")
def test_images_are_decoded_once_and_again_when_the_files_change(tmp_path, decoded):
    folder = write_digits(tmp_path)
    first = load_images(TINY_MNIST.spec, TINY_MNIST.size, folder)
    again = load_images(TINY_MNIST.spec, TINY_MNIST.size, folder)
    assert len(decoded) == 2  # train and test
    assert again.sha256 == first.sha256
    file = folder / "mnist" / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(file).slice(0, 1000), file)
    assert load_images(TINY_MNIST.spec, TINY_MNIST.size, folder).sha256 != first.sha256
    assert len(decoded) == 3


@pytest.mark.usefixtures("cache")
def test_files_that_change_in_content_alone_are_decoded_again(tmp_path):
    """Of the same name, size and time of change."""
    folder = write_digits(tmp_path)
    file = folder / "mnist" / "train-00000-of-00001.parquet"
    first = load_images(TINY_MNIST.spec, TINY_MNIST.size, folder)
    before, table = file.stat(), pq.read_table(file)
    labels = table["label"].to_numpy()
    swapped = pa.array(np.where(labels == 3, 8, np.where(labels == 8, 3, labels)))
    pq.write_table(table.set_column(1, "label", swapped), file)
    content = file.read_bytes()
    assert abs(len(content) - before.st_size) < 100
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load_images(TINY_MNIST.spec, TINY_MNIST.size, folder).sha256 != first.sha256


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def pickled(path):
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


def of_doubles(path):
    image_files._keep(path, np.load(path).astype(np.float64))


def too_long(path):
    image_files._keep(path, np.concatenate([np.load(path)] * 2))


@pytest.mark.parametrize("kind", ["levels", "labels"])
@pytest.mark.parametrize("spoil", [cut, flip, empty, pickled, of_doubles, too_long, os.unlink])
def test_what_is_kept_of_images_is_made_again_where_it_is_not_whole(spoil, kind, digits, cache, decoded):
    first = load_images(TINY_MNIST.spec, TINY_MNIST.size, digits)
    (path,) = cache.glob(f"mnist-train-*-{kind}.npy")
    content = path.read_bytes()
    spoil(path)
    assert load_images(TINY_MNIST.spec, TINY_MNIST.size, digits).sha256 == first.sha256
    assert len(decoded) == 3
    assert path.read_bytes() == content


def file_in_its_place(cache):
    shutil.rmtree(cache.parents[1])
    cache.parents[1].touch()


def folders_in_the_places_of_files(cache):
    for part in ("train", "test"):
        for kind in ("levels", "labels"):
            (path,) = cache.glob(f"mnist-{part}-*-{kind}.npy")
            path.unlink()
            (path / "more").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [file_in_its_place, folders_in_the_places_of_files])
def test_images_that_cannot_be_kept_are_used_all_the_same_and_that_is_said_once(spoil, digits, cache):
    first = load_images(TINY_MNIST.spec, TINY_MNIST.size, digits)
    spoil(cache)
    with warnings.catch_warnings(record=True, action="always") as heard:
        assert load_images(TINY_MNIST.spec, TINY_MNIST.size, digits).sha256 == first.sha256
    assert [str(each.message).split(":")[0] for each in heard] == ["decoded images are not kept"]


def test_two_processes_that_decode_the_same_images_at_once_agree(digits, cache):
    code = (
        "from zoobench.training.images import load_images; from zoobench.zoos import resolve; "
        f"z = resolve('mnist-zoo-tiny/seed'); print(load_images(z.spec, z.size, {str(digits)!r}).sha256)"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = {process.communicate()[0] for process in both}
    assert found == {load_images(TINY_MNIST.spec, TINY_MNIST.size, digits).sha256 + "\n"}
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize("given", ["{home}", "{home}/", "~", "images", "./images/"])
def test_the_folder_of_images_may_be_given_in_any_way_of_writing_a_path(given, digits, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.symlink_to(digits)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOOBENCH_IMAGES", given.format(home=folder))
    expected = load_images(TINY_MNIST.spec, TINY_MNIST.size, folder).sha256
    assert load_images(TINY_MNIST.spec, TINY_MNIST.size).sha256 == expected
    assert load_images(TINY_MNIST.spec, TINY_MNIST.size, given.format(home=folder)).sha256 == expected
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ([{"bytes": None, "path": "/etc/hostname"}], [1], "'image' does not hold the bytes of every image"),
        (["/etc/hostname"], [1], "'image' does not hold the bytes of every image"),
        ([{"bytes": b"no picture", "path": None}], [1], "image 0 of 'mnist' cannot be decoded"),
        (None, [None], "'label' does not hold a number for every image"),
        (None, ["7"], "'label' does not hold a number for every image"),
        (None, [10], "images 'mnist' have the label 10; expected 0 to 9"),
        (None, [-1], "images 'mnist' have the label -1; expected 0 to 9"),
    ],
)
def test_files_that_hold_anything_but_images_and_labels_are_refused(images, labels, message, tmp_path):
    """A path in a file is no image: it may name any file of this machine."""
    folder = write_digits(tmp_path)
    file = folder / "mnist" / "train-00000-of-00001.parquet"
    images = images or pq.read_table(file)["image"][:1].to_pylist()
    pq.write_table(pa.table({"image": images, "label": labels}), file)
    with pytest.raises(ZoobenchError, match=re.escape(message)):
        load_images(TINY_MNIST.spec, TINY_MNIST.size, folder)


def test_without_a_folder_the_hub_is_asked_whether_its_caches_are_whole_cut_or_no_folders(tmp_path):
    """The real ``datasets`` client in fresh processes, against a loopback Hub that has ``ylecun/mnist``."""
    folder = write_digits(tmp_path)
    expected = load_images(TINY_MNIST.spec, TINY_MNIST.size, folder).sha256
    import threading

    import uvicorn

    from zoobench.publishing.serve import _listen

    listener = _listen(0)
    app = application({"ylecun/mnist": folder / "mnist"})
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    code = (
        "from zoobench.training.images import load_images; from zoobench.zoos import resolve; "
        "z = resolve('mnist-zoo-tiny/seed'); i = load_images(z.spec, z.size); print(i.sha256, i.origin)"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "HF_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}",
        "HF_HOME": str(tmp_path / "hf"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def load():
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )

    done = load()
    assert done.stdout.split(maxsplit=1) == [expected, "Hub ylecun/mnist\n"], done.stderr
    for file in (tmp_path / "hf").rglob("*.arrow"):
        file.write_bytes(file.read_bytes()[:1000])
    cut = load()
    environment |= {"HF_HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "another")}
    (tmp_path / "file").touch()
    without = load()
    server.should_exit = True
    thread.join(timeout=10)
    for done in (cut, without):
        assert done.stdout.split(maxsplit=1) == [expected, "Hub ylecun/mnist\n"], done.stderr
        assert done.stderr.count("the caches of the Hub's libraries cannot be used: ") == 1


def test_images_that_cannot_be_had_are_one_line_that_says_what_to_pass(zoobench, tmp_path):
    outcome = zoobench("build", "mnist-zoo/seed", "--scale", "tiny", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "'ylecun/mnist'" in outcome.err
    assert "pass --images FOLDER (or set ZOOBENCH_IMAGES)" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_the_data_set_is_named(tmp_path):
    with pytest.raises(ZoobenchError, match="no folder 'mnist' in"):
        load_images(TINY_MNIST.spec, TINY_MNIST.size, tmp_path)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(ZoobenchError, match=r"expected train-\*.parquet there"):
        load_images(TINY_MNIST.spec, TINY_MNIST.size, tmp_path)


def test_too_few_images_are_counted(tmp_path):
    folder = write_digits(tmp_path)
    lite = resolve("mnist-zoo-lite/seed")
    with pytest.raises(ZoobenchError, match="have 1300 in 'train', the recipe needs 2000"):
        load_images(lite.spec, lite.size, folder)


def test_a_file_that_is_not_parquet_is_one_clear_error(tmp_path):
    folder = write_digits(tmp_path)
    file = next(Path(folder / "mnist").glob("train-*"))
    file.write_bytes(b"not parquet")
    with pytest.raises(ZoobenchError, match="cannot load images 'mnist' from folder"):
        load_images(TINY_MNIST.spec, TINY_MNIST.size, folder)


def test_a_scale_may_shrink_images_to_the_means_of_blocks(tmp_path):
    """Judged by torch's average pooling; 28 x 28 pixels to 9 x 9, the odd row and column cut."""
    folder = write_digits(tmp_path)
    size = dataclasses.replace(TINY_MNIST.size, image_shrink=3)
    whole, small = (load_images(TINY_MNIST.spec, each, folder) for each in (TINY_MNIST.size, size))
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(whole.train_images), 3).numpy()
    assert small.train_images.shape == (*whole.train_images.shape[:2], 9, 9)
    np.testing.assert_allclose(small.train_images, expected, atol=1e-5)
    assert np.array_equal(small.test_labels, whole.test_labels)
    assert small.sha256 != whole.sha256
