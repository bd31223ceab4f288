import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench.data import schema, weights
from zoobench.errors import ZoobenchError


@pytest.fixture(params=[1, 3])
def files(request, tmp_path):
    """Files of several small row groups with known weights; returns them and the whole matrix."""
    matrix = np.random.default_rng(0).normal(size=(101, 7)).astype(np.float32)
    paths = []
    for number, part in enumerate(np.array_split(matrix, request.param)):
        ids = pa.array([f"run-{row}" for row in range(len(part))])
        columns = {"run_id": ids, "config_id": ids, "epoch": pa.array([1] * len(part), pa.int32())}
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(schema.row_table(columns, part), paths[-1], row_group_size=8)
    return paths, matrix


def test_row_groups_come_out_in_order(files):
    paths, matrix = files
    read = weights.read(paths, 7)
    assert (read.dtype, read.flags.c_contiguous, read.flags.writeable) == (np.float32, True, True)
    assert np.array_equal(read, matrix)


def test_a_mapped_copy_belongs_to_its_files(files, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths, matrix = files
    assert np.array_equal(weights.read_mapped(paths, 7), matrix)
    assert np.array_equal(weights.read_mapped(paths[:1], 7), matrix[: len(pq.read_table(paths[0]))])


def test_a_width_that_is_not_the_files_is_an_error(files):
    with pytest.raises(ZoobenchError, match=r"0.parquet: weights are .*\[7\], not 8 float32 in each row"):
        weights.read(files[0], 8)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "zoobench" / "weights"


def test_a_flipped_byte_that_was_read_once_is_gone_with_the_repair(files, copies):
    """What the stale copy of the broken file holds is not given for the repaired one, nor the other way round."""
    paths, matrix = files
    weights.read_mapped(paths, 7)
    good = paths[0].read_bytes()
    at = good.index(matrix[3].tobytes())
    paths[0].write_bytes(good[:at] + bytes(4) + good[at + 4 :])
    assert weights.read_mapped(paths, 7)[3, 0] == 0
    paths[0].write_bytes(good)
    assert np.array_equal(weights.read_mapped(paths, 7), matrix)


def folder_in_its_place(copy):
    copy.unlink()
    (copy / "something").mkdir(parents=True)


def wrong_shape(copy):
    np.save(copy, np.zeros((2, 2), np.float32))


def another_kind(copy):
    np.save(copy, np.zeros((101, 7), np.float64))


def flipped(copy):
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda copy: os.truncate(copy, copy.stat().st_size - 100),
        lambda copy: os.truncate(copy, 0),
        lambda copy: os.truncate(copy, 20),
        lambda copy: copy.write_bytes(b"no array" * 100),
        lambda copy: copy.write_bytes(bytes(copy.stat().st_size)),
        lambda copy: copy.chmod(0) or copy.write_bytes(b"x"),
        wrong_shape,
        another_kind,
        flipped,
        folder_in_its_place,
    ],
)
def test_a_damaged_copy_is_made_again(files, copies, damage):
    paths, matrix = files
    weights.read_mapped(paths, 7)
    (copy,) = copies.glob("*.npy")
    damage(copy)
    mapped = weights.read_mapped(paths, 7)
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, matrix)
    assert [path.name for path in copies.iterdir()] == [copy.name]


def test_a_copy_that_is_whole_is_not_made_again(files, copies):
    paths, _ = files
    weights.read_mapped(paths, 7)
    (copy,) = copies.glob("*.npy")
    before = copy.stat()
    (copies.parent / "elsewhere").mkdir()
    weights.read_mapped([Path(shutil.copy(path, copies.parent / "elsewhere")) for path in paths], 7)
    assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_threads_that_want_the_same_copy_all_get_it(files, copies):
    paths, matrix = files
    with ThreadPoolExecutor(8) as pool:
        for mapped in pool.map(lambda _: weights.read_mapped(paths, 7), range(8)):
            assert isinstance(mapped, np.memmap)
            assert np.array_equal(mapped, matrix)
    assert len(list(copies.iterdir())) == 1


def test_processes_that_want_the_same_copy_all_get_it(files, copies):
    paths, matrix = files
    code = """
import sys
from pathlib import Path
from zoobench.data import weights
print("ready", flush=True)
sys.stdin.readline()
mapped = weights.read_mapped([Path(path) for path in sys.argv[1:]], 7)
print(type(mapped).__name__, float(mapped.astype("f8").sum()).hex())
"""
    command = [sys.executable, "-c", code, *map(str, paths)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    readers = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for reader in readers:
        assert reader.stdout.readline() == "ready\n"
    for reader in readers:
        reader.stdin.write("go\n")
        reader.stdin.flush()
    for reader in readers:
        assert reader.communicate()[0] == f"memmap {float(matrix.astype('f8').sum()).hex()}\n"
        assert reader.returncode == 0
    assert len(list(copies.iterdir())) == 1


def test_a_full_disk_is_no_obstacle(files, copies, monkeypatch):
    paths, matrix = files

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.warns(UserWarning, match=r"weights are read into memory, .*: No space left on device"):
        assert np.array_equal(weights.read_mapped(paths, 7), matrix)
    assert not list(copies.glob("*"))


def test_a_split_without_rows_is_mapped(tmp_path, copies):
    ids = pa.array([], pa.string())
    columns = {"run_id": ids, "config_id": ids, "epoch": pa.array([], pa.int32())}
    path = tmp_path / "none.parquet"
    pq.write_table(schema.row_table(columns, np.zeros((0, 7), np.float32)), path)
    assert weights.read_mapped([path], 7).shape == (0, 7)
    assert weights.read([path], 7).shape == (0, 7)
