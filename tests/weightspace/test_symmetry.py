import numpy as np
import pytest
import torch
from scipy import stats

from zoobench.errors import ZoobenchError
from zoobench.training.images import load_images
from zoobench.training.nets import ACTIVATIONS, module
from zoobench.weightspace import symmetry
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.spec import Activation, Conv, Flatten, Linear, MaxPool, Network

ZOOS = ("tetris-zoo-tiny/hyp", "mnist-zoo-tiny/seed", "small-cnn-zoo-tiny/mnist", "cnn-zoo-2-tiny/usps")
NETWORKS = {zoo: resolve(zoo).spec.network for zoo in ZOOS}
TETRIS, MNIST = NETWORKS["tetris-zoo-tiny/hyp"], NETWORKS["mnist-zoo-tiny/seed"]
CASES = [(zoo, change) for zoo in ZOOS for change in symmetry.perturbations_of(NETWORKS[zoo])]
PRESERVING = [
    (zoo, change.name, activation)
    for zoo, change in CASES
    for activation in ACTIVATIONS
    if change.preserves and change.activation in (None, activation)
]
BREAKING = [(zoo, change.name) for zoo, change in CASES if not change.preserves]


@pytest.fixture(scope="module")
def images(all_images):
    """Real test images of a zoo, as its networks see them."""
    parts = {zoo: load_images(resolve(zoo).spec, resolve(zoo).size, all_images).test_images[:8] for zoo in ZOOS}
    return {zoo: torch.from_numpy(part) for zoo, part in parts.items()}


def initialised(network, activation="tanh", rows=3):
    """Weights (rows, N) as PyTorch initialises them, biases too, but twice as large: logits differ between images."""
    torch.manual_seed(0)
    networks = [module(network, activation) for _ in range(rows)]
    return np.stack([2 * torch.nn.utils.parameters_to_vector(n.parameters()).detach().numpy() for n in networks])


def logits(network, activation, weights, images):
    with torch.no_grad():
        return torch.stack([module(network, activation, row).eval()(images) for row in weights])


def apply(name, weights, network, seed=0):
    before = weights.copy()
    changed = symmetry.get(name).apply(weights, network, np.random.RandomState(seed))
    assert np.array_equal(weights, before)
    assert (changed.shape, changed.dtype) == (weights.shape, np.float32)
    return changed


def spans(network):
    """Where each tensor of PyTorch's own ``state_dict`` stands in a flat vector, by name."""
    found, offset = {}, 0
    for name, tensor in module(network, "tanh").state_dict().items():
        found[name] = np.arange(offset, offset + tensor.numel())
        offset += tensor.numel()
    return found


@pytest.mark.parametrize(("zoo", "name", "activation"), PRESERVING)
def test_a_symmetry_changes_weights_but_not_what_a_network_computes(zoo, name, activation, images):
    network = NETWORKS[zoo]
    weights = initialised(network, activation)
    changed = apply(name, weights, network)
    assert (changed != weights).any(axis=1).all()
    expected = logits(network, activation, weights, images[zoo])
    assert (expected.std(dim=1).amax(dim=1) > 1e-3).all(), "images must matter for the test to mean something"
    torch.testing.assert_close(
        logits(network, activation, changed, images[zoo]), expected, rtol=1e-5, atol=1e-5 * float(expected.std())
    )


@pytest.mark.parametrize(("zoo", "name"), BREAKING)
def test_a_breaking_change_changes_what_a_network_computes(zoo, name, images):
    network = NETWORKS[zoo]
    weights = initialised(network, "relu")
    expected = logits(network, "relu", weights, images[zoo])
    difference = (logits(network, "relu", apply(name, weights, network), images[zoo]) - expected).abs()
    assert (difference.amax(dim=(1, 2)) > 1e-2 * expected.std()).all()


@pytest.mark.parametrize(("name", "activation"), [("relu-scaling", "tanh"), ("tanh-sign-flip", "relu")])
@pytest.mark.parametrize("zoo", ZOOS)
def test_a_symmetry_of_one_activation_breaks_another(zoo, name, activation, images):
    network = NETWORKS[zoo]
    weights = initialised(network, activation)
    expected = logits(network, activation, weights, images[zoo])
    difference = (logits(network, activation, apply(name, weights, network), images[zoo]) - expected).abs()
    assert (difference.amax(dim=(1, 2)) > 1e-2 * expected.std()).all()


def test_filters_take_their_block_of_a_flattened_input_along():
    """Two filters of one weight on 2 x 2 images: each has four of the eight inputs of either output."""
    network = Network("", (Conv("conv", 1, 2, 1), Activation(), Flatten(), Linear("fc", 8, 2)))
    #         conv: weights, biases; fc: weights of the first and of the second output, biases
    original = [0, 1, 2, 3, *(4, 5, 6, 7, 8, 9, 10, 11), *(12, 13, 14, 15, 16, 17, 18, 19), 20, 21]
    swapped = [1, 0, 3, 2, *(8, 9, 10, 11, 4, 5, 6, 7), *(16, 17, 18, 19, 12, 13, 14, 15), 20, 21]
    changed = apply("neuron-permutation", np.tile(np.float32(original), (20, 1)), network)
    assert {tuple(row) for row in changed.tolist()} == {tuple(original), tuple(swapped)}


def test_signs_do_not_pass_a_max_pool(images):
    """In the MNIST CNN only conv3 -> fc1 and fc1 -> fc2 have no max-pool between them."""
    weights, where = initialised(MNIST), spans(MNIST)
    changed = apply("tanh-sign-flip", weights, MNIST)
    for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "fc2.bias"):
        assert np.array_equal(changed[:, where[name]], weights[:, where[name]])
    for name in ("conv3.weight", "conv3.bias", "fc1.weight", "fc1.bias", "fc2.weight"):
        assert not np.array_equal(changed[:, where[name]], weights[:, where[name]])
    flipped = weights.copy()
    flipped[:, [*where["conv1.weight"], *where["conv1.bias"], *where["conv2.weight"]]] *= -1
    digits = images["mnist-zoo-tiny/seed"]
    difference = logits(MNIST, "tanh", flipped, digits) - logits(MNIST, "tanh", weights, digits)
    assert difference.abs().max() > 1e-2


def test_a_network_whose_neurons_are_all_pooled_has_no_sign_flip():
    network = Network("", (Conv("conv", 1, 2, 3), MaxPool(2), Activation(), Flatten(), Linear("fc", 8, 2)))
    names = {change.name for change in symmetry.perturbations_of(network)}
    assert set(symmetry.BY_NAME) - names == {"tanh-sign-flip"}


def test_a_network_without_biases_has_none_to_mix():
    names = {change.name for change in symmetry.perturbations_of(TETRIS)}
    assert set(symmetry.BY_NAME) - names == {
        "layer-permutation-mixed",
        "final-layer-permutation-mixed",
        "first-layers-permutation-mixed",
    }


@pytest.mark.parametrize(("zoo", "name"), [case for case in BREAKING if "permutation" in case[1]])
def test_values_stay_in_the_groups_that_are_permuted(zoo, name):
    where = spans(NETWORKS[zoo])
    final = list(where)[-1].split(".")[0]
    groups = {"unchanged": []}
    for tensor, positions in where.items():
        layer = tensor.split(".")[0]
        if name == "global-permutation":
            group = "all"
        elif (layer == final and name.startswith("first")) or (layer != final and name.startswith("final")):
            group = "unchanged"
        else:
            group = layer if name.endswith("-mixed") else tensor
        groups.setdefault(group, []).extend(positions)
    numbered = np.tile(np.arange(layout_of(NETWORKS[zoo]).size, dtype=np.float32), (5, 1))
    changed = apply(name, numbered, NETWORKS[zoo])
    assert np.array_equal(changed[:, groups["unchanged"]], numbered[:, groups.pop("unchanged")])
    for positions in groups.values():
        assert not np.array_equal(changed[:, positions], numbered[:, positions])
        assert np.array_equal(np.sort(changed[:, positions]), numbered[:, positions])
    left = [tensor for tensor, own in where.items() if not np.isin(changed[:, own], own).all()]
    assert bool(left) == (name == "global-permutation" or name.endswith("-mixed"))


@pytest.mark.parametrize("factor", ["0.001", "0.1", "2", "10", "100"])
def test_scales_multiply_everything_and_stay_finite(factor):
    weights = initialised(MNIST)
    np.testing.assert_allclose(apply(f"scale-{factor}", weights, MNIST), weights * float(factor), rtol=1e-6)
    largest = np.full((1, 2464), -3.4e38, dtype=np.float32)
    assert np.isfinite(apply(f"scale-{factor}", largest, MNIST)).all()
    assert np.isfinite(apply("relu-scaling", largest, MNIST)).all()


@pytest.mark.parametrize("name", symmetry.BY_NAME)
def test_blocks_of_rows_in_turn_give_what_all_rows_do(name):
    weights = initialised(MNIST, rows=7)
    rng = np.random.RandomState(5)
    parts = [symmetry.get(name).apply(part, MNIST, rng) for part in (weights[:2], weights[2:6], weights[6:])]
    assert np.array_equal(np.concatenate(parts), apply(name, weights, MNIST, seed=5))


@pytest.mark.parametrize("name", symmetry.BY_NAME)
def test_every_row_has_a_draw_of_its_own(name):
    same = np.repeat(initialised(MNIST, rows=1), 10, axis=0)
    distinct = len(np.unique(apply(name, same, MNIST), axis=0))
    assert distinct == (1 if name.startswith("scale-") else 10)


def test_all_orders_of_neurons_are_equally_likely():
    """The five hidden neurons of the Tetris MLP: 120 orders, told by their first weights."""
    weights = np.tile(np.arange(100, dtype=np.float32), (12_000, 1))
    first = apply("neuron-permutation", weights, TETRIS)[:, 0:80:16]
    orders, counts = np.unique(first, axis=0, return_counts=True)
    assert len(orders) == 120
    assert stats.chisquare(counts).pvalue > 0.01


def test_factors_are_log_uniform_and_signs_fair():
    weights = np.ones((2_000, 100), dtype=np.float32)
    scaled = apply("relu-scaling", weights, TETRIS)
    factors = scaled[:, 0:80:16].ravel()
    assert stats.kstest(np.log10(factors), stats.uniform(-1, 2).cdf).pvalue > 0.01
    np.testing.assert_allclose(scaled[:, 80:85] * scaled[:, 0:80:16], 1, rtol=1e-6)
    signs = apply("tanh-sign-flip", weights, TETRIS)[:, 0:80:16].ravel()
    assert stats.binomtest(int((signs == 1).sum()), len(signs)).pvalue > 0.01
    assert set(signs) == {-1, 1}


def test_an_unknown_perturbation_is_named():
    with pytest.raises(ZoobenchError, match="unknown perturbation 'relu-scalign'; did you mean 'relu-scaling'"):
        symmetry.get("relu-scalign")
