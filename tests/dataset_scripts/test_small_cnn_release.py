import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import DatasetCard

from zoobench.data.manifest import read_manifest
from zoobench.training.nets import module
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.splits import SPLITS, fold_of, split_of

from . import keras_like
from .keras_like import ROWS, RUNS, rows_of

ZOO = resolve("small-cnn-zoo/mnist")


def test_imported_networks_say_what_the_originals_say(archive, imported_archive):
    """Kernels, biases and their order: PyTorch modules of the rows against the TensorFlow-style network."""
    rows, some = rows_of(imported_archive), slice(0, 1000)
    for number, entry in archive.metrics.iterrows():
        row = rows[f"{entry['modeldir'].rstrip('/')}/{entry['step']:03d}"]
        network = module(ZOO.spec.network, row["activation"], np.array(row["weights"])).eval()
        with torch.no_grad():
            said = network(archive.images[some].permute(0, 3, 1, 2))
        torch.testing.assert_close(said, archive.logits(number, some), rtol=1e-4, atol=1e-4)


def test_a_transposed_kernel_would_be_noticed(archive, imported_archive):
    """The test above can fail: without the turn to PyTorch order, the same weights say something else."""
    row = next(iter(rows_of(imported_archive).values()))
    weights = np.array(row["weights"], dtype=np.float32)
    place = layout_of(ZOO.spec.network).layers[1].weight.slice
    weights[place] = weights[place].reshape(16, 16, 3, 3).transpose(1, 0, 2, 3).ravel()
    number = next(
        n
        for n, entry in archive.metrics.iterrows()
        if f"{entry['modeldir'].rstrip('/')}/{entry['step']:03d}" == row["example_id"]
    )
    network = module(ZOO.spec.network, row["activation"], weights).eval()
    with torch.no_grad():
        said = network(archive.images.permute(0, 3, 1, 2))
    assert (said - archive.logits(number)).abs().max() > 1e-2


def test_rows_carry_the_released_labels(archive, imported_archive):
    rows = rows_of(imported_archive)
    inits = {
        "RandomNormal": "normal",
        "glorot_normal": "xavier_normal",
        "he_normal": "kaiming_normal",
        "orthogonal": "orthogonal",
        "TruncatedNormal": "truncated_normal",
    }
    for _, entry in archive.metrics.iterrows():
        row = rows[f"{entry['modeldir'].rstrip('/')}/{entry['step']:03d}"]
        assert row["run_id"] == entry["modeldir"].rstrip("/")
        assert (row["epoch"], row["activation"]) == (entry["step"], entry["config.activation"])
        assert row["init"] == inits[entry["config.w_init"]]
        assert (row["optimizer"], row["batch_size"], row["seed"]) == ("adam", 512, 42)
        assert row["dropout"] == pytest.approx(entry["config.dropout"])
        assert (row["learning_rate"], row["weight_decay"], row["init_std"]) == (0.02, 1e-5, 0.2)
        assert row["test_accuracy"] == pytest.approx(entry["test_accuracy"])
        assert (row["train_loss"], row["test_loss"], row["generalization_gap"]) == (1.25, 1.5, 0)
        assert row["fold"] == fold_of(ZOO.spec, row["run_id"])
    by_config = {}
    for row in rows.values():
        by_config.setdefault(row["config_id"], set()).add(row["run_id"])
    assert sorted(map(len, by_config.values())) == [1] * RUNS


def test_splits_are_by_run_and_the_folder_is_sound(imported_archive, zoobench, all_images):
    for split in SPLITS:
        for path in (imported_archive / "mnist").glob(f"{split}-*.parquet"):
            assert all(split_of(ZOO.spec, run) == split for run in pq.read_table(path)["run_id"].to_pylist())
    outcome = zoobench("verify", imported_archive, "--sample", "24", "--images", all_images)
    assert (outcome.code, outcome.out) == (0, f"{imported_archive} is sound\n")


def test_verify_measures_imported_networks_again(archive, tmp_path, zoobench, all_images):
    """Labels that belong to other rows are found."""
    from zoobench_dataset_scripts.small_cnn_release import import_small_cnn_zoo

    folder = keras_like.write(tmp_path / "a", np.roll(archive.weights, 7, axis=0), archive.metrics)
    dataset, _ = import_small_cnn_zoo(folder, tmp_path / "out")
    outcome = zoobench("verify", dataset, "--sample", "24", "--images", all_images)
    assert outcome.code == 1
    assert all("test_accuracy" in line and "measured" in line for line in outcome.out.splitlines())


def test_the_archive_gives_the_same_rows_as_the_folder(archive, imported_archive, tmp_path, zoobench):
    packed = tmp_path / "mnist.tar.xz"
    with tarfile.open(packed, "w:xz") as tar:
        tar.add(archive.folder, "mnist")
    outcome = zoobench("import", "small-cnn-zoo", packed, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "imported small-cnn-zoo/mnist into" in outcome.out
    assert rows_of(tmp_path / "out" / "small-cnn-zoo") == rows_of(imported_archive)
    release = read_manifest(tmp_path / "out" / "small-cnn-zoo").configs["mnist"].release
    assert (release.format, release.rows, [file.path for file in release.files]) == (
        "small-cnn-zoo",
        ROWS,
        ["mnist.tar.xz"],
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["small-cnn-zoo"]


def test_row_order_does_not_matter(archive, imported_archive, tmp_path):
    from zoobench_dataset_scripts.small_cnn_release import import_small_cnn_zoo

    other = np.arange(ROWS)[::-1]
    folder = keras_like.write(tmp_path / "a", archive.weights[other], archive.metrics.iloc[other])
    again, _ = import_small_cnn_zoo(folder, tmp_path / "out")
    for path in sorted((imported_archive / "mnist").glob("*.parquet")):
        assert path.read_bytes() == (again / "mnist" / path.name).read_bytes()


def test_bias_after_kernel_and_other_names_follow_the_layout(archive, imported_archive, tmp_path):
    """Each layer's bias may stand before or after its kernel; layout.csv decides."""
    from zoobench_dataset_scripts.small_cnn_release import import_small_cnn_zoo

    ends = np.cumsum([int(np.prod(shape)) for _, shape in keras_like.SHAPES])
    pieces = np.split(archive.weights, ends[:-1], axis=1)
    swapped = [1, 0, 3, 2, 4, 5, 7, 6]
    shapes = [(keras_like.SHAPES[i][0].replace("sequential", "model/cnn"), keras_like.SHAPES[i][1]) for i in swapped]
    weights = np.concatenate([pieces[i] for i in swapped], axis=1)
    folder = keras_like.write(tmp_path / "a", weights, archive.metrics, shapes)
    again, _ = import_small_cnn_zoo(folder, tmp_path / "out")
    assert rows_of(again) == rows_of(imported_archive)


def test_runs_that_cannot_be_used_are_dropped_and_listed(archive, tmp_path, zoobench):
    weights, metrics = archive.weights.copy(), archive.metrics.copy()
    first, second, third = (metrics.index[metrics["modeldir"] == f"/zoo/models/00{k}/"] for k in range(3))
    weights[first[1], 17] = np.nan
    metrics.loc[second[0], "test_accuracy"] = np.nan
    metrics.loc[third[0], "step"] = metrics["step"][third[1]]
    folder = keras_like.write(tmp_path / "a", weights, metrics)
    outcome = zoobench("import", "small-cnn-zoo", folder, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert f"{ROWS - 12} of {ROWS} checkpoints, {RUNS - 3} runs, 3 dropped" in outcome.out
    config = read_manifest(tmp_path / "out" / "small-cnn-zoo").configs["mnist"]
    assert [(run.run_id[-3:], run.reason) for run in config.dropped] == [
        ("000", "weights not finite"),
        ("001", "test accuracy not finite"),
        ("002", "the same epoch twice"),
    ]
    assert config.dropped[0].epoch == metrics["step"][first[1]]
    assert zoobench("verify", tmp_path / "out" / "small-cnn-zoo", "--sample", "0").code == 0


def test_the_card_of_an_import_is_what_the_hub_reads(imported_archive):
    card = DatasetCard.load(imported_archive / "README.md")
    assert (card.data.license, card.data.task_categories) == ("cc-by-4.0", ["tabular-regression"])
    assert card.data.size_categories == ["n<1K"]
    assert [config["config_name"] for config in card.data.configs] == ["mnist"]
    for part in (
        'load_dataset("zoobench/small-cnn-zoo", "mnist")',
        f"{ROWS} checkpoints, imported from `weights.npy`",
        "Known deviations from the release",
        "The batch size is not in the files; 512 is the paper's.",
        "The networks are those of:",
        "@misc{unterthiner2020predicting",
    ):
        assert part in card.text


def test_an_import_over_a_built_config_takes_its_place_whole(archive, tmp_path, zoobench):
    """The pictures and protocols of the old config do not stay behind."""
    (tmp_path / "split.csv").write_text("0\n" + "\n".join(map(str, range(ROWS))))
    arguments = ("import", "small-cnn-zoo", archive.folder, "--out", tmp_path / "out")
    assert zoobench(*arguments, "--nfn-split", tmp_path / "split.csv").code == 0
    assert zoobench(*arguments).code == 0
    dataset = tmp_path / "out" / "small-cnn-zoo"
    assert not (dataset / "protocols" / "mnist").exists()
    assert zoobench("verify", dataset, "--sample", "0").code == 0
