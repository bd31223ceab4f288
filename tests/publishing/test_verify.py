import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench.data.manifest import file_entry, read_manifest, write_manifest
from zoobench.data.schema import rows as row_schema
from zoobench.publishing.verify import verify


@pytest.fixture
def folder(tiny_home, tmp_path):
    """A sound dataset folder to damage."""
    shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "tetris-zoo-tiny")
    return tmp_path / "tetris-zoo-tiny"


def rewrite(folder, split, change):
    """Change the rows of a split, labels and manifest included, as an author of a wrong zoo would."""
    path = folder / "seed" / f"{split}-00000-of-00001.parquet"
    labels = folder / "labels" / "seed" / f"{split}.parquet"
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    pq.write_table(table.drop_columns("weights"), labels)
    manifest = read_manifest(folder)
    config = manifest.configs["seed"]
    files = [file_entry(folder, folder / entry.path) for entry in config.files]
    changed = config.model_copy(update={"files": files})
    write_manifest(folder, manifest.model_copy(update={"configs": {"seed": changed}}))


def replace(table, column, values):
    position = table.schema.names.index(column)
    return table.set_column(position, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def test_a_built_zoo_is_sound(folder, zoobench):
    outcome = zoobench("verify", folder, "--sample", "20")
    assert (outcome.code, outcome.out) == (0, f"{folder} is sound\n")


def test_a_zoo_is_found_by_its_id(tiny, zoobench):
    assert zoobench("verify", tiny.id, "--sample", "0").code == 0


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("kind", ["rows", "labels"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_byte_is_found_and_its_file_named(folder, zoobench, split, kind, place):
    name = f"seed/{split}-00000-of-00001.parquet" if kind == "rows" else f"labels/seed/{split}.parquet"
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 0x10
    (folder / name).write_bytes(content)
    outcome = zoobench("verify", folder)
    assert outcome.code == 1
    assert f"{name}: its sha256 is not the manifest's" in outcome.out


def test_missing_truncated_and_extra_files_are_named(folder):
    (folder / "seed" / "test-00000-of-00001.parquet").unlink()
    (folder / "seed" / "extra.parquet").write_bytes(b"")
    path = folder / "labels" / "seed" / "train.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    problems = verify(folder)
    assert "seed/test-00000-of-00001.parquet: missing" in problems
    assert "seed/extra.parquet: not in the manifest" in problems
    assert any(problem.startswith("labels/seed/train.parquet: ") and "bytes" in problem for problem in problems)


def _nan(table):
    weights = table["weights"].combine_chunks().flatten().to_numpy().copy()
    weights[250] = np.nan
    field = row_schema(100).field("weights")
    return table.set_column(
        len(table.schema) - 1, field, pa.FixedSizeListArray.from_arrays(pa.array(weights), type=field.type)
    )


WRONG = {
    "a better accuracy": (
        lambda t: replace(t, "test_accuracy", [1.0] * len(t)),
        "test_accuracy 1.0000, measured 0.",
    ),
    "another loss": (lambda t: replace(t, "train_loss", [9.0] * len(t)), "train_loss 9, measured "),
    "a run in the wrong split": (
        lambda t: replace(
            replace(t, "run_id", ["seed-0001"] * len(t)),
            "example_id",
            [f"seed-0001/{e:03d}" for e in t["epoch"].to_pylist()],
        ),
        "run seed-0001 ",
    ),
    "ids that do not match": (lambda t: replace(t, "example_id", ["x"] * len(t)), "an example_id is not run_id/epoch"),
    "repeated rows": (lambda t: pa.concat_tables([t, t]), "example ids are not unique"),
    "too few rows": (lambda t: t.slice(1), "rows, the manifest says"),
    "weights that are not finite": (_nan, "weights are not finite"),
    "a column gone": (lambda t: t.drop_columns("dropout"), "columns are not those of the schema"),
}


@pytest.mark.parametrize("case", WRONG)
def test_rows_that_are_wrong_though_their_hashes_are_right(case, folder):
    change, message = WRONG[case]
    rewrite(folder, "test", change)
    problems = verify(folder, sample=240)
    assert any(message in problem for problem in problems), problems


def test_a_layout_with_a_gap_is_named(folder):
    content = json.loads((folder / "manifest.json").read_text())
    content["configs"]["seed"]["layout"][1]["offset"] = 81
    (folder / "manifest.json").write_text(json.dumps(content))
    assert any("layout of fc2.weight starts at 81" in problem for problem in verify(folder, sample=0))


def test_a_folder_without_a_manifest_is_one_line(zoobench, tmp_path):
    outcome = zoobench("verify", tmp_path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "no manifest.json in" in outcome.err
