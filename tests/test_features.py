import numpy as np
import pytest

from zoobench.errors import ZoobenchError
from zoobench.features import extract
from zoobench.layout import layout_of
from zoobench.zoos import resolve


@pytest.mark.parametrize("name", ["tetris-zoo/seed", "mnist-zoo/seed", "small-cnn-zoo/mnist"])
def test_statistics_are_mean_variance_and_percentiles_of_each_tensor(name):
    layout = layout_of(resolve(name).spec.network)
    weights = np.random.default_rng(0).normal(size=(50, layout.size)).astype(np.float32)
    features = extract("stats", weights, layout)
    assert features.shape == (50, 7 * len(layout.tensors))
    for index, tensor in enumerate(layout.tensors):
        values = weights[:, tensor.offset : tensor.offset + tensor.size].astype(np.float64)
        expected = [values.mean(1), values.var(1), *np.percentile(values, [0, 25, 50, 75, 100], axis=1)]
        np.testing.assert_allclose(
            features[:, 7 * index : 7 * index + 7], np.column_stack(expected), rtol=1e-6, atol=1e-9
        )


def test_the_small_cnn_has_56_statistics():
    layout = layout_of(resolve("small-cnn-zoo/mnist").spec.network)
    assert extract("stats", np.zeros((1, 4970), np.float32), layout).shape == (1, 56)


def test_blocks_of_rows_do_not_show(monkeypatch):
    layout = layout_of(resolve("tetris-zoo/seed").spec.network)
    weights = np.random.default_rng(0).normal(size=(500, 100)).astype(np.float32)
    whole = extract("stats", weights, layout)
    monkeypatch.setattr("zoobench.features._BLOCK_BYTES", 8 * 100 * 64)
    assert np.array_equal(extract("stats", weights, layout), whole)


def test_w_is_the_weights_themselves():
    layout = layout_of(resolve("tetris-zoo/seed").spec.network)
    weights = np.ones((2, 100), np.float32)
    assert extract("W", weights, layout) is weights


def test_an_unknown_feature_set_says_what_there_is():
    with pytest.raises(ZoobenchError, match="unknown features 'stat'; did you mean 'stats'"):
        extract("stat", np.zeros((1, 100), np.float32), layout_of(resolve("tetris-zoo").spec.network))
