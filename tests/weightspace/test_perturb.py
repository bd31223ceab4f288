import json
import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

from zoobench.building.build import build
from zoobench.data import hub, shards
from zoobench.errors import ZoobenchError
from zoobench.files import sha256_of
from zoobench.weightspace import perturb, symmetry
from zoobench.zoos import resolve

# All networks of the zoo `tiny` have tanh and no biases.
NAMES = [
    "neuron-permutation",
    "tanh-sign-flip",
    "global-permutation",
    "layer-permutation",
    "final-layer-permutation",
    "first-layers-permutation",
    "scale-0.001",
    "scale-0.1",
    "scale-2",
    "scale-10",
    "scale-100",
]


@pytest.fixture
def folder(tiny, tmp_path):
    perturb.perturb(tiny, tmp_path / "perturbed", seed=3)
    return tmp_path / "perturbed"


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_perturbation_of_the_test_split_is_a_file(tiny, tmp_path):
    steps = []
    paths = perturb.perturb(tiny, tmp_path / "out", on_step=steps.append)
    assert paths == [tmp_path / "out" / name / "test.parquet" for name in NAMES]
    assert steps == ["loading", *NAMES]
    test = hub.load_split(tiny, "test")
    for path in paths:
        table = pq.read_table(path)
        assert table.column_names == ["example_id", "activation", "weights"]
        kind = table.schema.field("weights").type
        assert (kind.list_size, str(kind.value_type), kind.value_field.nullable) == (100, "float", False)
        assert table["example_id"].to_pylist() == test.labels["example_id"].tolist()
        assert set(table["activation"].to_pylist()) == {"tanh"}
    doubled = np.array(pq.read_table(tmp_path / "out" / "scale-2" / "test.parquet")["weights"].to_pylist())
    assert np.array_equal(doubled, 2 * test.weights)


def test_datasets_loads_a_perturbation_by_its_name(folder, tmp_path):
    code = """
import json, sys
sys.modules["zoobench"] = None  # importing it would fail
from datasets import get_dataset_config_names, load_dataset
loaded = load_dataset(sys.argv[1], "neuron-permutation")
columns = [loaded["test"][name][:] for name in ("example_id", "weights")]
print(json.dumps([get_dataset_config_names(sys.argv[1]), *columns]))
"""
    environment = {"PATH": "/usr/bin:/bin", "HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_OFFLINE": "1"}
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, ids, weights = json.loads(done.stdout)
    stored = pq.read_table(folder / "neuron-permutation" / "test.parquet")
    assert sorted(names) == sorted(NAMES)
    assert ids == stored["example_id"].to_pylist()
    assert weights == stored["weights"].to_pylist()


def test_what_was_written_is_read_back(tiny, tiny_home, folder):
    read = perturb.read_perturbed(folder)
    assert (read.manifest.zoo, read.manifest.seed, read.manifest.sample) == ("tetris-zoo-tiny/seed", 3, None)
    labels = tiny_home / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet"
    assert read.manifest.labels_sha256 == sha256_of(labels)
    copies = list(read)
    assert [copy.name for copy in copies] == NAMES
    assert [copy.name for copy in copies if copy.preserves] == ["neuron-permutation", "tanh-sign-flip"]
    test = hub.load_split(tiny, "test")
    for copy in copies:
        assert copy.example_ids.tolist() == test.labels["example_id"].tolist()
        assert (copy.weights.shape, copy.weights.dtype) == (test.weights.shape, np.float32)
        stored = pq.read_table(folder / copy.name / "test.parquet")["weights"].to_pylist()
        assert copy.weights.tolist() == stored
        assert not np.array_equal(copy.weights, test.weights)


def test_the_card_says_what_the_copies_are(folder):
    card = (folder / "README.md").read_text()
    assert "# tetris-zoo-tiny/seed, perturbed" in card
    assert "all rows of its test split" in card
    for name in NAMES:
        kept = "yes" if name in ("neuron-permutation", "tanh-sign-flip") else "no"
        (line,) = [line for line in card.splitlines() if line.startswith(f"| `{name}` |")]
        assert line.endswith(f"| {kept} | 18 |")


def test_the_same_seed_gives_the_same_bytes(tiny, folder, tmp_path):
    perturb.perturb(tiny, tmp_path / "again", seed=3)
    perturb.perturb(tiny, tmp_path / "other", seed=4)
    assert files(tmp_path / "again") == files(folder)
    changed = {path for path, content in files(tmp_path / "other").items() if content != files(folder)[path]}
    assert {f"{name}/test.parquet" for name in NAMES if not name.startswith("scale-")} == changed - {
        "README.md",
        "perturbed.json",
    }


def test_a_perturbation_draws_the_same_beside_others(tiny, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(symmetry, "PERTURBATIONS", symmetry.PERTURBATIONS[::-1][:-1])
    perturb.perturb(tiny, tmp_path / "out", seed=3)
    for name in NAMES[1:]:
        path = f"{name}/test.parquet"
        assert (tmp_path / "out" / path).read_bytes() == (folder / path).read_bytes()


def test_blocks_do_not_matter(tiny, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(perturb, "_BLOCK_BYTES", 7 * 800)
    perturb.perturb(tiny, tmp_path / "blocks", seed=3)
    for name in NAMES:
        tables = [pq.read_table(where / name / "test.parquet") for where in (folder, tmp_path / "blocks")]
        assert tables[0].equals(tables[1])


def test_a_sample_is_the_same_rows_of_every_perturbation_in_their_order(tiny, tmp_path):
    everything = hub.load_split(tiny, "test").labels["example_id"].tolist()
    paths = perturb.perturb(tiny, tmp_path / "out", sample=7)
    ids = pq.read_table(paths[0])["example_id"].to_pylist()
    assert len(ids) == 7
    assert ids == [example_id for example_id in everything if example_id in ids] != everything[:7]
    assert all(pq.read_table(path)["example_id"].to_pylist() == ids for path in paths)
    assert "at most 7 rows, drawn at random, of its test split" in (tmp_path / "out" / "README.md").read_text()
    paths = perturb.perturb(tiny, tmp_path / "more", sample=1_000)
    assert pq.read_table(paths[0])["example_id"].to_pylist() == everything


def test_a_symmetry_of_one_activation_has_its_rows_only(tmp_path, monkeypatch):
    zoo = resolve("tetris-zoo-tiny/hyp")
    build(zoo, tmp_path)
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path))
    perturb.perturb(zoo, tmp_path / "out")
    test = hub.load_split(zoo, "test")
    copies = {copy.name: copy for copy in perturb.read_perturbed(tmp_path / "out")}
    for name, activation in (("relu-scaling", "relu"), ("tanh-sign-flip", "tanh")):
        chosen = test.labels["activation"] == activation
        assert copies[name].example_ids.tolist() == test.labels["example_id"][chosen].tolist()
        assert 0 < len(copies[name].example_ids) < len(test.labels)
    signs = copies["tanh-sign-flip"].weights / test.weights[test.labels["activation"] == "tanh"]
    assert set(signs.ravel()) == {-1, 1}


def test_an_empty_folder_is_taken_and_a_full_one_is_not(tiny, tmp_path):
    (tmp_path / "out").mkdir()
    perturb.perturb(tiny, tmp_path / "out", sample=2)
    before = files(tmp_path / "out")
    with pytest.raises(ZoobenchError, match=r"/out is already there and not empty; remove it or name another folder"):
        perturb.perturb(tiny, tmp_path / "out")
    assert files(tmp_path / "out") == before
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample": 0}, "a sample has at least 1 row, not 0"),
        ({"seed": -1}, "a seed is a number from 0 to"),
    ],
)
def test_numbers_out_of_range_are_named(tiny, tmp_path, arguments, message):
    with pytest.raises(ZoobenchError, match=message):
        perturb.perturb(tiny, tmp_path / "out", **arguments)


def test_a_write_that_fails_leaves_nothing(tiny, tmp_path, monkeypatch):
    def full_disk(path, *rest, write):
        if path.parent.name == "scale-2":
            raise OSError(28, "No space left on device", str(path))
        write(path, *rest)

    monkeypatch.setattr(shards, "write_tables", partial(full_disk, write=shards.write_tables))
    with pytest.raises(ZoobenchError, match=r"cannot write perturbed copies to .*/out: No space left on device"):
        perturb.perturb(tiny, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line(tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(ZoobenchError, match=r"not empty|cannot write perturbed copies to .*: Not a directory"):
            perturb.perturb(tiny, out)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_zoo_that_is_nowhere_leaves_nothing(tmp_path):
    with pytest.raises(ZoobenchError, match="zoo 'mnist-zoo-lite/seed' is neither in"):
        perturb.perturb(resolve("mnist-zoo-lite/seed"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_folder_and_the_next_one_cleans_up(tiny, tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from zoobench import zoos
from zoobench.weightspace import perturb
def on_step(step):
    if step == "scale-10":
        os.kill(os.getpid(), signal.SIGKILL)
perturb.perturb(zoos.resolve("tetris-zoo-tiny/seed"), Path(sys.argv[1]), on_step=on_step)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "out"], env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    perturb.perturb(tiny, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_folder_without_copies_is_named(tmp_path):
    with pytest.raises(ZoobenchError, match=r"no perturbed.json in .*; a folder made by `zoobench perturb` has one"):
        perturb.read_perturbed(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.pop("zoo"), "zoo: Field required"),
        (lambda manifest: manifest.update(more=1), "more: Extra inputs are not permitted"),
        (lambda manifest: manifest["perturbations"]["scale-2"].pop("rows"), "perturbations.scale-2.rows: Field req"),
    ],
)
def test_a_manifest_with_other_fields_is_refused(folder, change, message):
    manifest = json.loads((folder / "perturbed.json").read_text())
    change(manifest)
    (folder / "perturbed.json").write_text(json.dumps(manifest))
    with pytest.raises(ZoobenchError, match=f"perturbed.json: {message}"):
        perturb.read_perturbed(folder)


def test_a_manifest_that_is_not_json_is_refused(folder):
    (folder / "perturbed.json").write_bytes(b"\xff{")
    with pytest.raises(ZoobenchError, match=r"perturbed.json: Invalid JSON: [^\n]*$"):
        perturb.read_perturbed(folder)


def test_a_copy_that_is_not_the_one_listed_is_refused(folder):
    first, second = (folder / name / "test.parquet" for name in NAMES[:2])
    second.write_bytes(first.read_bytes())
    copies = iter(perturb.read_perturbed(folder))
    assert next(copies).name == NAMES[0]
    with pytest.raises(ZoobenchError, match=r"tanh-sign-flip/test.parquet has sha256 .*; perturb tetris-zoo-tiny/seed"):
        next(copies)
    second.unlink()
    with pytest.raises(ZoobenchError, match=r"cannot read .*/tanh-sign-flip/test.parquet, which perturbed.json lists"):
        list(perturb.read_perturbed(folder))


def test_reading_copies_needs_no_heavy_library():
    code = (
        "import sys, zoobench.weightspace.perturb; "
        "print([name for name in ('torch', 'sklearn', 'scipy', 'matplotlib', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
