import numpy as np
import pandas as pd
import pytest

from zoobench.errors import ZoobenchError
from zoobench.weightspace.features import extract, feature_sets, uses_hyperparameters
from zoobench.zoos import ALL, resolve
from zoobench.zoos.layout import layout_of

NAMES = ["tetris-zoo/seed", "mnist-zoo/seed", "small-cnn-zoo/mnist"]


def layout(name="small-cnn-zoo/mnist"):
    return layout_of(resolve(name).spec.network)


def population(name, rows=50):
    return np.random.default_rng(0).normal(size=(rows, layout(name).size)).astype(np.float32)


def statistics(values, percentiles, spread=np.var):
    values = values.astype(np.float64)
    return np.column_stack([values.mean(1), spread(values, axis=1), *np.percentile(values, percentiles, axis=1)])


CONVENTIONS = [
    ("", ([0, 25, 50, 75, 100], np.var)),
    ("-1-99", ([1, 25, 50, 75, 99], np.var)),
    ("-std", ([0, 25, 50, 75, 100], np.std)),
]


@pytest.mark.parametrize(("suffix", "convention"), CONVENTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_statistics_are_mean_spread_and_percentiles_of_each_tensor(name, suffix, convention):
    weights = population(name)
    expected = [statistics(weights[:, tensor.slice], *convention) for tensor in layout(name).tensors]
    found = extract(f"stats{suffix}", weights, layout(name))
    np.testing.assert_allclose(found, np.hstack(expected), rtol=1e-5, atol=1e-6)
    by_layer = {layer.name: [t for t in (layer.weight, layer.bias) if t] for layer in layout(name).layers}
    first, *_, last = by_layer.values()
    for part, tensors in (("last", last), ("first-last", [*first, *last])):
        expected = [statistics(weights[:, tensor.slice], *convention) for tensor in tensors]
        found = extract(f"stats-{part}{suffix}", weights, layout(name))
        np.testing.assert_allclose(found, np.hstack(expected), rtol=1e-5, atol=1e-6)
    found = extract(f"stats-global{suffix}", weights, layout(name))
    np.testing.assert_allclose(found, statistics(weights, *convention), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "kernels"), [(NAMES[0], (80, 20)), (NAMES[1], (200, 1200, 96, 720, 200))])
def test_the_statistics_of_schurholt_2021_leave_biases_out(name, kernels):
    """Five numbers, mean and variance of each kernel: the tensors of more than one dimension, first to last."""
    weights = population(name)
    torch_order = [tensor for tensor in layout(name).tensors if len(tensor.shape) > 1]
    assert tuple(tensor.size for tensor in torch_order) == kernels
    expected = np.hstack([statistics(weights[:, tensor.slice], [1, 25, 50, 75, 99]) for tensor in torch_order])
    found = extract("stats-kernels-1-99", weights, layout(name))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.shape[1] == 7 * len(kernels)


def test_statistics_of_diverged_networks_are_finite_where_their_squares_overflow():
    weights = population(NAMES[0])[:4]
    weights[1] *= 1e25
    weights[2] *= 3e37 / np.abs(weights[2]).max()
    weights[2] = np.abs(weights[2])
    found = extract("stats", weights, layout(NAMES[0]))
    expected = [statistics(weights[:, tensor.slice], [0, 25, 50, 75, 100]) for tensor in layout(NAMES[0]).tensors]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, np.hstack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *(("W", 4970), ("W1", 160), ("W2", 2320), ("W3", 2320), ("W4", 170), ("stats", 56), ("stats-global", 7)),
        *(("stats-last", 14), ("stats-first-last", 28), ("l1", 8), ("l2", 8), ("W+l2", 4978)),
    ],
)
def test_the_small_cnn_has_as_many_features_as_the_paper_says(name, count):
    assert extract(name, np.zeros((2, 4970), np.float32), layout()).shape == (2, count)


@pytest.mark.parametrize("order", [1, 2])
def test_norms_are_of_each_tensor(order):
    weights = population("mnist-zoo/seed")
    expected = [
        np.linalg.norm(weights[:, t.slice].astype(float), order, axis=1) for t in layout("mnist-zoo/seed").tensors
    ]
    np.testing.assert_allclose(extract(f"l{order}", weights, layout("mnist-zoo/seed")), np.stack(expected, 1))


@pytest.mark.parametrize("name", NAMES)
def test_single_layers_are_the_whole_vector_cut(name):
    """In layout order: each layer's weight, then its bias."""
    weights = population(name)
    parts = [extract(f"W{k}", weights, layout(name)) for k in range(1, len(layout(name).layers) + 1)]
    assert np.array_equal(np.hstack(parts), weights)


def test_every_zoo_has_every_feature_set():
    for spec in ALL:
        weights = np.zeros((1, layout_of(spec.network).size), np.float32)
        known = pd.DataFrame({"learning_rate": [-3.0]})
        for name in feature_sets(layout_of(spec.network)):
            assert extract(name, weights, layout_of(spec.network), known).shape[0] == 1


def test_blocks_of_rows_do_not_show(monkeypatch):
    weights = population("tetris-zoo/seed", 500)
    whole = extract("stats", weights, layout("tetris-zoo/seed"))
    monkeypatch.setattr("zoobench.weightspace.features._BLOCK_ROWS", 7)
    assert np.array_equal(extract("stats", weights, layout("tetris-zoo/seed")), whole)


def test_statistics_are_of_weights_in_any_memory():
    weights = population("tetris-zoo/seed", 20)
    expected = extract("stats", weights, layout("tetris-zoo/seed"))
    apart = np.repeat(weights, 2, axis=1)[:, ::2]
    for same in (weights.astype(np.float64), np.asfortranarray(weights), weights.astype(">f4"), apart):
        assert np.array_equal(extract("stats", same, layout("tetris-zoo/seed")), expected)


def test_w_is_the_weights_themselves():
    weights = np.ones((2, 100), np.float32)
    assert extract("W", weights, layout("tetris-zoo/seed")) is weights


def test_hyperparameters_stand_beside_weights():
    known = pd.DataFrame({"learning_rate": [-3.0, -2.0], "dropout": [0.1, 0.2]})
    weights = population("tetris-zoo/seed", 2)
    joined = extract("lambda+W", weights, layout("tetris-zoo/seed"), known)
    assert np.array_equal(joined, np.hstack([known, weights]))
    assert extract("learning-rate", weights, layout("tetris-zoo/seed"), known).tolist() == [[-3.0], [-2.0]]
    used = {name: uses_hyperparameters(name) for name in ("lambda", "W+learning-rate", "W", "stats+l2")}
    assert used == {"lambda": True, "W+learning-rate": True, "W": False, "stats+l2": False}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stat", "unknown features 'stat'; did you mean 'stats'"),
        ("W+W9", "unknown features 'W9'; did you mean 'W'"),
        ("learning-rate", "the learning rate does not vary in this zoo; choose other features"),
    ],
)
def test_features_that_are_not_there_are_one_line(name, message):
    with pytest.raises(ZoobenchError, match=message.replace("+", r"\+")):
        extract(name, np.zeros((1, 100), np.float32), layout("tetris-zoo/seed"))
