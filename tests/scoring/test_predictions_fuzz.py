"""The reader under arbitrary input: predictions, or one line, never a traceback."""

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.scoring.harness import evaluate

GENTLY = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def good(tiny):
    labels = hub.load_labels(tiny, "test").frame
    frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"], "accuracy": labels["test_accuracy"]})
    return frame.assign(trained_on=tiny.id)


def score(content, suffix=".parquet"):
    """Score bytes as a file: whether they were taken. Anything but a one-line error is a failure."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"preds{suffix}"
        path.write_bytes(content)
        try:
            evaluate(path)
        except ZoobenchError as error:
            message = str(error)
        else:
            return True
    assert len(message.splitlines()) == 1
    return False


def parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@GENTLY
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".parquet", ".csv"]))
def test_arbitrary_bytes(tiny, content, suffix):
    assert not score(content, suffix)


@GENTLY
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_parquet_file_with_some_bytes_changed(good, changes):
    content = bytearray(parquet(pa.Table.from_pandas(good)))
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    score(bytes(content))


@GENTLY
@given(start=st.floats(0, 1), length=st.floats(0, 1))
def test_a_part_of_a_parquet_file(good, start, length):
    content = parquet(pa.Table.from_pandas(good))
    first = int(start * len(content))
    score(content[first : first + int(length * len(content))])


@GENTLY
@given(text=st.text(st.characters(codec="utf-8"), max_size=200), lines=st.integers(0, 20))
def test_csv_with_text_in_it(good, text, lines):
    rows = good.to_csv(index=False).splitlines()
    rows[lines : lines + 1] = text.splitlines()
    score("\n".join(rows).encode(), ".csv")


VALUES = {
    "numbers": st.floats(),
    "whole numbers": st.integers(-(2**63), 2**63 - 1),
    "texts": st.text(max_size=8),
    "truths": st.booleans(),
    "bytes": st.binary(max_size=8),
    "lists": st.lists(st.floats(allow_nan=False), max_size=3),
    "structs": st.fixed_dictionaries({"a": st.integers(0, 9)}),
    "dates": st.datetimes(),
}
NAMES = ["zoo", "example_id", "trained_on", "accuracy", "epoch", "activation", "perturbation", "", "a.b", "accurracy"]


@GENTLY
@given(data=st.data())
def test_columns_of_any_type(good, data):
    """Some columns of a good file replaced, dropped or added, holding values of any type, nulls among them."""
    table = pa.Table.from_pandas(good)
    for name in data.draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4)):
        if name in table.column_names:
            table = table.drop_columns(name)
        kind = data.draw(st.sampled_from([*VALUES, "nothing", "absent"]))
        if kind == "absent":
            continue
        values = VALUES.get(kind, st.none())
        column = pa.array(data.draw(st.lists(values | st.none(), min_size=len(table), max_size=len(table))))
        table = table.append_column(
            name, column.dictionary_encode() if data.draw(st.booleans()) and kind == "texts" else column
        )
    score(parquet(table))


@GENTLY
@given(order=st.permutations(range(18)), scale=st.floats(-1e300, 1e300))
def test_finite_numbers_in_any_order_are_scored_unless_they_are_beyond_single_precision(good, order, scale):
    with np.errstate(over="ignore"):
        fits = np.isfinite((scale * good["accuracy"]).astype(np.float32)).all()
    assert score(parquet(pa.Table.from_pandas(good.assign(accuracy=scale * good["accuracy"]).iloc[order]))) == fits
