import copy
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoobench.data.schema import rows as row_schema
from zoobench.errors import ZoobenchError
from zoobench.publishing.verify import examine, verify

from .damage import edit_manifest, rehash, replace, rewrite


def test_a_built_zoo_is_sound(folder, zoobench):
    outcome = zoobench("verify", folder, "--sample", "20")
    assert (outcome.code, outcome.out) == (0, f"{folder} is sound\n")


def test_a_zoo_is_found_by_its_id(tiny, zoobench):
    assert zoobench("verify", tiny.id, "--sample", "0").code == 0


def test_an_imported_zoo_is_sound(imported, zoobench):
    outcome = zoobench("verify", imported, "--sample", "0")
    assert (outcome.code, outcome.out) == (0, f"{imported} is sound\n")


def test_what_nothing_can_contradict_is_said(folder, zoobench):
    outcome = zoobench("verify", folder, "--sample", "20")
    assert "not checked: configs.seed.versions, configs.seed.built (" in outcome.err
    assert "not checked: outcomes of seed (20 of 240 networks were measured again)" in outcome.err
    found = json.loads(zoobench("verify", folder, "--sample", "240", "--json").out)
    assert (found["sound"], found["problems"]) == (True, [])
    assert sorted(found["not_checked"]) == ["configs.seed.built", "configs.seed.versions"]


def test_problems_are_in_json_too(folder, zoobench):
    (folder / "seed" / "test-00000-of-00001.parquet").unlink()
    outcome = zoobench("verify", folder, "--json")
    assert outcome.code == 1
    assert "seed/test-00000-of-00001.parquet: missing" in json.loads(outcome.out)["problems"]


def leaves(value, path=()):
    """Every value of a JSON document that has no values inside, and its place."""
    if value and isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


def other(value):
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}1"
        case None:
            return "something"
        case _:
            return [*value, "something"]


def changed(content, path, value):
    content = copy.deepcopy(content)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


def undetected(folder, left_out=()):
    """Fields of a manifest (without positions in lists) that may say something else, and nothing is found."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    for place, value in leaves(content):
        name = ".".join(key for key in place if isinstance(key, str))
        if name.startswith(left_out):
            continue
        path.write_text(json.dumps(changed(content, place, other(value))))
        try:
            report = examine(folder, sample=0)
        except ZoobenchError:
            continue
        if not report.problems:
            assert any(name == field or name.startswith(f"{field}.") for field in report.not_checked), place
            yield name
    path.write_text(json.dumps(content))


def test_every_statement_of_a_manifest_is_checked_or_listed_as_not_checked(folder):
    content = json.loads((folder / "manifest.json").read_text())
    assert len(list(leaves(content))) > 80
    assert {name.rpartition(".")[0] for name in undetected(folder)} <= {"configs.seed.versions"}


def test_every_statement_of_an_import_is_checked_or_listed_as_not_checked(imported):
    of_release = {f"configs.seed.release.{name}" for name in ("format", "rows", "notes", "files.path", "files.size")}
    of_dropped = {f"configs.seed.dropped.{name}" for name in ("run_id", "epoch", "reason")}
    # Not of those that a config which was built has too.
    alike = tuple(f"configs.seed.{name}." for name in ("network", "layout", "files", "versions"))
    found = set(undetected(imported, left_out=alike))
    assert found == of_release | of_dropped


def test_no_entry_of_a_list_can_go_or_come_twice(folder):
    content = json.loads((folder / "manifest.json").read_text())
    config = content["configs"]["seed"]
    for name in ("network", "layout", "checkpoints", "files"):
        for position in range(len(config[name])):
            for entries in (
                [entry for number, entry in enumerate(config[name]) if number != position],
                [*config[name], config[name][position]],
            ):
                if entries != config[name] and not _picture(config[name][position]):
                    wrong = changed(content, ("configs", "seed", name), entries)
                    (folder / "manifest.json").write_text(json.dumps(wrong))
                    assert verify(folder, sample=0), (name, position)


def _picture(entry):
    return isinstance(entry, dict) and entry.get("path", "").startswith("pictures/")


def test_a_small_zoo_is_not_sound_as_the_full_one(folder, tmp_path):
    """Every place where a manifest says its scale can be changed together."""
    full = shutil.copytree(folder, tmp_path / "tetris-zoo")
    text = (full / "manifest.json").read_text()
    (full / "manifest.json").write_text(text.replace("tetris-zoo-tiny", "tetris-zoo").replace('"tiny"', '"full"'))
    problems = verify(full, sample=0)
    assert any("40 runs and 0 dropped are 40, the recipe of tetris-zoo/seed has 1,000" in line for line in problems)
    assert any("checkpoints are [1, 2, 3, 4, 5, 6]" in line for line in problems)


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
    "no rows": (lambda t: t.slice(0, 0), "seed/test: empty"),
    "weights that are not finite": (_nan, "weights are not finite"),
    "a column gone": (lambda t: t.drop_columns("dropout"), "columns are not those of the schema"),
}


@pytest.mark.parametrize("case", WRONG)
def test_rows_that_are_wrong_though_their_hashes_are_right(case, folder):
    change, message = WRONG[case]
    rewrite(folder, "test", change)
    problems = verify(folder, sample=240)
    assert any(message in problem for problem in problems), problems


FOREIGN = {
    "nothing": b"",
    "a text": b"version https://git-lfs.github.com/spec/v1\n",
    "a header and no end": b"PAR1" + bytes(100),
    "an end and nothing before it": bytes(100) + (50).to_bytes(4, "little") + b"PAR1",
}


@pytest.mark.parametrize("case", FOREIGN)
def test_files_that_are_no_parquet_are_named(case, folder, zoobench):
    listed = [entry["path"] for entry in json.loads((folder / "manifest.json").read_text())["configs"]["seed"]["files"]]
    for name in (name for name in listed if name.endswith(".parquet")):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(FOREIGN[case])
        rehash(folder)
        outcome = zoobench("verify", folder, "--sample", "0")
        assert outcome.code == 1
        assert f"{name}: cannot be read: " in outcome.out
        (folder / name).write_bytes(whole)


def test_tables_of_others_are_named(folder):
    table = pa.table({"a": [1, None], "b": [["x"], []]})
    listed = [entry["path"] for entry in json.loads((folder / "manifest.json").read_text())["configs"]["seed"]["files"]]
    for name in (name for name in listed if name.endswith(".parquet")):
        whole = (folder / name).read_bytes()
        pq.write_table(table, folder / name)
        rehash(folder)
        assert any(problem.startswith(f"{name}: ") for problem in verify(folder, sample=0)), name
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("seed", range(3))
def test_bytes_that_are_flipped_before_hashing_never_end_in_a_traceback(folder, seed):
    rng = np.random.RandomState(seed)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".parquet", ".png"))
    for path in paths:
        content = bytearray(path.read_bytes())
        for place in rng.randint(4, len(content) - 8, 3):
            content[place] ^= 1 << rng.randint(8)
        path.write_bytes(content)
    rehash(folder)
    assert verify(folder, sample=0)


def test_a_folder_without_rows_is_no_traceback(folder, zoobench):
    shutil.rmtree(folder / "seed")
    outcome = zoobench("verify", folder)
    assert outcome.code == 1
    assert "seed/train-00000-of-00001.parquet: missing" in outcome.out
    edit_manifest(folder, lambda content: content["configs"]["seed"].update(files=[]))
    outcome = zoobench("verify", folder)
    assert outcome.code == 1
    assert "seed/train-*.parquet: no such file in the manifest" in outcome.out
    edit_manifest(folder, lambda content: content.update(configs={}))
    assert verify(folder) == ["the manifest has no config"]


def test_a_zoo_that_is_not_declared_is_a_sentence(folder):
    edit_manifest(folder, lambda content: content["configs"]["seed"].update(zoo="my-zoo/mine"))
    (problem,) = verify(folder)
    assert problem.startswith("seed: unknown zoo 'my-zoo/mine'")


def test_a_folder_without_a_manifest_is_one_line(zoobench, tmp_path):
    outcome = zoobench("verify", tmp_path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "no manifest.json in" in outcome.err
