"""Zoos 41 to 44 of Schürholt et al.: the Small CNN Zoo in their dataset class, with pandas objects."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from zoobench.data.manifest import read_manifest
from zoobench.training.nets import module
from zoobench.zoos import resolve

from . import keras_like, peer_files

ZOO = resolve("small-cnn-zoo/mnist")


def kernels_first(weights):
    """Rows with each layer's kernel before its bias, both as TensorFlow has them."""
    ends = np.cumsum([int(np.prod(shape)) for _, shape in keras_like.SHAPES])
    pieces = np.split(weights, ends[:-1], axis=1)
    return np.concatenate([pieces[i] for i in (1, 0, 3, 2, 5, 4, 7, 6)], axis=1)


def saved(archive, path, monkeypatch, change=lambda metrics: metrics, **options):
    """Three parts by run, as the originals are."""
    metrics = change(archive.metrics.copy())
    classes = peer_files.make_classes(monkeypatch)
    names = metrics["modeldir"].unique()
    parts = {"trainset": names[:8], "valset": names[8:10], "testset": names[10:]}
    weights = kernels_first(archive.weights)
    content = {
        part: peer_files.google(classes, weights, metrics[metrics["modeldir"].isin(chosen)])
        for part, chosen in parts.items()
    }
    torch.save(content, path, **options)
    peer_files.forget_classes(monkeypatch)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("texts", ["str", "object", "category"])
def test_imported_networks_say_what_the_originals_say(archive, texts, protocol, tmp_path, zoobench, monkeypatch):
    """Kernels are turned from TensorFlow's order; columns come from strings of every kind that pandas has."""

    def change(metrics):
        named = ["modeldir", "config.activation", "config.w_init", "config.optimizer"]
        return metrics.astype(dict.fromkeys(named, texts))

    saved(archive, tmp_path / "dataset.pt", monkeypatch, change, pickle_protocol=protocol)
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", ZOO.id, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "small-cnn-zoo"
    tables = [pq.read_table(path) for path in sorted((folder / "mnist").glob("*.parquet"))]
    rows = {row["example_id"]: row for table in tables for row in table.to_pylist()}
    assert len(rows) == len(archive.metrics)
    some = slice(0, 500)
    for number, entry in archive.metrics.iterrows():
        row = rows[f"{entry['modeldir'].rstrip('/')}/{entry['step']:03d}"]
        network = module(ZOO.spec.network, row["activation"], np.array(row["weights"])).eval()
        with torch.no_grad():
            said = network(archive.images[some].permute(0, 3, 1, 2))
        torch.testing.assert_close(said, archive.logits(number, some), rtol=1e-4, atol=1e-4)
        assert (row["activation"], row["optimizer"]) == (entry["config.activation"], entry["config.optimizer"])
        assert row["test_accuracy"] == pytest.approx(entry["test_accuracy"])
        assert row["dropout"] == pytest.approx(entry["config.dropout"])
        assert (row["init_std"], row["seed"], row["test_loss"]) == (0.2, 42, 1.5)
    notes = " ".join(read_manifest(folder).configs["mnist"].release.notes)
    assert "TensorFlow's order" in notes
    assert "running accuracy" not in notes, "there both accuracies are measured at the checkpoint"
    assert zoobench("verify", folder, "--sample", "0").code == 0


def test_a_zoo_of_other_images_is_refused(archive, tmp_path, zoobench, monkeypatch):
    saved(archive, tmp_path / "dataset.pt", monkeypatch)
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", "small-cnn-zoo/svhn")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "dataset.pt is of the data set 'mnist', not of small-cnn-zoo/svhn" in outcome.err


@pytest.mark.parametrize("index", ["a range", "numbers", "texts"])
def test_frames_are_read_whatever_their_index_is(index, tmp_path):
    from zoobench_dataset_scripts import pickles, torch_files

    frame = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 2.5], "c": ["x", None, "é"], "d": [True, False, True]})
    frame["e"] = frame["a"] * 10
    if index != "a range":
        frame.index = [5, 7, 9] if index == "numbers" else ["p", "q", "r"]
    for protocol in (2, 3, 4, 5):
        torch.save([frame, frame["c"], frame["a"]], tmp_path / "frame.pt", pickle_protocol=protocol)
        read, texts, numbers = (pickles.plain(item) for item in torch_files.load(tmp_path / "frame.pt"))
        assert list(read) == list(frame)
        assert read["a"].tolist() == numbers.tolist() == [1, 2, 3]
        assert read["e"].tolist() == [10, 20, 30]
        assert read["d"].tolist() == [True, False, True]
        np.testing.assert_array_equal(read["b"], frame["b"].to_numpy())
        assert list(texts) == list(read["c"]) == ["x", None, "é"]
