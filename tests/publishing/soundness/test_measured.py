"""A zoo on public images, whose runs saw shares of them."""

import json
import shutil

import pytest

from zoobench.building.build import build
from zoobench.errors import ZoobenchError
from zoobench.publishing.verify import examine, verify
from zoobench.zoos import resolve

from ..damage import edit_manifest, replace, rewrite

ROWS = 160


@pytest.fixture(scope="module")
def home(once, images_folder):
    return once("small-cnn-tiny", lambda home: build(resolve("small-cnn-zoo-tiny/mnist"), home, images_folder))


@pytest.fixture
def small_cnn(home, tmp_path):
    return shutil.copytree(home / "small-cnn-zoo-tiny", tmp_path / "small-cnn-zoo-tiny")


def test_every_network_of_every_share_of_the_images_is_what_its_row_says(small_cnn, images_folder):
    report = examine(small_cnn, sample=ROWS, images_folder=images_folder)
    assert report.problems == []
    fields = ("images.origin", "versions", "built")
    assert sorted(report.not_checked) == sorted(f"configs.mnist.{name}" for name in fields)


def test_the_train_loss_of_a_run_that_saw_a_part_of_the_images_is_measured(small_cnn, images_folder):
    def edit(table):
        fractions, losses = table["train_fraction"].to_pylist(), table["train_loss"].to_pylist()
        assert any(fraction < 1 for fraction in fractions)
        return replace(table, "train_loss", [a + (b < 1) for a, b in zip(losses, fractions, strict=True)])

    rewrite(small_cnn, "train", edit, "mnist")
    assert any("train_loss" in problem for problem in verify(small_cnn, sample=ROWS, images_folder=images_folder))


@pytest.mark.parametrize("name", ["train", "test", "side", "sha256", "test_class_counts"])
def test_what_is_said_of_the_images_is_measured(small_cnn, images_folder, name):
    def change(content):
        entry = content["configs"]["mnist"]["images"]
        entry[name] = {"sha256": "0" * 64, "test_class_counts": [100, *[0] * 9]}.get(name) or entry[name] + 1

    edit_manifest(small_cnn, change)
    assert any("images" in problem for problem in verify(small_cnn, sample=1, images_folder=images_folder))


def test_without_a_sample_images_are_not_checked_and_this_is_said(small_cnn, zoobench):
    found = json.loads(zoobench("verify", small_cnn, "--sample", "0", "--json").out)
    assert found["sound"]
    assert {"configs.mnist.images.side", "configs.mnist.images.sha256"} <= set(found["not_checked"])


def test_images_that_cannot_be_had_do_not_hide_what_is_wrong(small_cnn, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(ZoobenchError, match="no folder 'mnist'"):
        verify(small_cnn, sample=1, images_folder=tmp_path / "none")
    edit_manifest(small_cnn, lambda content: content["configs"]["mnist"].update(runs=41))
    problems = verify(small_cnn, sample=1, images_folder=tmp_path / "none")
    assert "mnist: 40 runs, the manifest says 41" in problems
    assert any("no network was measured: no folder 'mnist'" in problem for problem in problems)
