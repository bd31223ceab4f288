"""Predictions in memory: scored where the meaning is clear, else one line that says what to give."""

from collections import UserDict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.scoring.compare import compare
from zoobench.scoring.harness import evaluate
from zoobench.scoring.predictions import UnknownColumnWarning


@pytest.fixture
def frame(tiny):
    labels = hub.load_labels(tiny, "test").frame
    accuracy = labels["test_accuracy"].astype(np.float64)
    return pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"], "accuracy": accuracy})


class Foreign:
    """A table of a library that is not known here; all it offers is Arrow's C interface."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def table(frame, **columns):
    made = pa.Table.from_pandas(frame, preserve_index=False)
    for name, values in columns.items():
        made = made.set_column(made.schema.get_field_index(name), name, values)
    return made


def exact(frame):
    return [Decimal(f"{value:.6f}") for value in frame["accuracy"]]


CLEAR = {
    "the id as index, too": lambda f: f.set_index("example_id", drop=False),
    "the id as index only": lambda f: f.set_index("example_id"),
    "levels of an index": lambda f: f.set_index(["zoo", "example_id"]),
    "an index of something else": lambda f: f.set_index(pd.Index(range(len(f))[::-1], name="zoos")),
    "sparse": lambda f: f.assign(accuracy=pd.arrays.SparseArray(f["accuracy"])),
    "float128": lambda f: f.astype({"accuracy": np.longdouble}),
    "nullable": lambda f: f.astype({"accuracy": "Float64", "example_id": "string"}),
    "of Arrow": lambda f: f.convert_dtypes(dtype_backend="pyarrow"),
    "categories": lambda f: f.astype("category"),
    "objects": lambda f: f.astype(object),
    "decimals": lambda f: f.assign(accuracy=exact(f)),
    "decimals of Arrow": lambda f: f.astype({"accuracy": pd.ArrowDtype(pa.decimal128(20, 12))}),
    "fractions": lambda f: f.assign(accuracy=[Fraction(value) for value in exact(f)]),
    "a name that is no string": lambda f: f.assign(**{"x": 1}).rename(columns={"x": 7}),
    "a pyarrow table": table,
    "a record batch": lambda f: table(f).to_batches()[0],
    "a reader of batches": lambda f: table(f).to_reader(7),
    "views": lambda f: table(f, example_id=pa.array(f["example_id"], pa.string_view())),
    "runs": lambda f: table(f, zoo=pa.RunEndEncodedArray.from_arrays([len(f)], [f["zoo"].iloc[0]])),
    "a table of another library": lambda f: Foreign(table(f)),
    "lists by name": lambda f: f.to_dict("list"),
    "arrays by name, the zoo once": lambda f: {name: f[name].to_numpy() for name in f} | {"zoo": f["zoo"].iloc[0]},
    "a mapping": lambda f: UserDict(f.to_dict("list")),
    "a list of one": lambda f: [table(f)],
    "a generator": lambda f: (part for part in [f]),
}


@pytest.mark.filterwarnings(f"ignore::{UnknownColumnWarning.__module__}.UnknownColumnWarning")
@pytest.mark.parametrize("form", CLEAR)
def test_a_clear_meaning_is_scored(form, frame):
    """Perfect predictions, so that a row out of place would be seen."""
    scores = evaluate(CLEAR[form](frame)).results[0].tasks["accuracy"].scores
    assert scores["kendall_tau"].value == 1
    assert scores["mae"].value == pytest.approx(0, abs=1e-6)


def test_an_index_beside_a_column_of_its_name_means_nothing(frame):
    other = frame.set_index(pd.Index(["nonsense"] * len(frame), name="example_id"))
    assert evaluate(other).results[0].tasks["accuracy"].scores["r2"].value == 1


UNCLEAR = {
    "nothing": (lambda f: None, "no predictions to score; give a file, a DataFrame or a list of them"),
    "an empty list": (lambda f: [], "no predictions to score"),
    "none in a list": (lambda f: [None], "predictions are a file, a DataFrame or an Arrow table, not None"),
    "a number": (lambda f: 5, "predictions are a file, a DataFrame or an Arrow table, not 5"),
    "the bytes of a file": (lambda f: b"PAR1", "a DataFrame or an Arrow table, not b'PAR1'"),
    "values without names": (lambda f: f.to_numpy(), "a DataFrame or an Arrow table, not array"),
    "one column": (lambda f: f["accuracy"], "the DataFrame is no table"),
    "an Arrow column": (lambda f: pa.chunked_array([f["accuracy"]]), "the DataFrame is no table"),
    "two equal columns": (lambda f: pd.concat([f, f[["accuracy"]]], axis=1), "has more than one column 'accuracy'"),
    "two in Arrow": (lambda f: table(f).append_column("zoo", pa.array(f["zoo"])), "has more than one column 'zoo'"),
    "lists of two lengths": (lambda f: {"zoo": ["a"], "example_id": ["b", "c"]}, "give columns of equal length"),
    "values by name": (lambda f: {"zoo": "a", "example_id": "b", "accuracy": 1.0}, "give columns of equal length"),
    "levels of columns": (lambda f: pd.concat({"a": f}, axis=1), "has columns of 2 levels; name each by one string"),
    "complex numbers": (lambda f: f.astype({"accuracy": complex}), "'accuracy' holds complex128"),
    "truths": (lambda f: f.assign(accuracy=True), "'accuracy' holds bool, it must hold numbers"),
    "dates": (lambda f: f.assign(accuracy=pd.Timestamp("2026-01-01")), "'accuracy' holds timestamp"),
    "numbers as text": (lambda f: f.astype({"accuracy": str}), "'accuracy' holds large_string, it must hold numbers"),
    "things": (lambda f: f.assign(accuracy=[object()] * len(f)), "give it one type"),
    "a hole": (lambda f: f.assign(accuracy=[None, *f["accuracy"][1:]]), "is NaN or infinite in 1 rows"),
    "float128 past float64": (
        lambda f: f.assign(accuracy=f["accuracy"].astype(np.longdouble) * np.longdouble("1e1000")),
        "'accuracy' is NaN or infinite in",
    ),
    "a large number": (lambda f: f.assign(accuracy=10**40), "is beyond ±3.4e+38, the largest in single precision"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_an_unclear_one_is_one_line_that_says_what_to_give(case, frame):
    make, message = UNCLEAR[case]
    with pytest.raises(ZoobenchError) as refused:
        evaluate(make(frame))
    assert message in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("given", "scored"),
    [
        ("final", ["final"]),
        (None, ["all"]),
        ((), ["all"]),
        (iter(["all", "final", "all"]), ["all", "final"]),
    ],
)
def test_protocols_are_one_or_several_names(given, scored, frame):
    assert [part.stamp.protocol for part in evaluate(frame, protocols=given).results] == scored


@pytest.mark.parametrize(("given", "message"), [(3, "protocols are names"), ([None], "unknown protocol None")])
def test_what_is_no_protocol_is_one_line(given, message, frame):
    with pytest.raises(ZoobenchError, match=message):
        evaluate(frame, protocols=given)


def test_comparing_takes_what_scoring_takes(frame):
    (found,) = compare(table(frame), frame.to_dict("list"))
    assert found.tasks["accuracy"]["mae"].value == 0
    with pytest.raises(ZoobenchError, match="unknown protocol None"):
        compare(frame, frame, protocol=None)
