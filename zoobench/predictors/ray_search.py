"""Trials of a search as Ray tasks of one CPU core each, and of a share of a GPU where there are any."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import ray

from ..ray_tasks import RETRIES, explained, finished, session
from .judge import Create, Parameters, judge
from .predictor import Examples


@ray.remote(max_retries=RETRIES)
def _trial(create: Create, parameters: Parameters, train: Examples, validation: Examples) -> dict[str, float]:
    # Ray's arrays are read-only views of shared memory; folds of the train rows are copies anyway.
    return judge(create, parameters, train, validation.take(np.arange(len(validation.weights))))


def judged(
    create: Create, trials: Mapping[int, Parameters], train: Examples, validation: Examples, workers: int | None
) -> Iterator[tuple[int, dict[str, float]]]:
    """Judge parameters, ``workers`` at a time; a task whose worker dies is done again, up to three times."""
    with session(workers):
        resources = ray.cluster_resources()
        at_a_time = workers or int(resources["CPU"])
        task = _trial.options(num_cpus=1, num_gpus=min(1.0, resources.get("GPU", 0.0) / at_a_time))
        shared = ray.put(train), ray.put(validation)
        jobs: dict[int, Callable[[], ray.ObjectRef]] = {
            number: functools.partial(task.remote, create, parameters, *shared) for number, parameters in trials.items()
        }
        with (
            explained("with --storage, finished trials are kept; fewer --workers need less memory"),
            contextlib.closing(finished(jobs, at_a_time)) as ended,
        ):
            yield from ended
