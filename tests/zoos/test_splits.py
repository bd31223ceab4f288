"""The splits are a contract: they depend on the zoo id and the run id (or seed), and never change."""

import hashlib

import pyarrow.parquet as pq
import pytest

from zoobench.errors import ZoobenchError
from zoobench.zoos import ALL, Zoo, resolve
from zoobench.zoos.runs import runs_of
from zoobench.zoos.splits import SPLITS, fold_of, split_of

SEED = resolve("tetris-zoo/seed").spec
PINNED_SPLITS = ["tr", "tr", "tr", "tr", "tr", "te", "va", "tr", "tr", "tr", "va", "tr"]
PINNED_FOLDS = [0, 0, 1, 2, 1, None, None, 1, 0, 2, None, 1]
PINNED_MNIST = ["va", "tr", "tr", "tr", "tr", "tr", "tr", "tr", "tr", "tr", "tr", "tr"]


def test_the_first_assignments_are_pinned_forever():
    ids = [f"seed-{seed:04d}" for seed in range(1, 13)]
    assert [split_of(SEED, run)[:2] for run in ids] == PINNED_SPLITS
    assert [fold_of(SEED, run) for run in ids] == PINNED_FOLDS
    mnist = resolve("mnist-zoo/seed").spec
    assert [split_of(mnist, run)[:2] for run in ids] == PINNED_MNIST


def test_a_hand_computed_assignment():
    digest = hashlib.sha256(b"split\ntetris-zoo/seed\nseed-0001").hexdigest()
    position = int(digest[:16], 16) / 16**16
    expected = "train" if position < 0.7 else "validation" if position < 0.85 else "test"
    assert split_of(SEED, "seed-0001") == expected


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_fractions_are_those_of_the_declaration(spec):
    runs = [(f"run-{i}", i) for i in range(20_000)]
    splits = [split_of(spec, *run) for run in runs]
    for name in SPLITS:
        assert splits.count(name) / len(runs) == pytest.approx(getattr(spec.splits, name), abs=0.012)
    folds = [fold_of(spec, *run) for run in runs]
    assert all(
        (fold is None) == (split != "train" or not spec.splits.folds) for fold, split in zip(folds, splits, strict=True)
    )
    for fold in range(spec.splits.folds):
        assert folds.count(fold) / splits.count("train") == pytest.approx(1 / spec.splits.folds, abs=0.015)


def test_where_configurations_repeat_seeds_the_seed_decides(tiny_hyp_home):
    """Hashed by hand: what begins with the same weights lies in one split, in every population."""
    hyp = resolve("tetris-zoo/hyp").spec
    for seed in range(1, 30):
        digest = hashlib.sha256(f"split\ntetris-zoo/hyp\nseed-{seed}".encode()).hexdigest()
        position = int(digest[:16], 16) / 16**16
        expected = "train" if position < 0.7 else "validation" if position < 0.85 else "test"
        assert split_of(hyp, "whatever", seed) == split_of(hyp, "another", seed + 3 * 10**10) == expected
    with pytest.raises(ZoobenchError, match="run config-0001 of tetris-zoo/hyp has no seed"):
        split_of(hyp, "config-0001")
    seeds = {}
    for split in SPLITS:
        for file in (tiny_hyp_home / "tetris-zoo-tiny" / "hyp").glob(f"{split}-*.parquet"):
            seeds[split] = set(pq.read_table(file, columns=["seed"])["seed"].to_pylist())
    assert seeds == {"train": {2, 3, 5, 6}, "validation": {1}, "test": {4}}


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_no_grid_repeats_a_seed_across_splits_unless_its_paper_does(spec):
    """By the papers' design all runs of the fix-seed zoos share one to five seeds, those of Small CNN one."""
    for scale, _ in spec.scales:
        runs = runs_of(Zoo(spec, scale))
        splits = {}
        for run in runs:
            splits.setdefault(run.seed, set()).add(split_of(spec, run.run_id, run.seed))
        across = any(len(found) > 1 for found in splits.values())
        assert across == ("fix-seed" in spec.config or spec.repo == "small-cnn-zoo"), scale


def test_every_scale_of_a_zoo_splits_its_runs_alike():
    assert resolve("tetris-zoo-lite/seed").spec is SEED


def test_no_run_of_a_built_zoo_is_in_two_splits_and_all_are_where_the_hash_says(tiny_home):
    seen = {}
    for split in SPLITS:
        for file in (tiny_home / "tetris-zoo-tiny" / "seed").glob(f"{split}-*.parquet"):
            for run in set(pq.read_table(file, columns=["run_id"])["run_id"].to_pylist()):
                assert seen.setdefault(run, split) == split
                assert split_of(SEED, run) == split
    assert len(seen) == 40
