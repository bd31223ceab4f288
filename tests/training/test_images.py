import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.conftest import write_digits
from zoobench.errors import ZoobenchError
from zoobench.publishing.serve import application
from zoobench.training import images as images_module
from zoobench.training.images import draw_tetris, load_images
from zoobench.zoos import resolve

TINY_MNIST = resolve("mnist-zoo-tiny/seed")


def test_the_tetris_images_are_fixed_forever(tetris_images):
    assert tetris_images.sha256 == "23084dd9c005cb811d0b3fa1bf21a2ee5c08ddf26d1b137c7932e034e45e4103"
    assert tetris_images.train_images.shape == (80, 1, 4, 4)
    assert tetris_images.test_images.shape == (1000, 1, 4, 4)
    assert np.bincount(tetris_images.test_labels).tolist() == [250] * 4


def test_tetris_means_show_the_four_shapes():
    levels, labels = draw_tetris(dataclasses.replace(resolve("tetris-zoo").spec.images, train_per_class=4000), "train")
    pictures = {
        0: ["....", ".##.", ".##.", "...."],
        1: ["....", "###.", ".#..", "...."],
        2: [".#..", ".#..", ".##.", "...."],
        3: [".#..", ".#..", ".#..", ".#.."],
    }
    for label, picture in pictures.items():
        mean = levels[labels == label].mean(axis=0)
        shape = np.array([[cell == "#" for cell in row] for row in picture])
        # Clipping to [0, 1] pulls both levels inwards: E[clip(N(0.25, 0.3²))] = 0.293, and 0.707 by symmetry.
        assert mean[shape] == pytest.approx(0.707, abs=0.02)
        assert mean[~shape] == pytest.approx(0.293, abs=0.02)


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


def test_images_are_decoded_once_and_again_when_the_files_change(tmp_path, monkeypatch):
    folder = write_digits(tmp_path)
    decoded = []
    decode = images_module._decode
    monkeypatch.setattr(images_module, "_decode", lambda *args: decoded.append(1) or decode(*args))
    first = load_images(TINY_MNIST.spec, TINY_MNIST.size, folder)
    again = load_images(TINY_MNIST.spec, TINY_MNIST.size, folder)
    assert len(decoded) == 2  # train and test
    assert again.sha256 == first.sha256
    file = folder / "mnist" / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(file).slice(0, 1000), file)
    assert load_images(TINY_MNIST.spec, TINY_MNIST.size, folder).sha256 != first.sha256
    assert len(decoded) == 3


def test_without_a_folder_the_hub_is_asked_for_the_data_set(tmp_path):
    """The real ``datasets`` client in a fresh process, against a loopback Hub that has ``ylecun/mnist``."""
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
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    server.should_exit = True
    thread.join(timeout=10)
    assert done.stdout.split(maxsplit=1) == [expected, "Hub ylecun/mnist\n"], done.stderr


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
