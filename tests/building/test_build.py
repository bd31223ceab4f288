import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import DatasetCard

from zoobench.building import chunks
from zoobench.building.build import build
from zoobench.building.chunks import chunk_table
from zoobench.data.manifest import read_manifest
from zoobench.data.schema import rows as row_schema
from zoobench.errors import ZoobenchError
from zoobench.training.images import load_images
from zoobench.training.nets import module
from zoobench.training.population import train
from zoobench.zoos import ALL, Zoo, resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.runs import runs_of


def read_rows(folder, config="seed"):
    tables = [pq.read_table(file) for file in sorted((folder / config).glob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def remeasure(zoo, images, row):
    """Accuracy and loss of a stored row, by a plain PyTorch module."""
    model = module(zoo.spec.network, row["activation"], np.array(row["weights"], dtype=np.float32))
    outcomes = {}
    for part, x, y in (
        ("train", images.train_images, images.train_labels),
        ("test", images.test_images, images.test_labels),
    ):
        logits, labels = model(torch.from_numpy(x)).detach(), torch.from_numpy(y)
        outcomes[f"{part}_accuracy"] = (logits.argmax(1) == labels).double().mean().item()
        outcomes[f"{part}_loss"] = torch.nn.functional.cross_entropy(logits.double(), labels).item()
    return outcomes


def assert_rows_rebuild(zoo, images, rows):
    for row in rows:
        measured = remeasure(zoo, images, row)
        for part, labels in (("train", images.train_labels), ("test", images.test_labels)):
            # One image whose two best logits are equal up to rounding may flip.
            assert measured[f"{part}_accuracy"] == pytest.approx(row[f"{part}_accuracy"], abs=1.01 / len(labels))
            assert measured[f"{part}_loss"] == pytest.approx(row[f"{part}_loss"], rel=1e-4)
        assert row["generalization_gap"] == pytest.approx(row[zoo.spec.gap_of] - row["test_accuracy"], abs=1e-12)


def test_stored_rows_of_the_full_tetris_zoo_rebuild_to_the_recorded_scores(quickstart):
    zoo = resolve("tetris-zoo/seed")
    folder = quickstart.data / "tetris-zoo" / "seed"
    wanted = {"seed-0001", "seed-0500", "seed-1000"}
    filters = [("run_id", "in", wanted)]
    rows = [row for file in folder.glob("*.parquet") for row in pq.read_table(file, filters=filters).to_pylist()]
    assert sorted({(row["run_id"], row["epoch"]) for row in rows}) == [
        (r, e) for r in sorted(wanted) for e in range(1, 76)
    ]
    assert_rows_rebuild(zoo, load_images(zoo.spec, zoo.size), rows)


def test_the_full_tetris_zoo_has_the_papers_size(quickstart):
    config = read_manifest(quickstart.data / "tetris-zoo").configs["seed"]
    assert (config.runs, config.rows, config.dropped) == (1000, 75_000, [])


def test_stored_rows_of_a_cnn_zoo_rebuild_to_the_recorded_scores(images_folder, tmp_path):
    zoo = resolve("mnist-zoo-tiny/seed")
    folder = build(zoo, tmp_path, images_folder)
    rows = read_rows(folder)
    assert len(rows) == 24 * 3
    assert_rows_rebuild(zoo, load_images(zoo.spec, zoo.size, images_folder), rows[::5])
    assert all(row["f1_class_0"] is None for row in rows)


def test_every_run_and_epoch_is_there_once_with_its_own_id(tiny_home):
    rows = read_rows(tiny_home / "tetris-zoo-tiny")
    assert sorted(row["example_id"] for row in rows) == [
        f"seed-{s:04d}/{e:03d}" for s in range(1, 41) for e in range(1, 7)
    ]
    assert all(row["example_id"] == f"{row['run_id']}/{row['epoch']:03d}" for row in rows)
    assert len({row["config_id"] for row in rows}) == 1


def test_the_columns_are_the_schema_in_parquet_and_labels_have_all_but_the_weights(tiny_home):
    folder = tiny_home / "tetris-zoo-tiny"
    stored = pq.read_schema(folder / "seed" / "test-00000-of-00001.parquet")
    assert stored.equals(row_schema(100))
    labels = pq.read_table(folder / "labels" / "seed" / "test.parquet")
    full = pq.read_table(folder / "seed" / "test-00000-of-00001.parquet")
    assert labels.equals(full.drop_columns("weights"))


def test_the_manifest_describes_every_file(tiny_home):
    folder = tiny_home / "tetris-zoo-tiny"
    config = read_manifest(folder).configs["seed"]
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {entry.path for entry in config.files} == on_disk - {"README.md", "manifest.json"}
    for entry in config.files:
        content = (folder / entry.path).read_bytes()
        assert (entry.sha256, entry.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert config.weight_layout().size == 100
    assert sum(split.rows for split in config.splits.values()) == config.rows == 240


def test_building_again_gives_the_same_bytes(tiny_home, tmp_path):
    again = build(resolve("tetris-zoo-tiny/seed"), tmp_path)
    one, other = (read_manifest(folder).configs["seed"] for folder in (tiny_home / "tetris-zoo-tiny", again))
    assert one.files == other.files


def test_the_size_of_chunks_changes_nothing_but_rounding(tiny_home, tmp_path, monkeypatch):
    zoo = resolve("tetris-zoo-tiny/seed")
    size = zoo.size
    other = dataclasses.replace(size, chunk=7)
    monkeypatch.setattr(type(zoo), "size", property(lambda self: other))
    rows = read_rows(build(zoo, tmp_path))
    expected = read_rows(tiny_home / "tetris-zoo-tiny")
    assert [row["example_id"] for row in rows] == [row["example_id"] for row in expected]
    np.testing.assert_allclose(
        [row["weights"] for row in rows], [row["weights"] for row in expected], rtol=1e-3, atol=1e-4
    )


def test_a_diverged_run_is_dropped_whole_and_listed(tetris_images):
    zoo = resolve("tetris-zoo-tiny/seed")
    runs = runs_of(zoo)[:3]
    checkpoints = list(train(zoo.spec.network, runs, tetris_images, (1, 2, 3)))
    checkpoints[1].weights[1, 5] = np.nan
    checkpoints[2].test.loss[2] = np.inf
    table, dropped = chunk_table(zoo.spec, runs, checkpoints)
    assert table["example_id"].to_pylist() == ["seed-0001/001", "seed-0001/002", "seed-0001/003"]
    assert [(run.run_id, run.epoch) for run in dropped] == [("seed-0002", 2), ("seed-0003", 3)]


def test_an_interrupted_build_leaves_the_dataset_as_it_was(tiny_home, tmp_path, monkeypatch):
    folder = build(resolve("tetris-zoo-tiny/seed"), tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def interrupted(*args, **kwargs):
        yield next(train(*args, **kwargs))
        raise KeyboardInterrupt

    monkeypatch.setattr(chunks, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(resolve("tetris-zoo-tiny/seed"), tmp_path)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert sorted(os.listdir(tmp_path)) == [".tetris-zoo-tiny-seed.build", "tetris-zoo-tiny"]


def test_a_build_killed_in_the_middle_resumes_to_the_same_bytes(tmp_path):
    """kill -9 after the first of three chunks; then the same command again, beside an uninterrupted build."""
    command = [sys.executable, "-m", "zoobench", "build", "tetris-zoo/hyp", "--scale", "tiny", "--out"]
    work = tmp_path / "killed" / ".tetris-zoo-tiny-hyp.build"
    process = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL)
    while process.poll() is None and not (work / "chunk-000000.json").exists():
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "tetris-zoo-tiny").exists()
    assert not (work / "chunk-000060.json").exists()
    resumed = subprocess.run([*command, str(tmp_path / "killed")], capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    subprocess.run([*command, str(tmp_path / "whole")], capture_output=True, check=True)
    one, other = (read_manifest(tmp_path / name / "tetris-zoo-tiny").configs["hyp"] for name in ("killed", "whole"))
    assert one.files == other.files
    assert os.listdir(tmp_path / "killed") == ["tetris-zoo-tiny"]


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """First runs of the chunks that were trained; a build of three was interrupted in its second."""
    trained = []

    def counting(network, runs, *args, **kwargs):
        trained.append(runs[0].run_id)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(network, runs, *args, **kwargs)

    monkeypatch.setattr(chunks, "train", counting)
    with pytest.raises(KeyboardInterrupt):
        build(resolve("tetris-zoo-tiny/seed"), tmp_path, workers=1)
    return trained


def test_an_interrupted_build_trains_only_what_is_missing(tmp_path, interrupted):
    build(resolve("tetris-zoo-tiny/seed"), tmp_path, workers=1)
    assert interrupted == ["seed-0001", "seed-0017", "seed-0017", "seed-0033"]


def test_chunks_of_another_recipe_stay_until_they_are_given_up(tmp_path, interrupted, zoobench):
    work = tmp_path / ".tetris-zoo-tiny-seed.build"
    plan = work / "plan.json"
    plan.write_text(plan.read_text().replace('"runs": 40', '"runs": 41'))
    before = {path.name: path.read_bytes() for path in work.iterdir()}
    assert {"chunk-000000.json", "chunk-000000.parquet", "plan.json"} <= set(before)
    command = ["build", "tetris-zoo/seed", "--scale", "tiny", "--workers", 1, "--out", tmp_path]
    outcome = zoobench(*command)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"cannot go on with tetris-zoo-tiny/seed: finished chunks in {work} (1)" in outcome.err
    assert {path.name: path.read_bytes() for path in work.iterdir()} == before
    assert zoobench(*command, "--no-resume").code == 0
    assert interrupted == ["seed-0001", "seed-0017", "seed-0001", "seed-0017", "seed-0033"]
    assert os.listdir(tmp_path) == ["tetris-zoo-tiny"]


def test_where_no_chunk_was_finished_another_recipe_begins(tmp_path, zoobench):
    work = tmp_path / ".tetris-zoo-tiny-seed.build"
    work.mkdir()
    (work / "plan.json").write_text("{}")
    (work / "chunk-000007.parquet").write_text("killed before its list of dropped runs was written")
    assert zoobench("build", "tetris-zoo/seed", "--scale", "tiny", "--out", tmp_path).code == 0
    assert len(read_rows(tmp_path / "tetris-zoo-tiny")) == 40 * 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full to stand for a full disk")
def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path, monkeypatch, zoobench):
    real = Path.open

    def full(path, mode="r", *args, **kwargs):
        return real(Path("/dev/full") if "w" in mode and "chunk" in path.name else path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    outcome = zoobench("build", "tetris-zoo/seed", "--scale", "tiny", "--out", tmp_path)
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert outcome.err.count("\n") == 1
    assert os.listdir(tmp_path / ".tetris-zoo-tiny-seed.build") == ["plan.json"]


def test_a_place_that_cannot_be_written_is_one_line(zoobench, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = zoobench("build", "tetris-zoo/seed", "--scale", "tiny", "--out", tmp_path / "file")
    assert outcome.code == 2
    assert outcome.err.startswith("error: cannot write to ")
    assert outcome.err.count("\n") == 1


def test_load_dataset_reads_the_folder_without_zoobench(tiny_home, tmp_path):
    code = """
import json, sys
sys.modules["zoobench"] = None  # importing it would fail
from datasets import load_dataset
zoo = load_dataset(sys.argv[1], "seed")
row = zoo["test"].with_format("numpy")[0]
weights = row["weights"]
print(json.dumps({"rows": zoo.num_rows, "shape": weights.shape, "type": str(weights.dtype)}))
"""
    environment = {"PATH": "/usr/bin:/bin", "HF_HOME": str(tmp_path), "HF_DATASETS_OFFLINE": "1"}
    command = [sys.executable, "-c", code, str(tiny_home / "tetris-zoo-tiny")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    splits = read_manifest(tiny_home / "tetris-zoo-tiny").configs["seed"].splits
    assert seen["rows"] == {name: split.rows for name, split in splits.items()}
    assert (seen["shape"], seen["type"]) == ([100], "float32")


# As the papers name them.
CONFIGS = {
    "small-cnn-zoo": ["cifar10", "fashion_mnist", "mnist", "svhn"],
    "cnn-zoo-2": ["cifar10", "fashion_mnist", "mnist", "usps"],
    "tetris-zoo": ["hyp", "seed"],
    "mnist-zoo": ["fashion-seed", *(f"hyp-{n}-{kind}-seed" for n in (1, 5) for kind in ("fix", "rand")), "seed"],
}


@pytest.fixture(scope="session")
def all_tiny(all_images, once):
    """Every declared zoo, built repo by repo at the scale ``tiny`` from real images where there are some."""

    def make(home):
        for repo in CONFIGS:
            command = [sys.executable, "-m", "zoobench", "build", repo, "--scale", "tiny"]
            command += ["--images", str(all_images), "--out", str(home)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

    return once("all-tiny", make)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_every_zoo_builds_and_its_rows_rebuild(spec, all_tiny, all_images):
    zoo = Zoo(spec, "tiny")
    config = read_manifest(all_tiny / zoo.repo).configs[spec.config]
    assert config.runs + len(config.dropped) == len(runs_of(zoo)) == zoo.size.runs
    assert config.rows == config.runs * len(zoo.size.checkpoints)
    assert config.weight_layout() == layout_of(spec.network)
    rows = read_rows(all_tiny / zoo.repo, spec.config)
    for name in spec.varies:
        assert len({row[name] for row in rows}) > 1
    whole = [row for row in rows if row["train_fraction"] == 1]
    step = max(1, len(whole) // 12)
    assert_rows_rebuild(zoo, load_images(spec, zoo.size, all_images), whole[::step])


def test_a_repo_holds_all_its_configs_in_one_card(all_tiny):
    for repo, configs in CONFIGS.items():
        folder = all_tiny / f"{repo}-tiny"
        assert list(read_manifest(folder).configs) == configs
        card = DatasetCard.load(folder / "README.md")
        assert [config["config_name"] for config in card.data.configs] == configs
        assert all(f"## Config `{config}`" in card.text for config in configs)


def test_a_manifest_of_another_version_is_refused(tiny_home, tmp_path):
    content = json.loads((tiny_home / "tetris-zoo-tiny" / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(ZoobenchError, match="schema version 99; this zoobench reads version 1"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(content | {"surprise": 1}))
    with pytest.raises(ZoobenchError, match="surprise: Extra inputs are not permitted"):
        read_manifest(tmp_path)
