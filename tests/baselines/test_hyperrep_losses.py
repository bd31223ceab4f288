import math

import numpy as np
import pytest
import torch

from zoobench_baselines.hyperrep import losses

from .test_hyperrep import weights


def test_nt_xent_is_equation_2_written_out():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 7, 5))
    views, temperature = np.concatenate([first, second]), 0.3

    def similarity(a, b):
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    terms = []
    for i, j in [*((k, k + 7) for k in range(7)), *((k + 7, k) for k in range(7))]:
        others = sum(math.exp(similarity(views[i], views[k]) / temperature) for k in range(14) if k != i)
        terms.append(-math.log(math.exp(similarity(views[i], views[j]) / temperature) / others))
    found = losses.contrast(torch.from_numpy(first), torch.from_numpy(second), temperature)
    assert found.item() == pytest.approx(np.mean(terms), rel=1e-6)


def test_positive_contrast_is_equation_3_written_out():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 7, 5))
    terms = [
        -math.log(math.exp(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) / 0.3)
        for a, b in zip(first, second, strict=True)
    ]
    found = losses.positive_contrast(torch.from_numpy(first), torch.from_numpy(second), 0.3)
    assert found.item() == pytest.approx(np.mean(terms), rel=1e-6)


def test_the_positive_contrast_of_the_code_is_the_mean_squared_error_of_the_similarities_to_0():
    """Both directions of every pair, by ``MSELoss(reduction="mean")``, then divided by the number of views."""
    rng = np.random.default_rng(0)
    first, second = torch.from_numpy(rng.normal(size=(2, 7, 5)))
    similarity = torch.nn.CosineSimilarity(dim=1)
    positive = torch.cat([similarity(first, second), similarity(second, first)]) / 0.3
    expected = torch.nn.MSELoss(reduction="mean")(positive, torch.zeros(14)) / 14
    assert losses.orthogonal_views(first, second, 0.3).item() == pytest.approx(expected.item(), rel=1e-6)


def test_reconstruction_is_a_sum_over_weights_in_the_paper_and_a_mean_in_the_code():
    one, other = weights("mnist-zoo/seed", 6), weights("mnist-zoo/seed", 6, 1)
    norms = [np.linalg.norm(a - b) ** 2 for a, b in zip(one.numpy(), other.numpy(), strict=True)]
    found = {name: how.reconstruction(one, other).item() for name, how in losses.OBJECTIVES.items()}
    assert found["paper"] == pytest.approx(np.mean(norms), rel=1e-5)
    assert found["code"] == pytest.approx(torch.nn.MSELoss()(other, one).item(), rel=1e-5)
    assert found["paper"] == pytest.approx(2464 * found["code"], rel=1e-5)
