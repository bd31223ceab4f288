"""Chunks that a kill, a disk or a hand has changed are trained again; rows are never left out in silence."""

import json
import os
import shutil

import pyarrow.parquet as pq
import pytest

from zoobench.building import chunks
from zoobench.building.build import build
from zoobench.data.manifest import read_manifest
from zoobench.training.population import train
from zoobench.zoos import resolve

ZOO = resolve("tetris-zoo-tiny/seed")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a build that nothing disturbed."""
    return read_manifest(build(ZOO, tmp_path_factory.mktemp("whole"))).configs["seed"].files


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """What a build leaves that is interrupted in its last chunk of three."""
    out = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        trained = []

        def counting(network, runs, *args, **kwargs):
            trained.append(runs)
            if len(trained) == 3:
                raise KeyboardInterrupt
            return train(network, runs, *args, **kwargs)

        patch.setattr(chunks, "train", counting)
        with pytest.raises(KeyboardInterrupt):
            build(ZOO, out, workers=1)
    return out


def cut(first, second):
    first.write_bytes(first.read_bytes()[:-100])


def swap(first, second):
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def swap_with_records(first, second):
    swap(first, second)
    swap(first.with_suffix(".json"), second.with_suffix(".json"))


def drop_a_row(first, second):
    pq.write_table(pq.read_table(first).slice(1), first)


def empty_record(first, second):
    first.with_suffix(".json").write_bytes(b"")


def record_of_another_form(first, second):
    first.with_suffix(".json").write_bytes(b"[]")


def record_that_leaves_out_a_run(first, second):
    path = first.with_suffix(".json")
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps(record | {"runs": record["runs"][1:]}))


CHANGES = {
    "rows are missing": (lambda first, second: first.unlink(), 2),
    "rows are cut": (cut, 2),
    "a row is missing": (drop_a_row, 2),
    "rows of two chunks are swapped": (swap, 3),
    "two chunks are swapped": (swap_with_records, 3),
    "the record is empty": (empty_record, 2),
    "the record is of another form": (record_of_another_form, 2),
    "the record leaves out a run": (record_that_leaves_out_a_run, 2),
    "nothing": (lambda first, second: None, 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_chunk_that_is_not_whole_is_trained_again_to_the_same_bytes(
    change, interrupted, whole, tmp_path, monkeypatch
):
    shutil.copytree(interrupted, tmp_path / "zoos")
    work = tmp_path / "zoos" / ".tetris-zoo-tiny-seed.build"
    make, trained_again = CHANGES[change]
    make(work / "chunk-000000.parquet", work / "chunk-000016.parquet")
    trained = []

    def counting(network, runs, *args, **kwargs):
        trained.append(runs[0].run_id)
        return train(network, runs, *args, **kwargs)

    monkeypatch.setattr(chunks, "train", counting)
    folder = build(ZOO, tmp_path / "zoos", workers=1)
    assert len(trained) == trained_again
    assert read_manifest(folder).configs["seed"].files == whole
    assert os.listdir(tmp_path / "zoos") == ["tetris-zoo-tiny"]


def test_rows_that_change_while_the_others_are_trained_stop_the_build(interrupted, tmp_path, monkeypatch, zoobench):
    shutil.copytree(interrupted, tmp_path / "zoos")
    path = tmp_path / "zoos" / ".tetris-zoo-tiny-seed.build" / "chunk-000000.parquet"

    def changing(*args, **kwargs):
        drop_a_row(path, path)
        return train(*args, **kwargs)

    monkeypatch.setattr(chunks, "train", changing)
    outcome = zoobench("build", "tetris-zoo/seed", "--scale", "tiny", "--workers", 1, "--out", tmp_path / "zoos")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"{path} does not hold the rows of its 16 runs any more; nothing was written" in outcome.err
    assert not (tmp_path / "zoos" / "tetris-zoo-tiny").exists()
    monkeypatch.undo()
    assert zoobench("build", "tetris-zoo/seed", "--scale", "tiny", "--out", tmp_path / "zoos").code == 0
