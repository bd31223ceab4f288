import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench.publishing.verify import verify

from ..damage import edit_manifest, rehash, replace, rows_of


@pytest.fixture
def reference(folder):
    """Changes a reference of the folder, and gives what verify says of it."""

    def change(name, edit):
        path = folder / "references" / "seed" / f"{name}.parquet"
        pq.write_table(edit(pq.read_table(path)), path)
        rehash(folder)
        return verify(folder, sample=0)

    return change


def shifted(table, task, by):
    return replace(table, task, [value + by for value in table[task].to_pylist()])


@pytest.mark.parametrize("name", ["constant", "hyperparameters"])
def test_references_that_say_something_else_are_named(reference, name):
    said = f"references/seed/{name}.parquet: accuracy is not what such a predictor says when it is fitted again"
    assert reference(name, lambda table: shifted(table, "accuracy", 0.01)) == [said]


@pytest.mark.parametrize("name", ["constant", "hyperparameters"])
def test_references_of_other_rows_are_named(reference, name):
    problems = reference(name, lambda table: table.take(list(range(len(table)))[::-1]))
    said = "does not predict the rows of the test split of tetris-zoo-tiny/seed, in their order"
    assert problems == [f"references/seed/{name}.parquet: {said}"]


def test_references_without_a_task_are_named(reference):
    (problem,) = reference("constant", lambda table: table.drop_columns("epoch"))
    assert problem.startswith("references/seed/constant.parquet: columns ")


def write_protocol(imported, table, name="nfn"):
    path = imported / "protocols" / "seed" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    entry = {"path": f"protocols/seed/{name}.parquet", "sha256": "", "size": 0}

    def add(content):
        files = content["configs"]["seed"]["files"]
        if entry not in files:
            files.append(entry)

    edit_manifest(imported, add)
    rehash(imported)
    return verify(imported, sample=0)


def test_protocols_put_rows_of_the_config_into_splits(imported):
    ids = [rows_of(imported, split)["example_id"][0].as_py() for split in ("train", "validation", "test")]
    sound = pa.table({"example_id": ids, "split": ["train", "validation", "test"]})
    assert write_protocol(imported, sound) == []
    where = "protocols/seed/nfn.parquet"
    assert f"{where}: 1 ids are of no row: x" in write_protocol(imported, replace(sound, "example_id", [*ids[:2], "x"]))


def test_protocols_of_splits_that_nobody_knows_are_named(imported):
    ids = [rows_of(imported, "test")["example_id"][0].as_py()]
    problems = write_protocol(imported, pa.table({"example_id": ids, "split": ["exam"]}))
    assert "protocols/seed/nfn.parquet: no split 'exam'" in problems
    assert "protocols/seed/nfn.parquet: its test split is empty" in problems


def test_protocols_of_a_name_that_nobody_knows_are_named(imported):
    ids = [rows_of(imported, "test")["example_id"][0].as_py()]
    (problem,) = write_protocol(imported, pa.table({"example_id": ids, "split": ["test"]}), "mine")
    assert problem.startswith("protocols/seed/mine.parquet: no protocol of this name; there are all, ")
