import math

import numpy as np
import pytest
import torch
from torch import nn

from zoobench.training.images import load_images
from zoobench.training.nets import module
from zoobench.zoos import resolve
from zoobench_baselines.hyperrep.augment import ERASED, Augmentation

from .test_hyperrep import ZOOS, layout, weights


@pytest.mark.parametrize("zoo", ZOOS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_permuted_networks_compute_the_same_on_real_images(zoo, activation, all_images):
    """Through convolutions, pooling and flattening; the neurons of every hidden layer stand elsewhere."""
    tiny = resolve(zoo.replace("/", "-tiny/"))
    images = torch.from_numpy(load_images(tiny.spec, tiny.size, all_images).test_images[:8])
    torch.manual_seed(0)
    networks = [module(tiny.spec.network, activation) for _ in range(3)]
    original = torch.stack([2 * nn.utils.parameters_to_vector(network.parameters()).detach() for network in networks])
    permuted = Augmentation(layout(zoo), permute=True, erase=0, noise=0)(original)
    assert torch.equal(permuted.sort(dim=1).values, original.sort(dim=1).values)
    for layer in layout(zoo).layers[:-1]:
        assert not torch.equal(permuted[:, layer.index.ravel()], original[:, layer.index.ravel()])
    with torch.inference_mode():
        expected, found = (
            torch.stack([module(tiny.spec.network, activation, row.numpy()).eval()(images) for row in rows])
            for rows in (original, permuted)
        )
    assert (expected.std(dim=1).amax(dim=1) > 1e-3).all(), "images must matter for the test to mean something"
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.std()))


def test_permutations_are_uniform_and_drawn_for_each_network_alone():
    """The first of the five hidden neurons of Tetris goes to each place equally often."""
    zoo = layout("tetris-zoo/seed")
    original = weights("tetris-zoo/seed", 1).repeat(2000, 1)
    torch.manual_seed(0)
    permuted = Augmentation(zoo, permute=True, erase=0, noise=0)(original)
    neuron = original[0, zoo.layers[0].index[0]]
    places = [(permuted[:, index] == neuron).all(dim=1) for index in zoo.layers[0].index]
    counts = torch.stack(places).sum(dim=1)
    assert counts.sum() == 2000
    assert ((counts - 400).abs() < 5 * math.sqrt(320)).all()


def test_erasing_takes_one_block_with_its_probability():
    zoo = layout("mnist-zoo/seed")
    torch.manual_seed(0)
    views = Augmentation(zoo, permute=False, erase=0.5, noise=0)(torch.ones(2000, zoo.size))
    erased = (views == 0).numpy()
    hit = erased.any(axis=1)
    assert 0.45 < hit.mean() < 0.55
    edges = np.abs(np.diff(np.pad(erased[hit].astype(int), ((0, 0), (1, 1))), axis=1)).sum(axis=1)
    assert (edges == 2).all()
    share = erased[hit].mean(axis=1)
    assert share.min() == pytest.approx(ERASED[0], abs=0.01)
    assert share.max() == pytest.approx(ERASED[1], abs=0.01)
    assert share.mean() == pytest.approx(np.mean(ERASED), abs=0.01)


def test_noise_has_its_deviation():
    views = Augmentation(layout("mnist-zoo/seed"), permute=False, erase=0, noise=0.05)(torch.zeros(50, 2464))
    assert views.std().item() == pytest.approx(0.05, rel=0.02)
