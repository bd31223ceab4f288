"""How long it takes to score predictions: every regression metric with its interval, against scipy in a loop.

    python benchmarks/scoring.py [--rows 40000] [--tasks 12] [--resamples 1000]

Targets tie as accuracies on 10,000 images do; runs have nine checkpoints. ``loop`` is ``scipy.stats.kendalltau`` and
``spearmanr`` on resamples whose rows are really repeated, timed for a few and multiplied.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.stats import kendalltau, spearmanr
from threadpoolctl import threadpool_limits

from zoobench import metrics
from zoobench.resampling import Bootstrap, Sample

_CHECKPOINTS = 9
_TIMED = 5


def sample(rows: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    target = np.round(rng.uniform(size=rows), 4)
    return Sample(target, target + 0.2 * rng.normal(size=rows), np.arange(rows) // _CHECKPOINTS)


def loop_seconds(data: Sample, bootstrap: Bootstrap) -> float:
    """Seconds of one task by scipy."""
    rows_of = [np.flatnonzero(data.run == run) for run in range(data.runs)]
    start = time.perf_counter()
    for counts in bootstrap.counts(data.runs)[:_TIMED]:
        drawn = np.concatenate([rows_of[run] for run in np.repeat(np.arange(data.runs), counts.astype(int))])
        kendalltau(data.target[drawn], data.prediction[drawn])
        spearmanr(data.target[drawn], data.prediction[drawn])
    return (time.perf_counter() - start) / _TIMED * bootstrap.resamples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    bootstrap = Bootstrap(resamples=arguments.resamples)
    samples = [sample(arguments.rows, seed) for seed in range(arguments.tasks)]

    def score(data: Sample) -> None:
        for metric in metrics.metrics_of(metrics.REGRESSION):
            metrics.estimate(metric, data, bootstrap)

    start = time.perf_counter()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(2) as pool:
        list(pool.map(score, samples))
    seconds = time.perf_counter() - start
    loop = loop_seconds(samples[0], bootstrap) * arguments.tasks
    print(
        json.dumps(
            {
                "rows": arguments.rows,
                "tasks": arguments.tasks,
                "resamples": arguments.resamples,
                "seconds": round(seconds, 1),
                "loop_seconds": round(loop),
                "ratio": round(loop / seconds, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
