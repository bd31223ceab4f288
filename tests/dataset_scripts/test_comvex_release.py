import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from zoobench.data.manifest import read_manifest
from zoobench.training.nets import module
from zoobench.zoos import resolve

ZOO = resolve("cnn-zoo-2/mnist")
RUNS, EPOCHS = 12, 4


def network():
    return nn.Sequential(
        nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def images():
    return torch.randn(6, 1, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def file(tmp_path_factory, images):
    """The author's file over trained networks, run by run, and what each network says."""
    matrices = {f"w{k}": [] for k in range(1, 5)}
    said, labels = [], torch.arange(6)
    for seed in range(RUNS):
        torch.manual_seed(seed)
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
        for _ in range(EPOCHS):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            layers = [part for part in model if hasattr(part, "weight")]
            for k, layer in enumerate(layers, 1):
                matrix = torch.cat([layer.weight.flatten(1), layer.bias[:, None]], dim=1)
                matrices[f"w{k}"].append(matrix.detach().clone().flatten())
            with torch.no_grad():
                said.append(model(images))
    content = {name: torch.stack(rows) for name, rows in matrices.items()}
    assert [content[f"w{k}"].shape[1] for k in range(1, 5)] == [640, 36928, 36928, 650]
    content["test_acc"] = torch.linspace(0.1, 0.9, RUNS * EPOCHS)
    path = tmp_path_factory.mktemp("comvex") / "mnist.pt"
    torch.save(content, path)
    return path, content, said


def call(zoobench, path, out, *more):
    return zoobench("import", "comvex", path, "--zoo", ZOO.id, "--out", out, *more)


def test_imported_networks_say_what_the_originals_say(file, images, tmp_path, zoobench):
    path, content, said = file
    outcome = call(zoobench, path, tmp_path, "--checkpoints-per-run", EPOCHS)
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "cnn-zoo-2"
    tables = [pq.read_table(part) for part in sorted((folder / "mnist").glob("*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    assert len(rows) == RUNS * EPOCHS
    for row in rows:
        number = (int(row["run_id"].removeprefix("run-")) - 1) * EPOCHS + row["epoch"] - 1
        rebuilt = module(ZOO.spec.network, "relu", np.array(row["weights"])).eval()
        with torch.no_grad():
            torch.testing.assert_close(rebuilt(images), said[number], rtol=1e-4, atol=1e-6)
        assert row["test_accuracy"] == pytest.approx(content["test_acc"][number].item())
        assert row["learning_rate"] is None
    assert zoobench("verify", folder, "--sample", "0").code == 0
    notes = " ".join(read_manifest(folder).configs["mnist"].release.notes)
    assert "every 4 consecutive rows are one run" in notes


def test_rows_that_are_not_in_runs_of_that_length_are_refused(file, tmp_path, zoobench):
    """Shuffled rows would put checkpoints of one run on both sides of a split."""
    path, content, _ = file
    order = torch.randperm(RUNS * EPOCHS, generator=torch.Generator().manual_seed(0))
    torch.save({name: value[order] for name, value in content.items()}, tmp_path / "shuffled.pt")
    for source, length in ((tmp_path / "shuffled.pt", EPOCHS), (path, 2), (path, 12), (path, 1)):
        outcome = call(zoobench, source, tmp_path / "out", "--checkpoints-per-run", length)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), length
        assert f"rows are not in runs of {length} checkpoints" in outcome.err
        fits = (
            "they jump every 4 rows: give --checkpoints-per-run 4"
            if source == path
            else "no --checkpoints-per-run fits"
        )
        assert fits in outcome.err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {k: v for k, v in c.items() if k != "w3"}, "has w1, w2, w4, test_acc; a file of cnn-zoo-2/mnist"),
        (lambda c: c | {"w1": c["w1"][:, :-1]}, "w1 has shape (48, 639); conv1 of cnn-zoo-2/mnist needs (48, 640)"),
        (lambda c: c | {"w2": c["w2"][:-1]}, "w2 has shape (47, 36928)"),
        (lambda c: c | {"test_acc": c["test_acc"] * 100}, "test_accuracy of checkpoint 0"),
        (lambda c: [c], "has list"),
    ],
)
def test_a_wrong_file_is_one_line(file, tmp_path, zoobench, change, message):
    torch.save(change(file[1]), tmp_path / "wrong.pt")
    outcome = call(zoobench, tmp_path / "wrong.pt", tmp_path / "out", "--checkpoints-per-run", EPOCHS)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err
    assert not (tmp_path / "out").exists()


def test_rows_that_are_no_whole_number_of_runs_are_refused(file, tmp_path, zoobench):
    outcome = call(zoobench, file[0], tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "48 rows are no whole number of runs of 100 checkpoints" in outcome.err


def parts_of(content, folder, indices):
    """The author's three files: some rows each, shuffled or not, with their places in the zoo if wanted."""
    order = torch.randperm(RUNS * EPOCHS, generator=torch.Generator().manual_seed(1)) if indices else None
    places = torch.arange(RUNS * EPOCHS) if order is None else order
    paths = []
    for name, (start, stop) in {"train": (0, 32), "val": (32, 40), "test": (40, 48)}.items():
        rows = places[start:stop]
        part = {key: value[rows] for key, value in content.items()} | ({"indices": rows} if indices else {})
        paths.append(folder / f"{name}.pt")
        torch.save(part, paths[-1])
    return paths


@pytest.mark.parametrize("indices", [True, False])
def test_files_given_at_once_are_one_zoo(indices, file, tmp_path, zoobench):
    """Rows that the author shuffled over his files come back in the order of their indices."""
    _, content, _ = file
    paths = parts_of(content, tmp_path, indices)
    arguments = ("--zoo", ZOO.id, "--out", tmp_path / "out", "--checkpoints-per-run", EPOCHS)
    outcome = zoobench("import", "comvex", *paths, *arguments)
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "cnn-zoo-2"
    rows = [row for part in sorted((folder / "mnist").glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    assert len(rows) == RUNS * EPOCHS
    for row in rows:
        number = (int(row["run_id"].removeprefix("run-")) - 1) * EPOCHS + row["epoch"] - 1
        assert row["test_accuracy"] == pytest.approx(content["test_acc"][number].item())
        assert row["weights"][0] == content["w1"][number, 0].item()
    release = read_manifest(folder).configs["mnist"].release
    assert [entry.path for entry in release.files] == ["train.pt", "val.pt", "test.pt"]
    assert "zoobench import comvex train.pt val.pt test.pt --zoo cnn-zoo-2/mnist" in (folder / "README.md").read_text()
    outcome = zoobench("import", "comvex", paths[0], *arguments)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    message = {
        True: "the indices of train.pt are not 0 to 31, each once; give all files of the zoo at once",
        False: "already holds cnn-zoo-2/mnist, imported from train.pt, val.pt, test.pt; --replace puts train.pt",
    }
    assert message[indices] in outcome.err
    assert read_manifest(folder).configs["mnist"].rows == RUNS * EPOCHS


def test_files_that_are_not_one_zoo_are_refused(file, tmp_path, zoobench):
    paths = parts_of(file[1], tmp_path, indices=True)
    arguments = ("--zoo", ZOO.id, "--out", tmp_path / "out", "--checkpoints-per-run", EPOCHS)
    for given, message in (
        ([*paths, paths[0]], "train.pt has the same content as"),
        (paths[:2], "the indices of train.pt, val.pt are not 0 to 39, each once"),
        ([tmp_path, paths[0]], "is a folder; give one folder of collected checkpoints, or files"),
    ):
        outcome = zoobench("import", "comvex", *given, *arguments)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert message in outcome.err
        assert not (tmp_path / "out").exists()


def collected(folder, content):
    """Checkpoints as the author's code stores them after each epoch, unpacked into a folder per run."""
    model = network()
    names = [f"{name}.{part}" for name in ("conv1", "conv2", "conv3", "fc") for part in ("weight", "bias")]
    for row in range(RUNS * EPOCHS):
        run, epoch = divmod(row, EPOCHS)
        (folder / f"weights{run}").mkdir(parents=True, exist_ok=True)
        tensors = []
        layers = [part for part in model if hasattr(part, "weight")]
        for k, layer in enumerate(layers, 1):
            matrix = content[f"w{k}"][row].reshape(layer.weight.shape[0], -1)
            tensors += [matrix[:, :-1].reshape(layer.weight.shape).clone(), matrix[:, -1].clone()]
        checkpoint = {
            "epoch": epoch,
            "state_dict": dict(zip(names, tensors, strict=True)),
            "train_loss": 0.5,
            "train_acc": 0.75,
            "test_loss": 0.25,
            "test_acc": content["test_acc"][row].item(),
        }
        torch.save(checkpoint, folder / f"weights{run}" / f"2022010112{row:04d}_{epoch}.pt")


def test_collected_checkpoints_are_read_run_by_run(file, images, tmp_path, zoobench):
    _, content, said = file
    collected(tmp_path / "raw", content)
    outcome = zoobench("import", "comvex", tmp_path / "raw", "--zoo", ZOO.id, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "cnn-zoo-2"
    rows = [row for part in sorted((folder / "mnist").glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    assert len(rows) == RUNS * EPOCHS
    for row in rows:
        number = int(row["run_id"].removeprefix("weights")) * EPOCHS + row["epoch"] - 1
        rebuilt = module(ZOO.spec.network, "relu", np.array(row["weights"])).eval()
        with torch.no_grad():
            torch.testing.assert_close(rebuilt(images), said[number], rtol=1e-4, atol=1e-6)
        assert (row["train_accuracy"], row["train_loss"], row["test_loss"]) == (0.75, 0.5, 0.25)


def test_collected_checkpoints_of_two_runs_in_one_folder_are_refused(file, tmp_path, zoobench):
    collected(tmp_path / "raw", file[1])
    for path in (tmp_path / "raw" / "weights1").iterdir():
        path.rename(tmp_path / "raw" / "weights0" / path.name)
    outcome = zoobench("import", "comvex", tmp_path / "raw", "--zoo", ZOO.id, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "are both epoch 1 of run weights0; unpack each archive into a folder of its own" in outcome.err
    assert not (tmp_path / "out").exists()
