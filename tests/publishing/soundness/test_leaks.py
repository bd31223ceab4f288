"""Networks in two splits under two names; the runs of the tiny zoo are independent of each other."""

import numpy as np
import pandas as pd
import pytest

from zoobench.publishing.verify import examine, verify
from zoobench.zoos import resolve
from zoobench.zoos.splits import split_of

from ..damage import rewrite, rows_of, with_weights

SPEC = resolve("tetris-zoo/seed").spec


def weights_of(table):
    return np.stack(table["weights"].to_numpy())


def of_split(split, count, prefix="other"):
    """Names of runs that fall into a split."""
    names = (f"{prefix}-{number}" for number in range(10_000))
    return [name for name in names if split_of(SPEC, name) == split][:count]


@pytest.mark.parametrize("noise", [0, 1e-6, 1e-4])
def test_a_train_run_that_is_copied_into_test_is_found(folder, noise):
    """Ids and hyperparameters are the recipe's; only the weights, and what was measured of them, are another run's."""
    source = rows_of(folder, "train").slice(0, 6)
    moved = np.random.RandomState(0).normal(size=(6, 100)).astype(np.float32) * noise
    outcomes = [name for name in source.schema.names if name.endswith(("accuracy", "loss", "gap")) or "f1" in name]

    def edit(table):
        weights = weights_of(table)
        weights[:6] = weights_of(source) + moved
        for name in outcomes:
            position = table.schema.names.index(name)
            values = [*source[name].to_pylist(), *table[name].to_pylist()[6:]]
            table = table.set_column(position, table.schema.field(name), [values])
        return with_weights(table, weights)

    rewrite(folder, "test", edit)
    said = "are the same network" if not noise else "they are one run under two names"
    (problem,) = [problem for problem in verify(folder, sample=0) if said in problem]
    assert source["run_id"][0].as_py() in problem
    assert "(train)" in problem
    assert "(test)" in problem


def test_a_run_that_is_there_twice_is_found_whatever_its_seed(imported):
    """All of it is copied but for the name and the seed."""
    source = rows_of(imported, "train").slice(0, 6)

    def edit(table):
        return with_weights(table, np.vstack([weights_of(source), weights_of(table)[6:]]))

    rewrite(imported, "test", edit)
    assert any("are the same network; 12 trained checkpoints of 2 runs" in line for line in verify(imported, sample=0))


def test_runs_that_were_cut_in_two_are_found(trained, tmp_path):
    """A file whose checkpoints per run were told wrong: epochs 4 to 6 of a run are epochs 1 to 3 of another."""
    labels = trained.labels[["run_id", "epoch", "test_accuracy"]].copy()
    late = labels["epoch"] > 3
    labels["run_id"] = labels["run_id"].where(~late, labels["run_id"] + "b")
    labels["epoch"] = labels["epoch"].where(~late, labels["epoch"] - 3)
    problems = verify(trained.write(tmp_path, labels), sample=0)
    assert any("seed: 40 pairs of runs are so near each other" in problem for problem in problems)


def test_checkpoints_that_were_taken_for_runs_are_found(trained, tmp_path):
    labels = trained.labels[["epoch", "test_accuracy"]].assign(run_id=[f"r{n}" for n in range(240)], epoch=1)
    assert any("one run under two names" in problem for problem in verify(trained.write(tmp_path, labels), sample=0))


def test_one_run_whose_checkpoints_are_shared_out_is_found(trained, tmp_path):
    """Every second checkpoint of the first train run goes to a run in test."""
    labels = trained.labels.drop(columns="seed")
    run = labels["run_id"][0]
    assert split_of(SPEC, run) == "train"
    (other,) = of_split("test", 1)
    labels.loc[(labels["run_id"] == run) & (labels["epoch"] % 2 == 0), "run_id"] = other
    problems = verify(trained.write(tmp_path, labels), sample=0)
    (problem,) = [problem for problem in problems if "one run under two names" in problem]
    assert problem.endswith(f"names: {other} (test) and {run} (train)")


def test_runs_that_only_begin_alike_are_worth_a_note(trained, tmp_path):
    """As those of one seed do by design: every run gets the same untrained network."""
    runs = trained.labels.drop_duplicates("run_id").assign(epoch=0)
    labels = pd.concat([trained.labels, runs], ignore_index=True)
    weights = np.vstack([trained.weights, np.repeat(trained.weights[:1] + 1, len(runs), axis=0)])
    report = examine(trained.write(tmp_path, labels, weights), sample=0)
    assert report.problems == []
    tested = sum(split_of(SPEC, run) != "train" for run in runs["run_id"])
    assert report.notes == [f"seed: {tested} validation and test runs begin with the weights of a run of another split"]


def test_networks_that_training_does_not_move_are_no_copies(trained, tmp_path):
    """Untrained networks that are shared by design, and stay what they are."""
    labels = trained.labels.assign(epoch=trained.labels["epoch"] - 1)
    weights = trained.weights.copy()
    for run in labels["run_id"].unique()[::8]:
        weights[(labels["run_id"] == run).to_numpy()] = weights[0]
    # Imports refuse equal rows whose labels are equal, too.
    labels["test_accuracy"] = np.linspace(0.2, 0.3, len(labels))
    assert not any("same network" in problem for problem in verify(trained.write(tmp_path, labels, weights), sample=0))


def test_collapsed_networks_are_no_copies(trained, tmp_path):
    weights = trained.weights.copy()
    weights[::6], weights[3::6] = 0, 1e-30
    assert verify(trained.write(tmp_path, weights=weights), sample=0) == []


def test_test_runs_that_begin_as_train_runs_do_are_counted(folder):
    """Three test runs are given the first checkpoint of a train run, moved a little; their others stay."""
    source = weights_of(rows_of(folder, "train"))[0]

    def edit(table):
        weights = weights_of(table)
        first = [row for row, epoch in enumerate(table["epoch"].to_pylist()) if epoch == 1][:3]
        weights[first] = source + 0.01 * np.random.RandomState(0).normal(size=(3, 100))
        return with_weights(table, weights)

    assert not [note for note in examine(folder, sample=0).notes if "began alike" in note]
    rewrite(folder, "test", edit)
    runs = len(set(rows_of(folder, "test")["run_id"].to_pylist()))
    (note,) = [note for note in examine(folder, sample=0).notes if "began alike" in note]
    assert f"3 of {runs} test runs are near a train run at their first checkpoint" in note
