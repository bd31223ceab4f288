"""What is scored: targets and predictions of checkpoints, and the runs that these are of."""

from __future__ import annotations

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
