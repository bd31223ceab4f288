"""Predictions files as other tools write them: read, or refused in one line that names the cause it was."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench.errors import ZoobenchError
from zoobench.scoring import prediction_files
from zoobench.scoring.predictions import UnknownColumnWarning, read_predictions

from .test_predictions import peak_megabytes

IDS = [f"seed-{run:04d}/{epoch:03d}" for run in range(200) for epoch in (1, 25)]


@pytest.fixture
def frame():
    values = np.arange(len(IDS)) / len(IDS)
    return pd.DataFrame({"zoo": "tetris-zoo/seed", "example_id": IDS, "accuracy": values})


def check(source, frame, tolerance=0.0):
    found = read_predictions(source)
    assert found.ids.values.take(pa.array(found.ids.codes)).to_pylist() == list(frame["example_id"])
    np.testing.assert_allclose(found.columns["accuracy"], frame["accuracy"], rtol=0, atol=tolerance)
    assert [group.zoo.id for group in found.groups] == ["tetris-zoo/seed"]
    return found


ENCODINGS = ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]
TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_strings_of_every_type_and_encoding_are_read(encoding, kind, frame, tmp_path):
    """DELTA_LENGTH_BYTE_ARRAY is what DuckDB writes as version 2, DELTA_BYTE_ARRAY what parquet-java does."""
    table = pa.Table.from_pandas(frame)
    for place, name in enumerate(("zoo", "example_id")):
        table = table.set_column(place, name, table[name].cast(kind))
    path = tmp_path / "preds.parquet"
    pq.write_table(
        table,
        path,
        use_dictionary=False,
        column_encoding={"zoo": encoding, "example_id": encoding},
        row_group_size=150,
    )
    check(path, frame)


@pytest.mark.parametrize("index", [pa.int8(), pa.uint16(), pa.int64()], ids=str)
def test_strings_that_were_written_as_categories_are_read(index, frame, tmp_path):
    zoo = pa.array(frame["zoo"]).dictionary_encode().cast(pa.dictionary(index, pa.large_string()))
    pq.write_table(pa.Table.from_pandas(frame).set_column(0, "zoo", zoo), tmp_path / "preds.parquet")
    check(tmp_path / "preds.parquet", frame)


@pytest.mark.parametrize("kind", [pa.decimal128(20, 10), pa.decimal256(60, 40), pa.decimal32(9, 8)], ids=str)
def test_decimals_are_numbers(kind, frame, tmp_path):
    exact = pa.array([Decimal(f"{value:.8f}") for value in frame["accuracy"]]).cast(kind)
    pq.write_table(pa.Table.from_pandas(frame).set_column(2, "accuracy", exact), tmp_path / "preds.parquet")
    check(tmp_path / "preds.parquet", frame, 1e-8)


def tar(content):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        entry = tarfile.TarInfo("preds.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return sink.getvalue()


def zipped(content, *more):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("preds.csv", *more):
            archive.writestr(name, content)
    return sink.getvalue()


COMPRESSED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "tar.gz": tar,
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_csv_is_read_like_the_csv_and_hashed_as_the_file_it_is(name, frame, tmp_path):
    path = tmp_path / f"preds.csv.{name}"
    path.write_bytes(COMPRESSED[name](frame.to_csv(index=False).encode()))
    assert check(path, frame).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("name", "codec"), [("zst", "zstd"), ("lz4", "lz4"), ("br", "brotli")])
def test_csv_that_arrow_compresses_is_read_like_the_csv(name, codec, frame, tmp_path):
    path = tmp_path / f"preds.csv.{name}"
    with pa.CompressedOutputStream(str(path), codec) as stream:
        stream.write(frame.to_csv(index=False).encode())
    check(path, frame)


def test_what_a_file_is_its_first_bytes_say(frame, tmp_path):
    frame.to_parquet(tmp_path / "parquet.dat")
    frame.to_csv(tmp_path / "csv.txt", index=False)
    (tmp_path / "gzip.csv").write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    for path in tmp_path.iterdir():
        check(path, frame)


def parquet_bytes(frame):
    sink = io.BytesIO()
    frame.to_parquet(sink)
    return sink.getvalue()


WRITERS = {
    "parquet": parquet_bytes,
    "csv": lambda frame: frame.to_csv(index=False).encode(),
    "gzip": lambda frame: gzip.compress(frame.to_csv(index=False).encode()),
}


@pytest.mark.parametrize("form", WRITERS)
def test_a_pipe_is_read_once_and_hashed_from_what_was_read(form, frame, tmp_path):
    content = WRITERS[form](frame)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()
    assert check(pipe, frame).sha256 == hashlib.sha256(content).hexdigest()
    writer.join()


@pytest.mark.parametrize("piped", [True, False])
def test_evaluate_reads_standard_input(piped, tiny, tiny_home, tmp_path):
    labels = pd.read_parquet(next((tiny_home / tiny.repo / "labels").rglob("test.parquet")))
    frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"], "accuracy": labels["test_accuracy"]})
    frame.to_parquet(tmp_path / "preds.parquet")
    command = [sys.executable, "-m", "zoobench", "evaluate", "--predictions", "/dev/stdin", "--json", "r.json"]
    with (tmp_path / "preds.parquet").open("rb") as stream:
        given = {"input": stream.read()} if piped else {"stdin": stream}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, **given)
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256((tmp_path / "preds.parquet").read_bytes()).hexdigest()
    assert digest in (tmp_path / "r.json").read_text()


@pytest.mark.parametrize("opened", [io.BytesIO, lambda content: io.StringIO(content.decode())])
def test_an_open_file_is_read_to_its_end(opened, frame):
    check(opened(frame.to_csv(index=False).encode()), frame)


def test_what_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(prediction_files, "_MOST_PIPED", 1000)
    with pytest.raises(ZoobenchError, match=r"^/dev/zero has more than 1,000 bytes"):
        read_predictions(Path("/dev/zero"))


def csv_of(*lines):
    return "\n".join(("zoo,example_id,accuracy", *lines, "")).encode()


ROW = "tetris-zoo/seed,seed-0001/001"
REFUSED = {
    "a directory": (None, r"^cannot read predictions .*: Is a directory$"),
    "parquet in gzip": (lambda f: gzip.compress(parquet_bytes(f)), "is parquet that was compressed once more"),
    "a cut gzip": (lambda f: WRITERS["gzip"](f)[:-900], "preds cannot be expanded: Compressed file ended before"),
    "a broken gzip": (lambda f: b"\x1f\x8b\x08" + bytes(50), "preds (cannot be expanded|is not)"),
    "two files in a zip": (lambda f: zipped(b"x", "more.csv"), "cannot be expanded: it holds 2 files, not one"),
    "bytes": (lambda f: b"\x00\x1b[31m\xff" * 50, "is not a readable CSV file, nor parquet: it is not text in UTF-8$"),
    "UTF-16": (lambda f: csv_of(f"{ROW},1").decode().encode("utf-16"), "is not text in UTF-8$"),
    "a word of escapes": (lambda f: csv_of(f"{ROW},\x1b[31mhigh"), r"invalid value '\\x1b\[31mhigh'$"),
    "a long word": (lambda f: csv_of(f"{ROW},{'x' * 5000}"), r"(?s)^.{0,300}$"),
    "a number of 400 digits": (lambda f: csv_of(f"{ROW},{'1' * 400}"), "is NaN or infinite in 1 rows"),
    "a number of 200 digits": (lambda f: csv_of(f"{ROW},{'1' * 200}"), "'accuracy' is beyond ±3.4e.38, the largest"),
    "a header of escapes": (
        lambda f: csv_of(f"{ROW},1").replace(b"example_id", b"\x1b[31mexample_id"),
        r"has no column 'example_id'; did you mean '\\x1b\[31mexample_id'",
    ),
    "no rows": (lambda f: csv_of(), "has no rows"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_printable_line_with_its_own_cause(case, frame, tmp_path):
    make, message = REFUSED[case]
    path = tmp_path / "preds"
    if make:
        path.write_bytes(make(frame))
    else:
        path.mkdir()
    with pytest.raises(ZoobenchError, match=message) as refused:
        read_predictions(path)
    assert str(refused.value).isprintable()


def test_a_machine_that_fails_is_not_called_a_wrong_file(frame, tmp_path, monkeypatch):
    frame.to_parquet(tmp_path / "preds.parquet")

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pq, "ParquetFile", broken)
    with pytest.raises(ZoobenchError, match=r"^cannot read predictions .*preds.parquet: Input/output error$"):
        read_predictions(tmp_path / "preds.parquet")

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(pq, "ParquetFile", full)
    with pytest.raises(ZoobenchError, match=r"preds.parquet: not enough memory$"):
        read_predictions(tmp_path / "preds.parquet")


def test_cells_of_many_digits_are_the_numbers_they_say(frame, tmp_path):
    lines = [f"{zoo},{name},{value:.200f}" for zoo, name, value in frame.itertuples(index=False)]
    (tmp_path / "preds.csv").write_bytes(csv_of(*lines))
    check(tmp_path / "preds.csv", frame)


def test_whole_numbers_may_be_followed_by_others(frame, tmp_path):
    """The first rows of a CSV file do not say what the later ones are."""
    many = pd.concat([frame.assign(accuracy=1)] * 300 + [frame.assign(accuracy=0.5)])
    many["example_id"] = [f"seed-{row:07d}/001" for row in range(len(many))]
    many.to_csv(tmp_path / "preds.csv", index=False)
    assert (tmp_path / "preds.csv").stat().st_size > 2**20
    assert read_predictions(tmp_path / "preds.csv").columns["accuracy"][[0, -1]].tolist() == [1, 0.5]


def test_a_foreign_column_is_named_as_text_and_ignored(frame, tmp_path):
    frame.assign(**{"\x1b[31mred": "\x1b[0m"}).to_csv(tmp_path / "preds.csv", index=False)
    with pytest.warns(UnknownColumnWarning) as told:
        check(tmp_path / "preds.csv", frame)
    assert r"'\x1b[31mred' is not a task and is ignored" in str(told[0].message)


def test_a_column_that_is_not_needed_may_be_there_twice(frame, tmp_path):
    table = pa.Table.from_pandas(frame.assign(note=1))
    pq.write_table(table.append_column("note", table["note"]), tmp_path / "preds.parquet")
    with pytest.warns(UnknownColumnWarning, match="'note'"):
        check(tmp_path / "preds.parquet", frame)


def bombs(folder):
    """Files of at most some hundred kilobytes that expand to half a gigabyte."""
    schema = pa.schema({"zoo": pa.string(), "example_id": pa.string(), "accuracy": pa.float64()})
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(500, np.int32)), pa.array(["x" * 100_000]))
    part = pa.table({"zoo": same.cast(pa.string()), "example_id": ["x"] * 500, "accuracy": np.zeros(500)})
    for encoding in ("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"):
        with pq.ParquetWriter(
            folder / f"{encoding}.parquet",
            schema,
            use_dictionary=False,
            column_encoding={"zoo": encoding},
            compression="ZSTD",
        ) as out:
            for _ in range(10):
                out.write_table(part)
    row = b"tetris-zoo/seed,seed-0001/001,0.5\n"
    for name, codec, megabytes in (("gz", "gzip", 100), ("zst", "zstd", 500)):
        with pa.CompressedOutputStream(str(folder / f"bomb.csv.{name}"), codec) as stream:
            stream.write(b"zoo,example_id,accuracy\n")
            for _ in range(megabytes):
                stream.write(row * 30_000)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory of a process from /proc")
def test_no_way_in_expands_a_bomb(tmp_path):
    bombs(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert path.stat().st_size < 1_500_000
        said, peak = peak_megabytes(
            "from pathlib import Path\nfrom zoobench.errors import ZoobenchError\n"
            "from zoobench.scoring.predictions import read_predictions\n"
            f"try: read_predictions(Path({str(path)!r}))\nexcept ZoobenchError as error: print(str(error)[-300:])"
        )
        assert "expands to far more" in said[0] if ".csv" in path.name else "holds a string of 100,000 bytes" in said[0]
        assert peak < 500, path.name
