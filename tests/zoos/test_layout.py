import numpy as np
import pytest
import torch

from zoobench.training.nets import module
from zoobench.zoos import ALL
from zoobench.zoos.layout import Layout, layout_of

PARAMETERS = {"small-cnn-zoo": 4970, "cnn-zoo-2": 75146, "tetris-zoo": 100, "mnist-zoo": 2464}


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_layout_is_the_state_dict_of_the_pytorch_network(spec):
    state = module(spec.network, "tanh").state_dict()
    layout = layout_of(spec.network)
    assert [(t.name, t.shape) for t in layout.tensors] == [(name, tuple(value.shape)) for name, value in state.items()]
    assert layout.size == sum(value.numel() for value in state.values()) == PARAMETERS[spec.repo]


@pytest.mark.parametrize("spec", ALL[::4], ids=lambda spec: spec.id)
def test_offsets_follow_without_gaps(spec):
    end = 0
    for tensor in layout_of(spec.network).tensors:
        assert tensor.offset == end
        end += tensor.size


def test_unflatten_gives_named_views_in_c_order():
    layout = Layout.from_json([{"name": "w", "shape": [2, 3], "offset": 0}, {"name": "b", "shape": [2], "offset": 6}])
    tensors = layout.unflatten(np.arange(16.0).reshape(2, 8))
    assert tensors["w"].tolist() == [[[0, 1, 2], [3, 4, 5]], [[8, 9, 10], [11, 12, 13]]]
    assert tensors["b"].tolist() == [[6, 7], [14, 15]]


def test_json_round_trip_keeps_the_layout():
    layout = layout_of(ALL[0].network)
    assert Layout.from_json(layout.to_json()) == layout


def test_a_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match="99 columns, the layout has 100"):
        layout_of(ALL[8].network).unflatten(np.zeros((1, 99)))


@pytest.mark.parametrize("spec", ALL[::4], ids=lambda spec: spec.id)
def test_matrices_are_weights_and_bias_of_each_layer_and_go_back_exactly(spec):
    layout = layout_of(spec.network)
    weights = np.random.default_rng(0).normal(size=(3, layout.size)).astype(np.float32)
    matrices = layout.to_matrices(weights)
    state = module(spec.network, "tanh", weights[1]).state_dict()
    for name, matrix in matrices.items():
        parts = [state[f"{name}.weight"].flatten(1)]
        if f"{name}.bias" in state:
            parts.append(state[f"{name}.bias"][:, None])
        np.testing.assert_array_equal(matrix[1], torch.cat(parts, 1).numpy())
    assert layout.from_matrices(matrices).tobytes() == weights.tobytes()


def test_comvex_matrices_have_the_papers_sizes():
    """Liu: a layer is the (out, in * k * k + 1) matrix [weights | bias]; the four of CNN Zoo 2 flatten to these."""
    spec = next(spec for spec in ALL if spec.repo == "cnn-zoo-2")
    sizes = [layer.index.size for layer in layout_of(spec.network).layers]
    assert sizes == [640, 36928, 36928, 650]


@pytest.mark.parametrize("spec", ALL[::4], ids=lambda spec: spec.id)
def test_tokens_are_the_neurons_padded_and_go_back_exactly(spec):
    layout = layout_of(spec.network)
    weights = np.random.default_rng(0).normal(size=(2, 3, layout.size)).astype(np.float32)
    tokens = layout.to_tokens(weights)
    start = 0
    for matrix in layout.to_matrices(weights).values():
        rows, columns = matrix.shape[-2:]
        np.testing.assert_array_equal(tokens[..., start : start + rows, :columns], matrix)
        assert not tokens[..., start : start + rows, columns:].any()
        start += rows
    assert tokens.shape[-2] == start
    tokens[..., layout.token_index < 0] = np.nan
    assert layout.from_tokens(tokens).tobytes() == weights.tobytes()
