import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from zoobench.data.schema import LABELS
from zoobench.publishing.verify import verify

from ..damage import edit_manifest, rehash, replace, rewrite, rows_of, write_rows

OUTCOMES = [name for name in LABELS.names if name.endswith(("accuracy", "loss", "gap")) or name.startswith("f1_class")]
# What could stand in a column as well; the first run of the test split has others.
PLAUSIBLE = {
    "example_id": "seed-0001/001",
    "run_id": "seed-0001",
    "config_id": "config-0123456789ab",
    "fold": 1,
    "epoch": 3,
    "activation": "relu",
    "init": "normal",
    "optimizer": "sgd",
    "learning_rate": 3e-3,
    "weight_decay": 1e-4,
    "dropout": 0.1,
    "train_fraction": 0.5,
    "init_std": 0.1,
    "batch_size": 8,
    "seed": 41,
    "train_accuracy": 0.5125,
    "test_accuracy": 0.512,
    "train_loss": 1.25,
    "test_loss": 1.25,
    "generalization_gap": 0.0005,
    "running_train_accuracy": 0.512,
    **{f"f1_class_{k}": 0.5 for k in range(4)},
}


def change_first_row(table, column):
    values = table[column].to_pylist()
    return replace(table, column, [PLAUSIBLE[column], *values[1:]])


def change_first_run(table, column):
    runs, values = table["run_id"].to_pylist(), table[column].to_pylist()
    return replace(
        table, column, [PLAUSIBLE[column] if run == runs[0] else v for run, v in zip(runs, values, strict=True)]
    )


@pytest.mark.parametrize("column", LABELS.names)
def test_no_label_can_be_changed(folder, column):
    """Hashes and sizes are right, and what follows from an accuracy is changed with it."""
    change = change_first_row if column in OUTCOMES else change_first_run

    def edit(table):
        table = change(table, column)
        if column in ("running_train_accuracy", "test_accuracy"):
            parts = (table[f"{part}_accuracy"].to_pylist() for part in ("running_train", "test"))
            table = replace(table, "generalization_gap", [a - b for a, b in zip(*parts, strict=True)])
        return table

    rewrite(folder, "test", edit)
    assert verify(folder, sample=240 if column in OUTCOMES else 0)


def test_a_hyperparameter_of_a_run_is_the_recipes(folder):
    """Also where it is changed in all rows, and the id of the configuration with it."""
    from zoobench.zoos import resolve
    from zoobench.zoos.runs import config_id
    from zoobench.zoos.spec import Hyperparameters

    recipe = resolve("tetris-zoo-tiny/seed").size.recipe
    other = Hyperparameters("tanh", "uniform", "adam", 2e-3, 4)
    assert recipe.fixed.learning_rate == 1e-3
    for split in ("train", "validation", "test"):

        def edit(table):
            table = replace(table, "learning_rate", [2e-3] * len(table))
            return replace(table, "config_id", [config_id(other)] * len(table))

        rewrite(folder, split, edit)
    problems = verify(folder, sample=0)
    assert "seed: learning_rate of run seed-0001 is 0.002, in the recipe 0.001" in sorted(problems)


def move(folder, run, source, target):
    """Put a run's rows into another split, counts and all."""
    tables = {split: rows_of(folder, split) for split in (source, target)}
    chosen = pc.equal(tables[source]["run_id"], run)
    moved = tables[source].filter(chosen)
    write_rows(folder, source, tables[source].filter(pc.invert(chosen)))
    rewrite(folder, target, lambda table: pa.concat_tables([table, moved]))

    def count(content):
        splits = content["configs"]["seed"]["splits"]
        for split, sign in ((source, -1), (target, 1)):
            splits[split]["runs"] += sign
            splits[split]["rows"] += sign * len(moved)

    edit_manifest(folder, count)


def test_a_run_that_was_moved_to_another_split_is_named(folder):
    run = rows_of(folder, "test")["run_id"][0].as_py()
    move(folder, run, "test", "train")
    assert f"seed/train: run {run} belongs in test" in verify(folder, sample=0)


def test_a_run_that_is_left_out_must_be_listed_as_dropped(folder):
    run = rows_of(folder, "train")["run_id"][0].as_py()
    rewrite(folder, "train", lambda table: table.filter(pc.not_equal(table["run_id"], run)))

    def count(content):
        config = content["configs"]["seed"]
        config["runs"] -= 1
        config["rows"] -= 6
        config["splits"]["train"]["runs"] -= 1
        config["splits"]["train"]["rows"] -= 6

    edit_manifest(folder, count)
    said = f"1 runs of the recipe have neither rows nor are they listed as dropped: {run}"
    assert f"seed: {said}" in verify(folder, sample=0)
    entry = {"run_id": run, "epoch": 3, "reason": "weights or loss not finite"}
    edit_manifest(folder, lambda content: content["configs"]["seed"]["dropped"].append(entry))
    assert not any("dropped" in problem or "runs" in problem for problem in verify(folder, sample=0))
    # Listed as dropped, though it has rows.
    edit_manifest(folder, lambda content: content["configs"]["seed"]["dropped"][0].update(run_id="seed-0002"))
    assert "seed: 1 runs are listed as dropped, but have rows: seed-0002" in verify(folder, sample=0)


def test_a_split_that_an_import_left_empty_is_a_problem(imported):
    rewrite(imported, "validation", lambda table: table.slice(0, 0))
    problems = verify(imported, sample=0)
    assert "seed/validation: empty; a zoo needs runs in every split to be trained on and scored" in problems


def test_several_values_of_what_a_zoo_does_not_vary_are_a_problem(imported):
    for split, activation in (("train", "relu"), ("validation", "sigmoid"), ("test", "gelu")):
        rewrite(imported, split, lambda table, name=activation: replace(table, "activation", [name] * len(table)))
    problems = verify(imported, sample=0)
    said = "activation has 3 values (gelu, relu, sigmoid), but tetris-zoo/seed varies the seed alone"
    assert f"seed: {said}" in problems


def test_activations_that_no_network_has_are_a_sentence(imported, zoobench):
    for split in ("train", "validation", "test"):
        rewrite(imported, split, lambda table: replace(table, "activation", ["swish"] * len(table)))
    outcome = zoobench("verify", imported, "--sample", "20")
    assert outcome.code == 1
    assert "seed: activation 'swish' of 240 rows is none that networks can be rebuilt with: relu, tanh" in outcome.out


def test_one_configuration_of_an_import_has_one_id(imported):
    rewrite(imported, "train", lambda table: change_first_run(table, "config_id"))
    problems = verify(imported, sample=0)
    assert "seed: a config_id stands for several configurations, or the other way round" in problems


def test_names_that_a_terminal_would_obey_are_shown_as_text(imported, zoobench):
    def edit(table):
        epochs = table["epoch"].to_pylist()
        table = replace(table, "run_id", ["\x1b[31mred"] * len(table))
        return replace(table, "example_id", [f"\x1b[31mred/{epoch:03d}" for epoch in epochs])

    rewrite(imported, "test", edit)
    outcome = zoobench("verify", imported, "--sample", "0")
    assert outcome.code == 1
    assert "run_id '\\x1b[31mred' is empty or cannot be printed" in outcome.out
    assert "\x1b" not in outcome.out + outcome.err


def test_labels_that_are_not_the_rows_are_named(folder):
    path = folder / "labels" / "seed" / "test.parquet"
    table = pq.read_table(path)
    rewrite(folder, "test", lambda rows: rows)
    pq.write_table(change_first_row(table, "test_accuracy"), path)
    rehash(folder)
    assert "labels/seed/test.parquet: not the rows without their weights" in verify(folder, sample=0)
