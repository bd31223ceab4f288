"""How much predictions change when the networks are perturbed: Unterthiner 2020, Table 9, for every task."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..data.hub import Store
from ..errors import ZoobenchError
from ..weightspace import symmetry
from . import metrics, tasks
from .jackknife import Jackknife
from .joining import Joined, positions, values_of
from .methods import Method
from .metrics import REGRESSION
from .predictions import Group, Predictions
from .results import Change, Score
from .sample import Sample
from .scores import given, score_of


def check(perturbed: Predictions, methods: Sequence[Method]) -> None:
    """Refuse predictions of perturbed networks that there is nothing to hold against.

    Raises:
        ZoobenchError: an unknown perturbation, zoos or tasks that the predictions themselves are not about, or
            several seeds.
    """
    if any(method.seeds for method in methods):
        raise ZoobenchError(f"{perturbed.source} can be held against the predictions of one seed, not of several")
    known = {
        (group.zoo.id, group.trained_on.id, task)
        for method in methods
        for (group,) in method.groups
        for task in method.files[0].task_names
    }
    for group in perturbed.groups:
        symmetry.get(str(group.perturbation))
        for task in perturbed.task_names:
            if (group.zoo.id, group.trained_on.id, task) not in known:
                raise ZoobenchError(
                    f"{perturbed.source} predicts {task} of {group.zoo.id}, trained on {group.trained_on.id}, which "
                    "the predictions to hold it against do not"
                )


def changes(perturbed: Predictions, group: Group, joined: Joined, store: Store, jackknife: Jackknife) -> list[Change]:
    """Mean absolute changes by perturbation, over those perturbed networks that are scored.

    Args:
        perturbed: predictions of perturbed networks: any of the test split's, each at most once per perturbation.
        group: what is scored.
        joined: the predictions of the networks themselves.
        store: where labels are found.
        jackknife: how intervals are made.

    Raises:
        ZoobenchError: ids that are repeated or not of the test split, or an unknown class.
    """
    found = []
    for other in perturbed.groups:
        if (other.zoo, other.trained_on) != (group.zoo, group.trained_on):
            continue
        position = positions(perturbed, other, joined.chosen, store)
        rows, position = other.rows[position >= 0], position[position >= 0]
        if not len(rows):
            continue
        run, runs = pd.factorize(joined.labels["run_id"].iloc[position])
        by_task = {}
        for name in (task for task in perturbed.task_names if task in joined.samples):
            after = values_of(perturbed, other.zoo, name, rows, joined.classes.get(name))
            by_task[name] = _change(name, Sample(joined.samples[name].prediction[position], after, run), jackknife)
        found.append(
            Change(
                perturbation=str(other.perturbation),
                preserves=symmetry.get(str(other.perturbation)).preserves,
                rows=len(rows),
                runs=len(runs),
                predictions_sha256=perturbed.sha256,
                changes=by_task,
            )
        )
    return found


def _change(name: str, before_and_after: Sample, jackknife: Jackknife) -> Score:
    runs = before_and_after.runs
    metric = metrics.BY_NAME["mae" if tasks.get(name).kind == REGRESSION else "accuracy"]
    values = metric.compute(before_and_after, jackknife.counts(runs))[None]
    if metric.share:
        return given(1 - float(values[0, 0]), jackknife.share_interval(1 - values, runs))
    return score_of(metric, values, runs, jackknife, "the value is not finite")
