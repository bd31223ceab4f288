import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench.data import schema, weights


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
    assert np.array_equal(weights.read_mapped(paths, 7, ["a"]), matrix)
    assert np.array_equal(weights.read_mapped(paths[::-1], 7, ["a"]), matrix), "kept under the sha256 that were given"
    assert np.array_equal(weights.read_mapped(paths[:1], 7, ["b"]), matrix[: len(pq.read_table(paths[0]))])


def test_a_width_that_is_not_the_files_is_an_error(files):
    with pytest.raises(ValueError, match="could not broadcast"):
        weights.read(files[0], 8)
