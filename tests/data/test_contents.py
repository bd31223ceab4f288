import hashlib

import numpy as np
import pyarrow as pa
import pytest

from zoobench.data.contents import content_sha256


@pytest.fixture
def table():
    weights = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12, dtype=np.float32)), 3)
    columns = {"weights": weights, "run_id": ["a", "b", "c", "d"], "fold": pa.array([0, None, 2, None], pa.int32())}
    return pa.table({**columns, "test_accuracy": pa.array([0.1, 0.2, 0.3, 0.4], pa.float64())})


def test_it_is_the_hash_that_its_description_says(table):
    """By struct, column by column."""
    digests = {
        "fold": b"\1\0\0\0\0" + b"\0\0\0\0\0" + b"\1\2\0\0\0" + b"\0\0\0\0\0",
        "run_id": b"a\0b\0c\0d\0",
        "test_accuracy": b"".join(b"\1" + np.float64(value).tobytes() for value in (0.1, 0.2, 0.3, 0.4)),
        "weights": np.arange(12, dtype="<f4").tobytes(),
    }
    types = {"fold": "int32", "run_id": "string", "test_accuracy": "double"}
    types["weights"] = "fixed_size_list<item: float>[3]"
    whole = b"".join(f"{n}\n{types[n]}\n".encode() + hashlib.sha256(digests[n]).digest() for n in sorted(digests))
    assert content_sha256([table]) == hashlib.sha256(whole).hexdigest()


def test_where_a_table_is_cut_changes_nothing(table):
    whole = content_sha256([table])
    for cut in range(5):
        assert content_sha256([table[:cut], table[cut:]]) == whole
    assert content_sha256([table.select(["fold", "weights", "test_accuracy", "run_id"])]) == whole


def test_every_value_counts(table):
    changes = {
        "run_id": pa.array(["a", "b", "cd", ""]),
        "fold": pa.array([0, 0, 2, None], pa.int32()),
        "test_accuracy": pa.array([0.1, 0.2, 0.3, np.nextafter(0.4, 1)]),
    }
    found = {content_sha256([table]), content_sha256([table[:3]]), content_sha256([table.take([1, 0, 2, 3])])}
    for name, column in changes.items():
        place = table.column_names.index(name)
        found.add(content_sha256([table.set_column(place, name, column)]))
    found.add(content_sha256([table.rename_columns(["weights", "run_id", "fold", "accuracy"])]))
    assert len(found) == 3 + len(changes) + 1
