"""Releases of the Small CNN Zoo that are not whole, or not what they say."""

import gzip
import shutil
import tarfile

import numpy as np
import pandas as pd
import pytest

from . import keras_like
from .keras_like import ROWS


def _truncated(name):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return damage


def _metrics(change):
    def damage(folder):
        frame = change(pd.read_csv(folder / "metrics.csv.gz"))
        with gzip.open(folder / "metrics.csv.gz", "wt") as file:
            frame.to_csv(file, index=False)

    return damage


def _layout(old, new):
    def damage(folder):
        text = (folder / "layout.csv").read_text()
        assert old in text
        (folder / "layout.csv").write_text(text.replace(old, new))

    return damage


def _pickled(folder):
    np.save(folder / "weights.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _bomb(folder):
    """Half a gigabyte of zeros in half a megabyte."""
    with gzip.open(folder / "metrics.csv.gz", "wb", compresslevel=9) as file:
        for _ in range(512):
            file.write(bytes(1 << 20))


def _repeated(how):
    """Every row once more, of the same run or of one with another name."""

    def damage(folder):
        weights = np.load(folder / "weights.npy")
        metrics = pd.read_csv(folder / "metrics.csv.gz")
        again = metrics.assign(modeldir=metrics["modeldir"] + ("" if how == "the same run" else "again"))
        keras_like.write(folder, np.concatenate([weights, weights]), pd.concat([metrics, again]))

    return damage


BROKEN = {
    "weights truncated": (_truncated("weights.npy"), "weights.npy is truncated or no .npy file"),
    "weights pickled": (_pickled, "weights.npy is truncated or no .npy file"),
    "metrics truncated": (_truncated("metrics.csv.gz"), "metrics.csv.gz cannot be read"),
    "a file missing": (lambda folder: (folder / "layout.csv").unlink(), "no layout.csv in"),
    "a column missing": (_metrics(lambda f: f.drop(columns="config.l2reg")), "no column config.l2reg"),
    "a row missing": (_metrics(lambda f: f.iloc[1:]), f"weights.npy has {ROWS} rows, metrics.csv.gz {ROWS - 1}"),
    "another data set": (_metrics(lambda f: f.assign(**{"config.dataset": "mnst"})), "'mnst'; did you mean 'mnist'?"),
    "two data sets": (
        _metrics(lambda f: f.assign(**{"config.dataset": ["mnist", "cifar10"] * (ROWS // 2)})),
        "names 2 data sets",
    ),
    "accuracies in percent": (
        _metrics(lambda f: f.assign(test_accuracy=97.5)),
        "test_accuracy of checkpoint 0",
    ),
    "an accuracy that is text": (
        _metrics(lambda f: f.assign(test_accuracy=["0.5"] * 20 + ["n/a?"] * (ROWS - 20))),
        "test_accuracy of checkpoint 20 is 'n/a?', which is no number",
    ),
    "half an epoch": (_metrics(lambda f: f.assign(step=f["step"] + 0.5)), "the epoch of checkpoint 0 (run "),
    "no epoch": (_metrics(lambda f: f.assign(step=np.nan)), "the epoch of checkpoint 0 (run "),
    "a step that no column holds": (_metrics(lambda f: f.assign(step=2**40)), "epoch of checkpoint 0 (run "),
    "a seed that no column holds": (
        _metrics(lambda f: f.assign(**{"config.random_seed": 1e30})),
        "seed of checkpoint 0 (run /zoo/models/",
    ),
    "a seed that is text": (
        _metrics(lambda f: f.assign(**{"config.random_seed": "abc"})),
        "seed of checkpoint 0 is 'abc', which is no number",
    ),
    "half a seed": (_metrics(lambda f: f.assign(**{"config.random_seed": 0.5})), "the seed of checkpoint 0 (run "),
    "activations that are numbers": (
        _metrics(lambda f: f.assign(**{"config.activation": 1.5})),
        "activation of checkpoint 0 is 1.5, which is no text",
    ),
    "initialisers that are numbers": (
        _metrics(lambda f: f.assign(**{"config.w_init": 3})),
        "init of checkpoint 0 is 3, which is no text",
    ),
    "an activation without networks": (
        _metrics(lambda f: f.assign(**{"config.activation": "selu"})),
        "activation 'selu' of 48 checkpoints is none that zoobench has networks for",
    ),
    "a run that cannot be printed": (
        _metrics(lambda f: f.assign(modeldir="\x1b[2J")),
        "run_id of checkpoint 0 is '\\x1b[2J', which cannot be printed",
    ),
    "metrics that unpack to gigabytes": (_bomb, "metrics.csv.gz unpacks to more than"),
    "a layout of 10^14 weights": (
        _layout(
            'sequential/dense/kernel:0,4810,4970,"(16, 10)"', 'x/kernel:0,4810,100000000004810,"(100000000000000,)"'
        ),
        "layout.csv sums to 100,000,000,004,810 weights",
    ),
    "a layout of negative sides": (_layout('"(16, 10)"', '"(-16, -10)"'), "a gap, an overlap or a wrong size"),
    "a layout that is nested deeply": (_layout('"(16, 10)"', '"' + "(" * 900 + '"'), "layout.csv cannot be read"),
    "rows that repeat": (_repeated("the same run"), "come twice: remove them, and give each file once"),
    "runs that repeat": (_repeated("another run"), "are the same network at epoch"),
    "one run": (
        _metrics(lambda f: f.assign(modeldir="a", step=range(ROWS), **{c: f[c][0] for c in f if "config" in c})),
        "of 1 runs none falls into",
    ),
    "no run": (_metrics(lambda f: f.assign(modeldir=None)), "checkpoint 0 has no run"),
    "no initialiser, no learning rate": (
        _metrics(lambda f: f.assign(**{"config.w_init": None, "config.learning_rate": "fast"})),
        "learning_rate of checkpoint 0 is 'fast', which is no number",
    ),
    "a layout with a gap": (_layout(",16,160,", ",17,161,"), "sequential/conv2d/kernel:0 of shape (3, 3, 1, 16)"),
    "a layout that is too short": (_layout("sequential/dense/kernel:0,4810,4970", "x/kernel:0,4810,4969"), "a gap"),
    "a kernel in another order": (
        _layout('"(3, 3, 1, 16)"', '"(16, 1, 3, 3)"'),
        "the kernel of conv1 must be (16, 1, 3, 3) in PyTorch's order",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_release_is_one_line_and_leaves_nothing(case, archive, tmp_path, zoobench):
    damage, message = BROKEN[case]
    folder = tmp_path / "release"
    shutil.copytree(archive.folder, folder)
    damage(folder)
    outcome = zoobench("import", "small-cnn-zoo", folder, "--out", tmp_path / "new" / "out")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err
    assert not (tmp_path / "new").exists()


def test_a_layout_that_does_not_sum_to_the_row_width_is_refused(archive, tmp_path, zoobench):
    folder = keras_like.write(tmp_path / "a", archive.weights[:, :-10], archive.metrics)
    outcome = zoobench("import", "small-cnn-zoo", folder, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "layout.csv sums to 4,970 weights, a row of weights.npy has 4,960" in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_archive_is_one_line_and_leaves_nothing(archive, tmp_path, zoobench, share):
    packed = tmp_path / "mnist.tar.xz"
    with tarfile.open(packed, "w:xz") as tar:
        tar.add(archive.folder, "mnist")
    packed.write_bytes(packed.read_bytes()[: int(share * packed.stat().st_size)])
    outcome = zoobench("import", "small-cnn-zoo", packed, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "mnist.tar.xz is truncated or no tar archive" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_failed_import_leaves_what_was_there(archive, imported_archive, tmp_path, zoobench):
    shutil.copytree(imported_archive, tmp_path / "out" / "small-cnn-zoo")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    broken = tmp_path / "release"
    shutil.copytree(archive.folder, broken)
    _truncated("weights.npy")(broken)
    assert zoobench("import", "small-cnn-zoo", broken, "--out", tmp_path / "out").code == 2
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
