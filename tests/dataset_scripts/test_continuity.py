"""Runs in weight space, on walks whose runs are known."""

from pathlib import Path

import numpy as np
import pytest

from zoobench.errors import ZoobenchError
from zoobench_dataset_scripts import continuity


def walks(runs, epochs, start="own", step=0.05, seed=0):
    """Rows (runs * epochs, 400): random walks from starting points of their own, or from one that all share."""
    draw = np.random.RandomState(seed)
    first = draw.normal(size=(runs if start == "own" else 1, 1, 400))
    scale = step * draw.uniform(0.5, 2, size=(runs, 1, 1))  # some runs move more than others
    moved = (scale * draw.normal(size=(runs, epochs, 400))).cumsum(axis=1)
    return (first + moved).reshape(runs * epochs, 400).astype(np.float32)


def check(rows, per_run):
    continuity.check_blocks(Path("file.pt"), lambda wanted: rows[wanted], len(rows), per_run)


@pytest.mark.parametrize("start", ["own", "shared"])
@pytest.mark.parametrize(("runs", "epochs"), [(12, 4), (30, 10), (3, 50), (40, 2), (20, 100)])
def test_the_true_number_of_checkpoints_is_accepted_and_no_other(runs, epochs, start):
    rows = walks(runs, epochs, start)
    check(rows, epochs)
    for wrong in (1, 2, 3, 4, 5, 8, 10, 12, 20, 25, 50, 100, 200, epochs // 2, 2 * epochs, 3 * epochs):
        if wrong not in (0, epochs) and len(rows) % wrong == 0:
            with pytest.raises(ZoobenchError, match=f"rows are not in runs of {wrong} checkpoints"):
                check(rows, wrong)


def test_networks_that_have_nothing_to_do_with_each_other_are_runs_of_one():
    check(np.random.RandomState(0).normal(size=(60, 400)).astype(np.float32), 1)


def test_rows_that_collapsed_or_are_not_finite_do_not_decide():
    rows = walks(30, 10)
    rows[:40] = 0
    rows[70] = np.nan
    check(rows, 10)
    with pytest.raises(ZoobenchError):
        check(rows, 5)


def test_a_single_fused_run_is_found_among_many():
    rows = walks(50, 10)
    runs, epochs = np.divmod(np.arange(500), 10)
    fetch = rows.__getitem__
    assert continuity.jumps(fetch, runs, epochs) == []
    fused = np.where((runs == 7) & (epochs >= 6), 3, runs)
    fused[(runs == 3) & (epochs >= 6)] = 7
    assert continuity.jumps(fetch, fused, epochs) == [(35, 76), (75, 36)]


def test_the_rest_of_a_run_is_found_wherever_it_stands():
    rows = walks(50, 10)
    runs, epochs = np.divmod(np.arange(500), 10)
    alike = np.zeros(500, int)
    assert continuity.continued(rows.__getitem__, runs, epochs, alike) is None
    cut = np.where((runs == 7) & (epochs >= 6), 50, runs)
    assert continuity.continued(rows.__getitem__, cut, epochs, alike) == (75, 76)
    told = np.where(cut == 50, 1, alike)
    assert continuity.continued(rows.__getitem__, cut, epochs, told) is None, "other hyperparameters: another run"
