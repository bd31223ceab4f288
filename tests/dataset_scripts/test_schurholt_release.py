"""Dataset objects as the authors' code writes them by torch.save."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from zoobench.data.manifest import read_manifest
from zoobench.zoos import resolve

from . import peer_files
from .schurholt_like import CONFIG, EPOCHS, MNIST, RUNS, TheirCNN, check_networks, imported, refused, rows_of, write_raw

TETRIS = resolve("tetris-zoo/seed")


def dataset(classes, runs, *without, first=0):
    """A dataset of 2021 over all checkpoints of the runs, without some attributes and properties."""
    item = peer_files.vectorised(classes, runs, EPOCHS, first)
    for name in without:
        if name in item.properties:
            del item.properties[name]
        else:
            delattr(item, name)
    return item


NO_NAMES = ("paths", "labels_in", "epochs")


FORMS = {"2021": peer_files.vectorised, "2022": peer_files.checkpointed}


@pytest.mark.parametrize("nested", ["object", "dict of parts"])
@pytest.mark.parametrize("form", FORMS)
def test_a_published_dataset_gives_networks_that_say_the_same(
    form, nested, runs, images, their_classes, tmp_path, zoobench, monkeypatch
):
    make = FORMS[form]
    if nested == "object":
        content = make(their_classes, runs, EPOCHS)
    else:
        parts = {"trainset": (0, 7), "valset": (7, 9), "testset": (9, RUNS)}
        content = {name: make(their_classes, runs[a:b], EPOCHS, a) for name, (a, b) in parts.items()}
    torch.save(content, tmp_path / "dataset.pt")
    peer_files.forget_classes(monkeypatch)
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "mnist-zoo"
    rows = rows_of(folder, CONFIG)
    check_networks(rows, runs, images, lambda row: int(row["run_id"][-2:]))
    assert {row["run_id"] for row in rows} == {peer_files.run_path(k).name for k in range(RUNS)}
    assert zoobench("verify", folder, "--sample", "0").code == 0
    notes = read_manifest(folder).configs[CONFIG].release.notes
    assert notes[0] == "`run_id` is the run's name in the file."
    assert any("running accuracy inside the epoch" in note for note in notes)
    assert "running accuracy inside the epoch" in (folder / "README.md").read_text()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("serialisation", ["zip", "before torch 1.6"])
def test_every_serialisation_gives_the_same_rows(
    serialisation, protocol, runs, their_classes, tmp_path, zoobench, monkeypatch
):
    """Other types of values, too: bfloat16, tensors that require gradients, arrays of numbers and texts."""
    item = peer_files.checkpointed(their_classes, runs, EPOCHS)
    item.data_in = [OrderedDict((name, nn.Parameter(value)) for name, value in state.items()) for state in item.data_in]
    item.properties["model::nlin"] = np.array(item.properties["model::nlin"])
    item.properties["optim::optimizer"] = np.array(item.properties["optim::optimizer"], dtype=object)
    item.properties["test_acc"] = [np.float64(value) for value in item.properties["test_acc"]]
    item.properties["seed"] = torch.tensor(item.properties["seed"])
    torch.save(
        item,
        tmp_path / "dataset.pt",
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=serialisation == "zip",
    )
    peer_files.forget_classes(monkeypatch)
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    for row in rows_of(tmp_path / "out" / "mnist-zoo", CONFIG):
        states, _, parameters, results = runs[int(row["run_id"][-2:])]
        expected = peer_files.vector(states[row["epoch"] - 1]).numpy()
        np.testing.assert_array_equal(np.array(row["weights"], np.float32), expected)
        assert (row["activation"], row["seed"]) == (parameters["model::nlin"], parameters["seed"])
        assert row["test_accuracy"] == pytest.approx(results[row["epoch"] - 1]["test_acc"])


def test_bfloat16_weights_are_their_float32(runs, their_classes, tmp_path, zoobench):
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    item.data_in = torch.stack(item.data_in).to(torch.bfloat16)
    torch.save(item, tmp_path / "dataset.pt")
    assert imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out").code == 0
    for row in rows_of(tmp_path / "out" / "mnist-zoo", CONFIG):
        state = runs[int(row["run_id"][-2:])][0][row["epoch"] - 1]
        expected = peer_files.vector(state).to(torch.bfloat16).float().numpy()
        np.testing.assert_array_equal(np.array(row["weights"], np.float32), expected)


def test_paths_of_python_3_13_are_read(runs, their_classes, tmp_path, zoobench):
    """There the class is ``pathlib._local.PosixPath``; here a class of that name writes what it writes."""
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    torch.save(item, tmp_path / "old.pt", pickle_protocol=2, _use_new_zipfile_serialization=False)
    content = (tmp_path / "old.pt").read_bytes()
    assert b"cpathlib\nPosixPath\n" in content
    (tmp_path / "new.pt").write_bytes(content.replace(b"cpathlib\nPosixPath\n", b"cpathlib._local\nPosixPath\n"))
    outcome = imported(zoobench, tmp_path / "new.pt", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    names = {row["run_id"] for row in rows_of(tmp_path / "out" / "mnist-zoo", CONFIG)}
    assert names == {peer_files.run_path(k).name for k in range(RUNS)}


def test_a_dataset_without_properties_is_one_line(runs, their_classes, tmp_path, zoobench):
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    item.properties = None
    torch.save(item, tmp_path / "dataset.pt")
    refused(imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out"), "a dataset without properties")
    assert not (tmp_path / "out").exists()


def test_what_was_not_measured_before_training_is_null(runs, their_classes, tmp_path, zoobench):
    """The original code writes -999 for the training accuracy and loss of the first checkpoint."""
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    for name in ("training_iteration",):
        item.properties[name] = [epoch - 1 for epoch in item.properties[name]]
    item.epochs = list(item.properties["training_iteration"])
    gaps = item.properties["ggap"]
    item.properties["ggap"] = [-999.1 if e == 0 else gap for e, gap in zip(item.epochs, gaps, strict=True)]
    torch.save(item, tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    for row in rows_of(tmp_path / "out" / "mnist-zoo", CONFIG):
        assert (row["train_accuracy"] is None) == (row["generalization_gap"] is None) == (row["epoch"] == 0)


def test_runs_whose_results_are_of_other_epochs_are_dropped(runs, their_classes, tmp_path, zoobench):
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    item.properties["training_iteration"][4] = 3
    torch.save(item, tmp_path / "dataset.pt")
    assert imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out").code == 0
    (dropped,) = read_manifest(tmp_path / "out" / "mnist-zoo").configs[CONFIG].dropped
    assert (dropped.run_id, dropped.epoch) == (peer_files.run_path(1).name, 2)
    assert dropped.reason == "its results are of epoch 3"


def test_rows_of_equal_hyperparameters_and_seed_are_a_run(runs, images, their_classes, tmp_path, zoobench):
    torch.save(dataset(their_classes, runs, *NO_NAMES), tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "mnist-zoo"
    check_networks(rows_of(folder, CONFIG), runs, images, lambda row: row["seed"])
    notes = read_manifest(folder).configs[CONFIG].release.notes
    assert notes[0] == "The file names no runs: rows with equal hyperparameters and seed are one run."


def test_without_seeds_a_run_starts_where_the_epoch_falls(runs, images, their_classes, tmp_path, zoobench):
    torch.save(dataset(their_classes, runs, *NO_NAMES, "seed"), tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "out" / "mnist-zoo", CONFIG)
    check_networks(rows, runs, images, lambda row: int(row["run_id"].removeprefix("run-")) - 1)


def test_rows_whose_runs_cannot_be_told_apart_are_refused(runs, their_classes, tmp_path, zoobench):
    item = dataset(their_classes, runs, *NO_NAMES, "seed")
    item.properties["training_iteration"] = [epoch for epoch in (3, 2, 1) for _ in range(RUNS)]
    torch.save(item, tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    refused(outcome, "does not tell its runs apart", "NN_* folders")
    assert not (tmp_path / "out").exists()


def _keep(item, kept):
    """Only some rows of a dataset."""
    for name in ("data_in", "paths", "epochs", "labels_in"):
        if hasattr(item, name):
            setattr(item, name, [getattr(item, name)[row] for row in kept])
    item.properties = {name: [values[row] for row in kept] for name, values in item.properties.items()}
    return item


def test_a_run_that_has_an_epoch_twice_is_refused_with_its_rows(runs, their_classes, tmp_path, zoobench):
    """It is not that the names of the other runs are given up: their checkpoints would lie in several splits."""
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    item.paths[4], item.labels_in[4] = item.paths[7], item.labels_in[7]
    torch.save(item, tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    refused(outcome, "rows 4, 7 are all epoch 2 of run NN_tune_trainable_00002", "NN_* folders")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("told", ["a seed", "no seed"])
def test_two_runs_that_would_become_one_are_refused(told, runs, their_classes, tmp_path, zoobench):
    """The second half of one run has the seed of another, whose second half is missing; their weights say so."""
    rows = [row for row in range(3 * RUNS) if row not in (4, 5, 9)]
    item = _keep(dataset(their_classes, runs, *NO_NAMES), rows)  # run 1 ends at epoch 1, run 3 begins at epoch 2
    first = rows.index(3)
    for name in ("seed", "model::nlin"):
        for row in (rows.index(10), rows.index(11)):
            item.properties[name][row] = item.properties[name][first]
    if told == "no seed":
        item = _keep(item, [*range(first + 1), rows.index(10), rows.index(11)])
        del item.properties["seed"]
    torch.save(item, tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    refused(outcome, "should be consecutive checkpoints of one run, but their weights are as far apart")
    assert not (tmp_path / "out").exists()


def test_one_run_that_would_become_two_is_refused(runs, their_classes, tmp_path, zoobench):
    """The last checkpoints of a run stand at the end of the file."""
    rows = [row for row in range(3 * RUNS) if row not in (7, 8)]
    item = _keep(dataset(their_classes, runs, *NO_NAMES, "seed"), [*rows, 7, 8])
    torch.save(item, tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    refused(outcome, f"row {3 * RUNS - 2} should begin a run, but its weights go on from row 6")


def test_runs_of_one_name_in_two_folders_stay_two(runs, their_classes, tmp_path, zoobench):
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    item.paths = [
        peer_files.Path(f"/zoos/{'ab'[k % 2]}/NN_tune_trainable_{k // 2:05d}") for k in range(RUNS) for _ in EPOCHS
    ]
    torch.save(item, tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "out" / "mnist-zoo", CONFIG)
    assert len({row["run_id"] for row in rows}) == RUNS
    assert all(len({row["seed"] for row in rows if row["run_id"] == name}) == 1 for name in {r["run_id"] for r in rows})


@pytest.mark.parametrize("names", ["the same names", "other names", "no names"])
def test_a_file_that_holds_its_rows_twice_is_refused(names, runs, their_classes, tmp_path, zoobench):
    first, second = (peer_files.vectorised(their_classes, runs, EPOCHS) for _ in range(2))
    if names == "other names":
        second = peer_files.vectorised(their_classes, runs, EPOCHS, first=RUNS)
    for item in (first, second) if names == "no names" else ():
        for name in NO_NAMES:
            delattr(item, name)
    torch.save({"trainset": first, "testset": second}, tmp_path / "dataset.pt")
    message = {
        "the same names": "rows 0, 36 are all epoch 1 of run NN_tune_trainable_00000",
        "other names": "runs NN_tune_trainable_00000 and NN_tune_trainable_00012 are the same network at epoch 1",
        "no names": "are the same network at epoch 1",
    }
    refused(imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out"), message[names])
    assert not (tmp_path / "out").exists()


def test_a_dataset_that_is_there_twice_is_refused(runs, their_classes, tmp_path, zoobench):
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    torch.save([item, item], tmp_path / "dataset.pt")
    refused(imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out"), "rows 0, 36 are all epoch 1")


def test_activations_of_another_zoo_are_refused(runs, their_classes, tmp_path, zoobench):
    """A zoo that varies the seed alone has one activation, and every zoo only those there are networks for."""
    item = peer_files.vectorised(their_classes, runs, EPOCHS)
    torch.save(item, tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out", resolve("mnist-zoo/seed"))
    refused(outcome, "activation has 2 values in this release (relu, tanh), but mnist-zoo/seed varies the seed alone")
    item.properties["model::nlin"] = ["LeakyReLU" if k == "relu" else k for k in item.properties["model::nlin"]]
    torch.save(item, tmp_path / "dataset.pt")
    refused(imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out"), "that zoobench has networks for")
    item.properties["model::nlin"] = list(range(3 * RUNS))
    torch.save(item, tmp_path / "dataset.pt")
    refused(
        imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out"),
        "activation of checkpoint 0 is 0, which is no text",
    )
    assert not (tmp_path / "out").exists()


def test_a_split_without_runs_is_one_line(runs, their_classes, tmp_path, zoobench):
    torch.save(peer_files.vectorised(their_classes, runs[:4], EPOCHS), tmp_path / "dataset.pt")
    outcome = imported(zoobench, tmp_path / "dataset.pt", tmp_path / "out")
    refused(outcome, "of 4 runs none falls into", "import more runs; nothing was written")
    assert not (tmp_path / "out").exists()


def test_another_file_does_not_replace_an_import_in_silence(runs, their_classes, tmp_path, zoobench):
    for name, share in (("train", runs), ("test", runs[:-1])):
        torch.save(peer_files.vectorised(their_classes, share, EPOCHS), tmp_path / f"{name}.pt")
    out = tmp_path / "out"
    for _ in range(2):
        assert imported(zoobench, tmp_path / "train.pt", out).code == 0
    refused(
        imported(zoobench, tmp_path / "test.pt", out), "already holds mnist-zoo", "train.pt; --replace puts test.pt"
    )
    assert read_manifest(out / "mnist-zoo").configs[CONFIG].runs == RUNS
    assert imported(zoobench, tmp_path / "test.pt", out, MNIST, "--replace").code == 0
    assert read_manifest(out / "mnist-zoo").configs[CONFIG].runs == RUNS - 1


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
    assert "names posix.system, which is neither" in outcome.err
    assert not victim.exists()


def test_a_release_is_the_full_zoo(tmp_path, zoobench):
    outcome = zoobench("import", "schurholt", tmp_path, "--zoo", "mnist-zoo-lite/seed", "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "mnist-zoo-lite/seed is a zoo of our own; a release is of mnist-zoo/seed" in outcome.err


def test_an_unknown_class_is_refused_by_name(runs, tmp_path, zoobench):
    torch.save(TheirCNN("tanh"), tmp_path / "dataset.pt")
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "tests.dataset_scripts.schurholt_like.TheirCNN" in outcome.err


def test_weights_of_another_network_are_refused(runs, their_classes, tmp_path, zoobench):
    raw = write_raw(tmp_path / "raw", runs)
    torch.save(peer_files.vectorised(their_classes, runs, EPOCHS), tmp_path / "2021.pt")
    torch.save(peer_files.checkpointed(their_classes, runs, EPOCHS), tmp_path / "2022.pt")
    matrix = peer_files.vectorised(their_classes, runs, EPOCHS)
    matrix.data_in = torch.stack(matrix.data_in)
    torch.save(matrix, tmp_path / "matrix.pt")
    for source, message in (
        (raw, "has tensors of shapes"),
        (tmp_path / "2021.pt", "a row of 2,464 weights; a network of tetris-zoo/seed has 100"),
        (tmp_path / "2022.pt", "row 0 has tensors of shapes"),
        (tmp_path / "matrix.pt", "data of shape (36, 2464)"),
    ):
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
    torch.save(dataset(their_classes, runs, "test_acc"), tmp_path / "dataset.pt")
    outcome = zoobench("import", "schurholt", tmp_path / "dataset.pt", "--zoo", MNIST.id, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "has none of test_acc, acc, test_accuracy" in outcome.err
