"""How long it takes to score predictions: every regression metric with its interval, against scipy in a loop.

    python -m benchmarks.bench scoring

40,000 rows of 4,445 runs x 12 regression tasks: R², MSE, MAE, τ-b and ρ, each also without 200 groups of runs. Targets
tie as accuracies on 10,000 images do; runs have nine checkpoints. The alternative is ``scipy.stats.kendalltau`` and
``spearmanr`` alone, on the rows that are left, timed for five groups and multiplied, one core.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.stats import kendalltau, spearmanr
from threadpoolctl import threadpool_limits

from zoobench.scoring import metrics
from zoobench.scoring.jackknife import Jackknife
from zoobench.scoring.sample import Sample

from .measured import Measurement, rate_of, taking_turns

_CHECKPOINTS = 9
_TIMED = 5
_TASKS = 12


def sample(rows: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    target = np.round(rng.uniform(size=rows), 4)
    return Sample(target, target + 0.2 * rng.normal(size=rows), np.arange(rows) // _CHECKPOINTS)


def estimate_all(data: Sample, jackknife: Jackknife) -> None:
    for metric in metrics.metrics_of(metrics.REGRESSION):
        metrics.estimate(metric, data, jackknife)


def loop_seconds(data: Sample, jackknife: Jackknife) -> float:
    """Seconds of one task by scipy."""
    start = time.perf_counter()
    for counts in jackknife.counts(data.runs)[1 : 1 + _TIMED]:
        left = counts[data.run] > 0
        kendalltau(data.target[left], data.prediction[left])
        spearmanr(data.target[left], data.prediction[left])
    return (time.perf_counter() - start) / _TIMED * jackknife.groups


def measurements(quick: bool) -> Iterator[Measurement]:
    rows, tasks = (4_000, 2) if quick else (40_000, _TASKS)
    jackknife = Jackknife()
    samples = [sample(rows, seed) for seed in range(tasks)]

    def ours() -> None:
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda data: estimate_all(data, jackknife), samples))

    weights = jackknife.counts(samples[0].runs)[:, samples[0].run].astype(np.int32)
    rates = taking_turns(
        {"ours": rate_of(ours, tasks), "loop": lambda: 1 / loop_seconds(samples[0], jackknife)}, 1 if quick else 3
    )
    once = max(rate_of(weights.sum, 1)() for _ in range(5))
    yield Measurement(
        f"scoring {rows:,} rows, {jackknife.groups:,} groups of runs left out: R², MSE, MAE, τ-b, ρ",
        "tasks/s",
        rates["ours"],
        "`scipy.stats.kendalltau`, `spearmanr` on the rows left",
        rates["loop"],
        "one sum over rows x groups",
        once,
        ratio_goal=20,
        rate_goal=_TASKS / 10,
        guard=5,
    )
