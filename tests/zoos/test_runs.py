"""Recipes become the papers' runs, and a run does not depend on how many others there are."""

import dataclasses
import hashlib
import math

import numpy as np
import pytest
from scipy import stats

from zoobench.distributions import Choice, LogUniform, Uniform
from zoobench.errors import ZoobenchError
from zoobench.zoos import ALL, Zoo, resolve
from zoobench.zoos.runs import config_id, runs_of
from zoobench.zoos.spec import Grid, Hyperparameters, RandomSearch, Training

# The first and the last run's. Labels, and what is predicted from them, hang on these: they never change.
PINNED_CONFIGURATIONS = {
    "tetris-zoo/seed": ("162ed210e32d", "162ed210e32d"),
    "tetris-zoo/hyp": ("725a5a20ab5f", "eda877b67734"),
    "mnist-zoo/seed": ("713700cbfbd7", "713700cbfbd7"),
    "mnist-zoo-lite/seed": ("0bf9127d60c1", "0bf9127d60c1"),
    "mnist-zoo/hyp-1-rand-seed": ("1684ea4e544d", "932b09277d61"),
    "mnist-zoo-lite/hyp-5-fix-seed": ("619534b8a599", "e573c70c05ab"),
    "small-cnn-zoo/mnist": ("70979bcb3605", "d40ab5e0c9a5"),
    "small-cnn-zoo-lite/cifar10": ("0d739585f562", "36e4dbe30f86"),
    "cnn-zoo-2/cifar10": ("7d311ebb7900", "d6f47ddbc32d"),
    "cnn-zoo-2-lite/mnist": ("31387c29bd18", "1c3646ccfda4"),
}


def full(name):
    return runs_of(resolve(name))


def configurations(recipe, runs):
    """Of the runs that a recipe gives."""
    tetris = resolve("tetris-zoo/seed").spec
    spec = dataclasses.replace(
        tetris, scales=(("full", dataclasses.replace(tetris.scales[0][1], recipe=recipe, runs=runs)),)
    )
    return runs_of(Zoo(spec, "full"))


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
    low, high = np.log10(5e-4), np.log10(5e-2)
    assert stats.kstest(logs, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    dropout = [value.dropout for value in values]
    assert stats.kstest(dropout, stats.uniform(0, 0.7).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(logs, dropout)[0, 1]) < 0.03
    fractions = np.unique([value.train_fraction for value in values], return_counts=True)
    assert fractions[0].tolist() == [0.1, 0.25, 0.5, 1.0]
    assert stats.chisquare(fractions[1]).pvalue > 1e-3


def test_the_collections_of_a_repo_draw_different_configurations():
    assert full("small-cnn-zoo/mnist")[0].hyperparameters != full("small-cnn-zoo/svhn")[0].hyperparameters


@pytest.mark.parametrize(("name", "pinned"), PINNED_CONFIGURATIONS.items())
def test_the_configurations_of_a_zoo_are_pinned_forever(name, pinned):
    listed = full(name)
    assert (listed[0].config_id, listed[-1].config_id) == tuple(f"config-{digest}" for digest in pinned)


def test_every_drawn_hyperparameter_is_the_same_to_the_last_digit_on_every_machine():
    ids = "\n".join(run.config_id for run in full("small-cnn-zoo/mnist"))
    assert (
        hashlib.sha256(ids.encode()).hexdigest() == "f44692151c63266da43383a17f2d3fe4d9c7c75ba4fbc30d6f2266ee66cd975e"
    )


def test_a_hand_computed_configuration():
    text = (
        '{"activation": "tanh", "batch_size": 4, "dropout": 0.0, "init": "uniform", "init_std": null, '
        '"learning_rate": 0.0003, "optimizer": "adam", "train_fraction": 1.0, "weight_decay": 0.0}'
    )
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert full("tetris-zoo/seed")[0].config_id == f"config-{digest[:12]}"


@dataclasses.dataclass(frozen=True)
class LaterHyperparameters(Hyperparameters):
    label_smoothing: float = 0.0


def test_a_later_hyperparameter_renames_no_configuration_but_those_that_use_it():
    for name in PINNED_CONFIGURATIONS:
        run = full(name)[-1]
        values = dataclasses.asdict(run.hyperparameters)
        assert config_id(LaterHyperparameters(**values)) == run.config_id
        assert config_id(LaterHyperparameters(**values, label_smoothing=0.0)) == run.config_id
        # An imported zoo that does not tell.
        assert config_id(LaterHyperparameters(**values, label_smoothing=None)) == run.config_id
        smoothed = {config_id(LaterHyperparameters(**values, label_smoothing=value)) for value in (0.1, 0.2)}
        assert len(smoothed - {run.config_id}) == 2


def test_a_grid_may_vary_how_runs_are_trained():
    fixed = resolve("tetris-zoo/seed").size.recipe.fixed
    axes = (("learning_rate", (0.1, 0.2)), ("decoupled_decay", (False, True)))
    runs = configurations(Grid(fixed, axes, seeds=2), 8)
    assert [(run.hyperparameters.learning_rate, run.training.decoupled_decay) for run in runs[::2]] == [
        (0.1, False),
        (0.1, True),
        (0.2, False),
        (0.2, True),
    ]
    assert len({run.config_id for run in runs}) == 4
    assert all(run.config_id == again.config_id for run, again in zip(runs[::2], runs[1::2], strict=True))
    # What a recipe says for all runs is no part of a configuration: a zoo has one recipe.
    plain = configurations(Grid(fixed, axes[:1], seeds=2), 4)
    assert [run.config_id for run in plain] == [run.config_id for run in runs if not run.training.decoupled_decay]


def test_a_random_search_may_draw_how_runs_are_trained():
    fixed = resolve("tetris-zoo/seed").size.recipe.fixed
    recipe = RandomSearch(
        fixed, (("initial_bias", Uniform(0.0, 0.1)),), seed=1, training=Training(decoupled_decay=True)
    )
    runs = configurations(recipe, 50)
    biases = {run.training.initial_bias for run in runs}
    assert len(biases) == len({run.config_id for run in runs}) == 50
    assert 0 <= min(biases) < max(biases) < 0.1
    assert all(run.training.decoupled_decay for run in runs)


def test_a_name_means_a_hyperparameter_or_a_field_of_training():
    assert not {field.name for field in dataclasses.fields(Hyperparameters)} & set(dataclasses.asdict(Training()))
