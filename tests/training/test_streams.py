import numpy as np
import pytest
import torch
from scipy import stats

from zoobench.training import streams

SEEDS = torch.arange(1, 2001, dtype=torch.int64)


def test_the_finaliser_is_splitmix64():
    # The first outputs of SplitMix64 for seed 1234567, as published with the reference implementation.
    golden = streams._GOLDEN
    states = torch.tensor([1234567], dtype=torch.int64) + torch.arange(1, 6, dtype=torch.int64) * golden
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert streams._mix(states).numpy().astype(np.uint64).tolist() == expected


def test_draws_are_uniform_and_uncorrelated_between_runs_purposes_and_counters():
    draws = streams.uniform(SEEDS, "a", 0, 100).numpy()
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-3
    for other in (
        streams.uniform(SEEDS, "b", 0, 100).numpy(),
        streams.uniform(SEEDS, "a", 1, 100).numpy(),
        streams.uniform(SEEDS + 1, "a", 0, 100).numpy(),
        np.roll(draws, 1, axis=1),
    ):
        assert abs(np.corrcoef(draws.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(draws.size)


def test_a_run_draws_the_same_whatever_else_is_in_the_chunk():
    together = streams.uniform(SEEDS, "init", 3, 50)
    assert torch.equal(streams.uniform(SEEDS[[41]], "init", 3, 50)[0], together[41])


@pytest.mark.parametrize("count", [1, 2, 97, 1000])
def test_a_permutation_has_every_index_once(count):
    order = streams.permutation(SEEDS[:20], "order", 7, count)
    assert torch.equal(order.sort(dim=1).values, torch.arange(count).expand(20, -1))


def test_permutations_put_every_index_everywhere_equally_often():
    order = streams.permutation(SEEDS, "order", 1, 5).numpy()
    counts = np.array([np.bincount(order[:, place], minlength=5) for place in range(5)])
    assert stats.chisquare(counts.ravel(), np.full(25, len(SEEDS) / 5)).pvalue > 1e-3
