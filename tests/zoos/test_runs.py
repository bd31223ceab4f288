"""Recipes become the papers' runs, and a run does not depend on how many others there are."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from zoobench.errors import ZoobenchError
from zoobench.zoos import ALL, Zoo, resolve
from zoobench.zoos.runs import runs_of
from zoobench.zoos.spec import Choice, LogUniform, Uniform


def full(name):
    return runs_of(resolve(name))


@pytest.mark.parametrize(
    ("name", "runs", "configurations", "seeds"),
    [
        ("tetris-zoo/seed", 1000, 1, 1000),
        ("tetris-zoo/hyp", 3600, 36, 100),
        ("mnist-zoo/seed", 1000, 1, 1000),
        ("mnist-zoo/fashion-seed", 1000, 1, 1000),
        ("mnist-zoo/hyp-1-fix-seed", 1152, 1152, 1),
        ("mnist-zoo/hyp-1-rand-seed", 1152, 1152, 1152),
        ("mnist-zoo/hyp-5-fix-seed", 1280, 256, 5),
        ("mnist-zoo/hyp-5-rand-seed", 1280, 256, 1280),
        ("small-cnn-zoo/mnist", 30_000, 30_000, 1),
        ("cnn-zoo-2/cifar10", 1000, 1000, 1000),
    ],
)
def test_full_scale_has_the_papers_runs_configurations_and_seeds(name, runs, configurations, seeds):
    listed = full(name)
    assert len({run.run_id for run in listed}) == len(listed) == runs
    assert len({run.config_id for run in listed}) == configurations
    assert len({run.seed for run in listed}) == seeds


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_exactly_the_declared_hyperparameters_vary(spec):
    runs = runs_of(Zoo(spec, "full"))
    varying = {
        field.name
        for field in dataclasses.fields(runs[0].hyperparameters)
        if len({getattr(run.hyperparameters, field.name) for run in runs}) > 1
    }
    assert varying == set(spec.varies)


def place(recipe, name, value):
    """Where a value lies among those that the recipe gives: its number, or its position in a range."""
    match dict(getattr(recipe, "axes", ()) or recipe.ranges)[name]:
        case Uniform(low, high):
            return pytest.approx((value - low) / (high - low))
        case LogUniform(low, high):
            return pytest.approx(math.log(value / low) / math.log(high / low))
        case Choice(values) | values:
            return values.index(value)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_a_run_of_a_smaller_scale_is_a_run_of_the_full_zoo(spec):
    """The same id and seed, and the same place in each range; a scale may move a range for all runs."""
    scales = dict(spec.scales)
    by_id = {run.run_id: run for run in runs_of(Zoo(spec, "full"))}
    for scale, size in scales.items():
        for run in runs_of(Zoo(spec, scale)):
            whole = by_id[run.run_id]
            assert run.seed == whole.seed
            for name in spec.varies:
                mine, theirs = (getattr(each.hyperparameters, name) for each in (run, whole))
                assert place(size.recipe, name, mine) == place(scales["full"].recipe, name, theirs)


def test_another_seed_moves_every_runs_seed_and_draws_other_hyperparameters():
    zoo = Zoo(resolve("small-cnn-zoo/mnist").spec, "tiny")
    runs, others = runs_of(zoo), runs_of(zoo, seed=2)
    assert [run.run_id for run in runs] == [run.run_id for run in others]
    assert not {run.seed for run in runs} & {run.seed for run in others}
    assert not {run.config_id for run in runs} & {run.config_id for run in others}
    assert runs_of(zoo, seed=2) == others != runs_of(zoo, seed=3)


def test_seeds_of_different_populations_never_meet():
    """Seeds of recipes stay below what --seed adds."""
    for spec in ALL:
        seeds = [run.seed for run in full(spec.id)]
        assert max(seeds) < runs_of(Zoo(spec, "tiny"), seed=1)[0].seed


@pytest.mark.parametrize("seed", [-1, 1001])
def test_a_seed_out_of_range_is_named(seed):
    with pytest.raises(ZoobenchError, match=f"seed {seed} is out of range"):
        runs_of(resolve("tetris-zoo/seed"), seed)


def test_random_search_draws_from_its_ranges():
    values = [run.hyperparameters for run in full("small-cnn-zoo/mnist")]
    logs = np.log10([value.learning_rate for value in values])
    low, high = np.log10(1e-3), np.log10(0.5)
    assert stats.kstest(logs, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    dropout = [value.dropout for value in values]
    assert stats.kstest(dropout, stats.uniform(0, 0.7).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(logs, dropout)[0, 1]) < 0.03
    fractions = np.unique([value.train_fraction for value in values], return_counts=True)
    assert fractions[0].tolist() == [0.1, 0.25, 0.5, 1.0]
    assert stats.chisquare(fractions[1]).pvalue > 1e-3


def test_the_collections_of_a_repo_draw_different_configurations():
    assert full("small-cnn-zoo/mnist")[0].hyperparameters != full("small-cnn-zoo/svhn")[0].hyperparameters
