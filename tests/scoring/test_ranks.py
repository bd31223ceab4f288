"""The compiled loops against literal ones, and where their batches and their cache end."""

import os
import subprocess
import sys

import numpy as np
import pytest

from zoobench.scoring import ranks
from zoobench.scoring.rank_loops import falling_pairs, pairs_within
from zoobench.scoring.sample import Sample


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_falling_pairs_are_those_of_a_loop_over_pairs(rng):
    place, run, weights = rng.permutation(60), rng.integers(7, size=60), rng.integers(4, size=(7, 5)).astype(np.int32)
    expected = np.zeros(5, np.int64)
    for j in range(60):
        for i in range(j):
            if place[i] > place[j]:
                expected += weights[run[i]].astype(np.int64) * weights[run[j]]
    assert falling_pairs(place, run, weights).tolist() == expected.tolist()


def test_pairs_within_groups_are_those_of_a_loop_over_pairs(rng):
    run, weights = rng.integers(7, size=30), rng.integers(4, size=(7, 5)).astype(np.int32)
    starts = np.array([0, 1, 9, 10, 30])
    group = np.repeat(np.arange(4), np.diff(starts))
    expected = sum(
        weights[run[i]].astype(np.int64) * weights[run[j]] for i in range(30) for j in range(30) if group[i] == group[j]
    )
    assert pairs_within(run, starts, weights).tolist() == expected.tolist()


def test_pairs_are_counted_beyond_32_bits():
    many = np.full((1, 1), 70_000, np.int32)
    assert pairs_within(np.zeros(2, np.int64), np.array([0, 2]), many).tolist() == [140_000**2]
    assert falling_pairs(np.array([1, 0]), np.zeros(2, np.int64), many).tolist() == [70_000**2]


@pytest.mark.parametrize("compute", [ranks.kendall_tau_b, ranks.spearman])
@pytest.mark.parametrize("resamples", [1, 31, 33, 200])
def test_resamples_score_together_as_each_alone(compute, resamples, rng):
    target = np.round(rng.normal(size=500), 1)
    data = Sample(target, target + rng.normal(size=500), np.arange(500) % 20)
    counts = rng.multinomial(20, np.full(20, 1 / 20), size=resamples).astype(float)
    alone = [compute(data, counts[i : i + 1])[0] for i in range(resamples)]
    assert compute(data, counts).tolist() == alone


def test_where_no_cache_can_be_kept_ranks_are_computed_all_the_same(tmp_path):
    """Numba keeps what it compiled beside the source or in the user's cache; here it may do neither."""
    code = (
        "import numba.core.caching as caching; caching.CacheImpl._locator_classes = []; "
        "import numpy as np; from zoobench.scoring import ranks; from zoobench.scoring.sample import Sample; "
        "values = np.arange(4.0); print(ranks.spearman(Sample(values, values, np.arange(4)), np.ones((1, 4))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[1.]\n"


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_cache_that_is_not_whole_is_not_used_and_that_is_said_once(kind, tmp_path):
    """Numba keeps an index (nbi) and compiled code (nbc) as pickles."""
    code = (
        "import numpy as np; from zoobench.scoring import ranks; from zoobench.scoring.sample import Sample; "
        "values = np.arange(4.0); print(ranks.spearman(Sample(values, values, np.arange(4)), np.ones((1, 4))))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def run():
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    run()
    spoilt = list(tmp_path.rglob(f"*.{kind}"))
    assert spoilt
    for path in spoilt:
        path.write_bytes(path.read_bytes()[:40])
    done = run()
    assert done.stdout == "[1.]\n"
    assert done.stderr.count("the cache of Numba cannot be used") == 1
