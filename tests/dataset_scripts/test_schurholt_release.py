"""Files as the authors' code writes them: dataset objects by torch.save, and Ray Tune folders."""

import json
import os
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from zoobench.data.manifest import read_manifest
from zoobench.training.nets import module
from zoobench.zoos import resolve

MNIST, TETRIS = resolve("mnist-zoo/hyp-1-rand-seed"), resolve("tetris-zoo/seed")
EPOCHS = (1, 2, 3)


class TheirCNN(nn.Module):
    """The MNIST network as a class of its own, with its own names."""

    def __init__(self, activation):
        super().__init__()
        act = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]
        self.module_list = nn.Sequential(
            nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), act(), nn.Dropout(0.1),
            nn.Conv2d(8, 6, 5), nn.MaxPool2d(2), act(), nn.Dropout(0.1),
            nn.Conv2d(6, 4, 2), act(), nn.Flatten(), nn.Linear(36, 20), act(), nn.Dropout(0.1), nn.Linear(20, 10),
        )  # fmt: skip

    def forward(self, x):
        return self.module_list(x)


@pytest.fixture(scope="module")
def images():
    return torch.randn(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def runs(images):
    """Four trained runs of three checkpoints: state dicts, their logits, parameters, results."""
    found = []
    labels = torch.arange(20) % 10
    for seed in range(4):
        torch.manual_seed(seed)
        activation = ("tanh", "relu")[seed % 2]
        network = TheirCNN(activation)
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        states, said, results = [], [], []
        for epoch in EPOCHS:
            for _ in range(3):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network.train()(images), labels).backward()
                optimizer.step()
            with torch.no_grad():
                said.append(network.eval()(images))
            states.append({name: value.clone() for name, value in network.state_dict().items()})
            accuracy = (said[-1].argmax(1) == labels).double().mean().item()
            results.append(
                {
                    "training_iteration": epoch,
                    "train_acc": 1.0,
                    "test_acc": accuracy,
                    "train_loss": 1.0,
                    "test_loss": 2.0,
                }
            )
        parameters = {
            "model::nlin": activation,
            "model::init_type": "kaiming_uniform",
            "model::dropout": 0.1,
            "optim::optimizer": "adam",
            "optim::lr": 1e-2,
            "optim::wd": 1e-4,
            "training::batchsize": 12,
            "seed": seed,
        }
        found.append((states, said, parameters, results))
    return found


def vector(state):
    return torch.cat([value.reshape(-1) for value in state.values()])


@pytest.fixture
def their_classes(monkeypatch):
    """A module ``checkpoints_to_datasets.dataset_base`` that exists while a file is written, and not afterwards."""
    package = types.ModuleType("checkpoints_to_datasets")
    base = types.ModuleType("checkpoints_to_datasets.dataset_base")

    class ModelDatasetBase(torch.utils.data.Dataset):
        def __setstate__(self, state):
            raise AssertionError("code of the file's class was run")

    ModelDatasetBase.__module__, ModelDatasetBase.__qualname__ = base.__name__, "ModelDatasetBase"
    base.ModelDatasetBase = ModelDatasetBase
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, base.__name__, base)
    return ModelDatasetBase


def dataset(kind, runs, **without):
    """A dataset object over all checkpoints of the runs, as the authors' code makes it."""
    item = kind()
    item.data = torch.stack([vector(state) for states, *_ in runs for state in states])
    item.labels = torch.zeros(len(item.data), 1)
    item.epoch_lst = list(EPOCHS)
    item.paths = [Path("/home/zoo/NN_x")]
    item.scale = np.float64(1.5)
    item.mean = np.zeros(3, dtype=np.float32)
    item.properties = {
        "training_iteration": [epoch for _ in runs for epoch in EPOCHS],
        "ggap": [line["train_acc"] - line["test_acc"] for *_, results in runs for line in results],
        **{name: [line[name] for *_, results in runs for line in results] for name in ("test_acc", "test_loss")},
        **{name: [parameters[name] for _, _, parameters, _ in runs for _ in EPOCHS] for name in runs[0][2]},
    }
    for name in without:
        del item.properties[name]
    return item


def rows_of(folder, config):
    tables = [pq.read_table(path) for path in sorted((folder / config).glob("*.parquet"))]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["example_id"])


def check_networks(rows, runs, images, run_number):
    """Rebuild every row's network and compare what it says with the original."""
    assert len(rows) == sum(len(states) for states, *_ in runs)
    for row in rows:
        _, said, parameters, results = runs[run_number(row)]
        network = module(MNIST.spec.network, row["activation"], np.array(row["weights"])).eval()
        position = row["epoch"] - 1
        with torch.no_grad():
            torch.testing.assert_close(network(images), said[position], rtol=1e-4, atol=1e-5)
        assert row["test_accuracy"] == pytest.approx(results[position]["test_acc"])
        assert row["train_accuracy"] == pytest.approx(1.0)
        assert row["generalization_gap"] == pytest.approx(1 - results[position]["test_acc"], abs=1e-6)
        assert (row["activation"], row["init"]) == (parameters["model::nlin"], "kaiming_uniform")
        assert (row["learning_rate"], row["weight_decay"], row["batch_size"]) == (1e-2, 1e-4, 12)


@pytest.mark.parametrize("nested", ["object", "dict of parts"])
def test_a_pickled_dataset_gives_networks_that_say_the_same(
    nested, runs, images, their_classes, tmp_path, zoobench, monkeypatch
):
    if nested == "object":
        content = dataset(their_classes, runs)
    else:
        content = {"trainset": dataset(their_classes, runs[:3]), "testset": dataset(their_classes, runs[3:])}
    torch.save(content, tmp_path / "dataset.pt")
    for name in [name for name in sys.modules if name.startswith("checkpoints_to_datasets")]:
        monkeypatch.delitem(sys.modules, name)
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "mnist-zoo"
    rows = rows_of(folder, "hyp-1-rand-seed")
    check_networks(rows, runs, images, lambda row: row["seed"])
    assert len({row["run_id"] for row in rows}) == 4
    assert zoobench("verify", folder, "--sample", "0").code == 0
    notes = read_manifest(folder).configs["hyp-1-rand-seed"].release.notes
    assert notes[0] == "The file names no runs: rows with equal hyperparameters and seed are one run."


def test_without_seeds_a_run_starts_where_the_epoch_falls(runs, images, their_classes, tmp_path, zoobench):
    torch.save(dataset(their_classes, runs, seed=True), tmp_path / "dataset.pt")
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "out" / "mnist-zoo", "hyp-1-rand-seed")
    check_networks(rows, runs, images, lambda row: int(row["run_id"].removeprefix("run-")) - 1)


def test_rows_whose_runs_cannot_be_told_apart_are_refused(runs, their_classes, tmp_path, zoobench):
    item = dataset(their_classes, runs, seed=True)
    item.properties["training_iteration"] = [3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1]
    torch.save(item, tmp_path / "dataset.pt")
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "does not tell its runs apart" in outcome.err
    assert not (tmp_path / "out").exists()


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("where", ["alone", "inside a dataset"])
def test_a_malicious_pickle_is_refused_by_name_and_never_run(where, runs, their_classes, tmp_path, zoobench):
    victim = tmp_path / "victim"
    content = Malicious(victim)
    if where == "inside a dataset":
        item = dataset(their_classes, runs)
        item.properties["payload"] = [content]
        content = item
    torch.save(content, tmp_path / "dataset.pt")
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "dataset.pt names posix.system" in outcome.err
    assert not victim.exists()
    assert not (tmp_path / "out").exists()
    torch.load(tmp_path / "dataset.pt", weights_only=False) if where == "alone" else os.system(f"touch {victim}")
    assert victim.exists(), "the payload works where code is run"


@pytest.mark.parametrize("form", ["a plain pickle", "a newer plain pickle", "before torch 1.6"])
def test_a_malicious_file_of_another_form_is_refused_too(form, tmp_path, zoobench):
    victim = tmp_path / "victim"
    path = tmp_path / "dataset.pt"
    if "plain" in form:
        path.write_bytes(pickle.dumps(Malicious(victim), protocol=5 if "newer" in form else 2))
    else:
        torch.save({"trainset": Malicious(victim)}, path, _use_new_zipfile_serialization=False)
    outcome = zoobench("import", "schurholt", path, "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    named = "holds what is no tensor and no plain" if "newer" in form else "names posix.system, which is neither"
    assert named in outcome.err
    assert not victim.exists()


def test_a_release_is_the_full_zoo(tmp_path, zoobench):
    outcome = zoobench("import", "schurholt", tmp_path, "--zoo", "mnist-zoo-lite/seed", "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "mnist-zoo-lite/seed is a zoo of our own; a release is of mnist-zoo/seed" in outcome.err


def test_an_unknown_class_is_refused_by_name(runs, tmp_path, zoobench):
    torch.save(TheirCNN("tanh"), tmp_path / "dataset.pt")
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "tests.dataset_scripts.test_schurholt_release.TheirCNN" in outcome.err


def write_raw(folder, runs):
    for number, (states, _, parameters, results) in enumerate(runs):
        run = folder / f"NN_tune_trainable_{number}"
        run.mkdir(parents=True)
        (run / "params.json").write_text(json.dumps(parameters))
        lines = [json.dumps(line | {"config": parameters, "trial_id": f"t{number}"}) for line in results]
        (run / "result.json").write_text("\n".join(lines) + "\n")
        for epoch, state in zip(EPOCHS, states, strict=True):
            (run / f"checkpoint_{epoch:06d}").mkdir()
            torch.save(OrderedDict(state), run / f"checkpoint_{epoch:06d}" / "checkpoints")
    return folder


def test_raw_checkpoints_give_networks_that_say_the_same(runs, images, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    (raw / "NN_tune_trainable_0" / "checkpoint_000000").mkdir()
    torch.save(OrderedDict(runs[0][0][0]), raw / "NN_tune_trainable_0" / "checkpoint_000000" / "checkpoints")
    outcome = zoobench("import", "schurholt", raw, "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "mnist-zoo"
    check_networks(rows_of(folder, "hyp-1-rand-seed"), runs, images, lambda row: int(row["run_id"][-1]))
    notes = read_manifest(folder).configs["hyp-1-rand-seed"].release.notes
    assert "1 checkpoints without a line in result.json are left out." in notes


def test_broken_runs_of_a_raw_zoo_are_dropped_and_listed(runs, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    path = raw / "NN_tune_trainable_1" / "checkpoint_000002" / "checkpoints"
    path.write_bytes(path.read_bytes()[:500])
    (raw / "NN_tune_trainable_2" / "result.json").write_text('{"training_iteration": 1, "test')
    outcome = zoobench("import", "schurholt", raw, "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    config = read_manifest(tmp_path / "out" / "mnist-zoo").configs["hyp-1-rand-seed"]
    assert [(run.run_id, run.epoch) for run in config.dropped] == [
        ("NN_tune_trainable_1", 2),
        ("NN_tune_trainable_2", 0),
    ]
    assert config.runs == 2


def test_weights_of_another_network_are_refused(runs, their_classes, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    torch.save(dataset(their_classes, runs), tmp_path / "dataset.pt")
    for source, message in ((raw, "has tensors of shapes"), (tmp_path / "dataset.pt", "data of shape (12, 2464)")):
        outcome = zoobench("import", "schurholt", source, "--zoo", TETRIS.id, "--out", tmp_path / "out")
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert message in outcome.err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.2, 0.95])
def test_a_truncated_file_is_one_line(share, runs, their_classes, tmp_path, zoobench):
    path = tmp_path / "dataset.pt"
    torch.save(dataset(their_classes, runs), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    outcome = zoobench("import", "schurholt", path, "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "is broken or was not written by torch.save" in outcome.err
    assert not (tmp_path / "out").exists()


def test_missing_properties_are_named(runs, their_classes, tmp_path, zoobench):
    torch.save(dataset(their_classes, runs, test_acc=True), tmp_path / "dataset.pt")
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "has none of test_acc, acc, test_accuracy" in outcome.err
