"""Bootstrap over runs: what is scored, and how often each run occurs in each resample.

Checkpoints of one run are not independent, so runs are what is resampled.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Sample:
    """Targets and predictions (n,), and the run of each row as an index 0 ... runs - 1.

    Values are float64 in regression; in classification they are class numbers, int64 from 0.
    """

    target: np.ndarray
    prediction: np.ndarray
    run: np.ndarray

    @cached_property
    def runs(self) -> int:
        return int(self.run.max()) + 1

    def sum_by_run(self, values: np.ndarray) -> np.ndarray:
        """Sum of ``values`` (n,) per run: (runs,)."""
        return np.bincount(self.run, weights=values, minlength=self.runs)


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: percentile bootstrap over runs. Stamped into results."""

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0

    def counts(self, runs: int) -> np.ndarray:
        """(resamples, runs) float64, read-only: how often each run is drawn."""
        return self.all_and_counts(runs)[1:]

    def interval(self, resampled: np.ndarray) -> tuple[float, float]:
        """Quantiles of a statistic over resamples (resamples,), of those where it is defined; NaN where it never is."""
        defined = resampled[np.isfinite(resampled)]
        if not len(defined):
            return float("nan"), float("nan")
        tail = (1 - self.level) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        return float(low), float(high)

    def over_seeds(self, values: np.ndarray) -> np.ndarray:
        """The mean over seeds of one method, resampling them together with the runs.

        Seeds and runs are crossed: every seed predicts every run. A resample of S seeds deviates from their mean by a
        variance that is (S - 1) / S of what S independent seeds have, so its deviation is scaled up.

        Args:
            values: (seeds, 1 + resamples), each seed's statistic on the runs and on their resamples.

        Returns:
            (1 + resamples,).
        """
        seeds = len(values)
        mean: np.ndarray = values.mean(axis=0)
        if seeds == 1:
            return mean
        rng = np.random.RandomState([self.seed, seeds])
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=values.shape[1] - 1) / seeds
        deviation = np.einsum("bs,sb->b", drawn, values[:, 1:]) - mean[1:]
        mean[1:] += np.sqrt(seeds / (seeds - 1)) * deviation
        return mean

    def all_and_counts(self, runs: int) -> np.ndarray:
        """(1 + resamples, runs): every run once, then the resamples."""
        return _all_and_counts(self, runs)


@functools.lru_cache(maxsize=2)
def _all_and_counts(bootstrap: Bootstrap, runs: int) -> np.ndarray:
    # RandomState's streams are frozen by NumPy's policy (NEP 19), so that intervals can be recomputed to the digit.
    rng = np.random.RandomState(bootstrap.seed)
    counts = np.ones((1 + bootstrap.resamples, runs))
    counts[1:] = rng.multinomial(runs, np.full(runs, 1 / runs), size=bootstrap.resamples)
    counts.flags.writeable = False
    return counts
