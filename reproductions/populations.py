"""Populations that are trained for a reproduction alone, and are no zoos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from zoobench.building.chunks import chunk_table
from zoobench.training.images import Images
from zoobench.training.population import train
from zoobench.zoos.runs import Run
from zoobench.zoos.spec import ZooSpec


def population(
    spec: ZooSpec, runs: Sequence[Run], images: Images, checkpoints: Sequence[int]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Weights (rows, N) and labels of the runs that did not diverge."""
    table, _ = chunk_table(spec, runs, list(train(spec.network, runs, images, checkpoints)))
    weights = table["weights"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    return weights, table.drop_columns("weights").to_pandas()
