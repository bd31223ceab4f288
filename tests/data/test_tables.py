"""What lies where a parquet file should be is named, in every place where one of a zoo is read."""

import hashlib
import json
import os
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench.data import hub, manifest, tables
from zoobench.data.folder import DatasetFolder
from zoobench.errors import ZoobenchError
from zoobench.weightspace.perturb import perturb, read_perturbed
from zoobench.zoos import resolve

ROWS = {split: f"seed/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")}
LABELS = "labels/seed/test.parquet"
REFERENCE = "references/seed/constant.parquet"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 1234\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>429 Too Many Requests</title></head></html>"


def footer_of(good):
    """Where the metadata of a parquet file begin: their length and a mark come last."""
    return len(good) - 8 - int.from_bytes(good[-8:-4], "little")


def folder(path, good):
    path.mkdir()


def pipe(path, good):
    os.mkfifo(path)


# What lies there, and what it is called.
BROKEN = {
    "truncated": (lambda good: good[:-100], "truncated or overwritten at its end"),
    "half": (lambda good: good[: len(good) // 2], "truncated or overwritten at its end"),
    "magic alone": (lambda good: b"PAR1", "truncated or overwritten at its end"),
    "empty": (lambda good: b"", "empty"),
    "pointer": (lambda good: LFS, "a git-lfs pointer, not the file that it points to; run `git lfs pull`"),
    "page": (lambda good: PAGE, "a web page (HTML), not the file"),
    "indented page": (lambda good: b"\n  " + PAGE.lower(), "a web page (HTML), not the file"),
    "S3 answer": (lambda good: b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML page"),
    "archive": (lambda good: b"\x1f\x8b\x08" + good, "a gzip archive"),
    "unfinished": (lambda good: bytes(len(good)), "nothing but zeros"),
    "text": (lambda good: b"not found", "no parquet file; it begins with b'not found'"),
    "folder": (folder, "a folder"),
    "pipe": (pipe, "no regular file"),
}
# As above, with a manifest that describes what lies there: only the reader finds it.
DAMAGED = {
    **{name: BROKEN[name] for name in ("truncated", "half", "empty", "pointer", "page", "text")},
    "pages": (lambda good: good[:4] + bytes(len(good) // 2) + good[4 + len(good) // 2 :], "damaged: "),
    "footer": (lambda good: good[: footer_of(good)] + b"\xff" * 20 + good[footer_of(good) + 20 :], "damaged: "),
}


@pytest.fixture
def copied(tiny_home, tmp_path, monkeypatch):
    """A copy of the tiny zoo that a test may change, in ``ZOOBENCH_DATA``."""
    folder = tmp_path / "home" / "tetris-zoo-tiny"
    shutil.copytree(tiny_home / "tetris-zoo-tiny", folder)
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    return folder


def put(path, make):
    good = path.read_bytes()
    path.unlink()
    made = make(path, good) if make in (folder, pipe) else make(good)
    if made is not None:
        path.write_bytes(made)


def describe_as_it_is(where):
    """What a stranger may do: the manifest names the sha256 and size of whatever lies there."""
    dataset = DatasetFolder(where)
    files = [manifest.file_entry(where, where / entry.path) for entry in dataset.config("seed").files]
    changed = dataset.config("seed").model_copy(update={"files": files})
    dataset.write_manifest(dataset.manifest.model_copy(update={"configs": {"seed": changed}}))


@pytest.mark.parametrize("kind", BROKEN)
def test_rows_that_are_something_else_are_one_line_in_run(zoobench, copied, tmp_path, kind):
    make, named = BROKEN[kind]
    put(copied / ROWS["train"], make)
    outcome = zoobench("run", "linear", "--zoo", "tetris-zoo-tiny/seed", "--out", tmp_path / "p.parquet")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
    assert outcome.err.startswith("error: ")
    assert str(copied / ROWS["train"]) in outcome.err
    assert named in outcome.err
    assert not (tmp_path / "p.parquet").exists()


def test_a_truncated_file_is_told_with_both_sizes(copied):
    size = (copied / ROWS["train"]).stat().st_size
    put(copied / ROWS["train"], lambda good: good[:-100])
    with pytest.raises(ZoobenchError) as error:
        hub.load_split(resolve("tetris-zoo-tiny/seed"), "train")
    assert str(error.value) == (
        f"{copied / ROWS['train']} is truncated or overwritten at its end: it has {size - 100:,} bytes, the "
        f"manifest says {size:,}; build or download tetris-zoo-tiny/seed again"
    )


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("memory_map", [False, True], ids=["read", "mapped"])
def test_rows_that_a_manifest_vouches_for_and_that_cannot_be_read_are_one_line(
    copied, tmp_path, monkeypatch, kind, memory_map
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make, named = DAMAGED[kind]
    put(copied / ROWS["train"], make)
    describe_as_it_is(copied)
    with pytest.raises(ZoobenchError) as error:
        hub.load_split(resolve("tetris-zoo-tiny/seed"), "train", memory_map=memory_map)
    assert f"{copied / ROWS['train']} is {named}" in str(error.value)
    assert not list((tmp_path / "cache").rglob("*.npy"))


READERS = {
    "labels": (LABELS, lambda zoo: hub.load_labels(zoo, "test")),
    "references": (REFERENCE, hub.reference_files),
    "scoring files": (REFERENCE, hub.scoring_files),
    "row files": (ROWS["validation"], hub.row_files),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["truncated", "empty", "pointer", "page", "folder"])
def test_every_file_of_a_zoo_is_told_from_something_else(copied, reader, kind):
    path, read = READERS[reader]
    make, named = BROKEN[kind]
    put(copied / path, make)
    with pytest.raises(ZoobenchError) as error:
        read(resolve("tetris-zoo-tiny/seed"))
    assert f"{copied / path} is {named}" in str(error.value)


@pytest.mark.parametrize("kind", ["truncated", "pointer", "footer"])
def test_verbs_that_read_a_zoo_end_in_one_line(zoobench, copied, tmp_path, kind):
    make, _ = DAMAGED[kind]
    frame = pd.read_parquet(copied / LABELS)[["example_id"]].assign(zoo="tetris-zoo-tiny/seed", accuracy=0.5)
    frame.to_parquet(tmp_path / "p.parquet")
    for path in (ROWS["test"], LABELS):
        put(copied / path, make)
    for vouched in (False, True):
        if vouched:
            describe_as_it_is(copied)
        for verb in (
            ("evaluate", "--predictions", tmp_path / "p.parquet"),
            ("perturb", "tetris-zoo-tiny/seed", "--out", tmp_path / "perturbed"),
            ("plot", "zoo", "tetris-zoo-tiny/seed", "--out", tmp_path / "pictures"),
        ):
            outcome = zoobench(*verb)
            assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
            assert ".parquet " in outcome.err
            assert "test" in outcome.err


def test_a_flipped_byte_is_refused_and_the_repaired_file_is_read(copied):
    zoo, path = resolve("tetris-zoo-tiny/seed"), copied / ROWS["test"]
    good = path.read_bytes()
    before = hub.load_split(zoo, "test").weights
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ZoobenchError) as error:
        hub.load_split(zoo, "test")
    shorts = [hashlib.sha256(content).hexdigest()[:12] for content in (flipped, good)]
    assert str(error.value) == (
        f"{path} has sha256 {shorts[0]}…, the manifest says {shorts[1]}…; build or download tetris-zoo-tiny/seed again"
    )
    path.write_bytes(good)
    assert np.array_equal(hub.load_split(zoo, "test").weights, before)


def rewrite(path, change):
    table = change(pq.read_table(path))
    pq.write_table(table, path)


def floats64(table):
    width = table["weights"].type.list_size
    wide = table["weights"].combine_chunks().cast(pa.list_(pa.float64(), width))
    return table.set_column(table.schema.get_field_index("weights"), "weights", wide)


def null_row(table):
    rows = [*table["weights"].to_pylist()[:-1], None]
    return table.set_column(
        table.schema.get_field_index("weights"), "weights", pa.array(rows, pa.list_(pa.float32(), 100))
    )


def ragged(table):
    rows = [*table["weights"].to_pylist()[:-1], [1.0]]
    return table.set_column(table.schema.get_field_index("weights"), "weights", pa.array(rows, pa.list_(pa.float32())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns("weights"), "has no column 'weights'; it has: example_id"),
        (lambda table: table.drop_columns("epoch"), "has no column 'epoch'; it has: example_id"),
        (floats64, "weights are fixed_size_list.*double.*, not 100 float32 in each row"),
        (null_row, "does not hold 100 weights in each of its rows"),
        (ragged, "does not hold 100 weights in each of its rows"),
    ],
)
def test_rows_of_another_kind_are_one_line(copied, change, message):
    rewrite(copied / ROWS["test"], change)
    describe_as_it_is(copied)
    with pytest.raises(ZoobenchError, match=message):
        hub.load_split(resolve("tetris-zoo-tiny/seed"), "test")


def test_labels_without_ids_are_one_line(copied):
    rewrite(copied / LABELS, lambda table: table.drop_columns("run_id"))
    describe_as_it_is(copied)
    with pytest.raises(ZoobenchError, match=r"labels/seed/test.parquet has no column 'run_id'"):
        hub.load_labels(resolve("tetris-zoo-tiny/seed"), "test")


def test_folders_of_earlier_builds_are_read_and_scored(zoobench, copied, tmp_path):
    """They lack a column, and their manifests a field."""
    for path in (*ROWS.values(), *(f"labels/seed/{split}.parquet" for split in ROWS)):
        rewrite(copied / path, lambda table: table.drop_columns("running_train_accuracy"))
    describe_as_it_is(copied)
    content = json.loads((copied / "manifest.json").read_text())
    del content["configs"]["seed"]["gap_of"]
    (copied / "manifest.json").write_text(json.dumps(content))
    zoo = resolve("tetris-zoo-tiny/seed")
    assert "running_train_accuracy" not in hub.load_split(zoo, "test").labels
    for verb in (
        ("run", "linear", "--zoo", zoo.id, "--out", tmp_path / "p.parquet"),
        ("evaluate", "--predictions", tmp_path / "p.parquet"),
        ("plot", "zoo", zoo.id, "--out", tmp_path / "pictures"),
    ):
        outcome = zoobench(*verb)
        assert outcome.code == 0, outcome.err
    with pytest.raises(ZoobenchError, match="has no column 'running_train_accuracy'"):
        hub.load_split(zoo, "test", columns=["running_train_accuracy"])


@pytest.mark.parametrize("kind", BROKEN)
def test_a_perturbed_copy_that_is_something_else_is_one_line(copied, tmp_path, kind):
    make, named = BROKEN[kind]
    path = perturb(resolve("tetris-zoo-tiny/seed"), tmp_path / "perturbed", sample=2)[0]
    put(path, make)
    with pytest.raises(ZoobenchError) as error:
        list(read_perturbed(tmp_path / "perturbed"))
    assert f"{path} is {named}" in str(error.value)


@pytest.mark.parametrize("vouched", [False, True])
@pytest.mark.parametrize("kind", ["truncated", "pointer", "empty", "pages"])
def test_references_that_are_something_else_are_one_line_in_evaluate(zoobench, copied, tmp_path, kind, vouched):
    frame = pd.read_parquet(copied / LABELS)[["example_id"]].assign(zoo="tetris-zoo-tiny/seed", accuracy=0.5)
    frame.to_parquet(tmp_path / "p.parquet")
    put(copied / REFERENCE, DAMAGED[kind][0])
    if vouched:
        describe_as_it_is(copied)
    outcome = zoobench("evaluate", "--predictions", tmp_path / "p.parquet")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
    assert str(copied / REFERENCE) in outcome.err


def test_a_sound_file_is_nothing_else(copied):
    assert tables.what_it_is(copied / ROWS["test"]) == ""
    assert "No such file" in tables.what_it_is(copied / "nothing.parquet")
