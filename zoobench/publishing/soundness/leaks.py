"""Networks that lie in two splits under two names: predictors that saw one know the other.

Equal weights of trained networks are copies, wherever they lie. Weights that are nearly equal are one run under two
names: they lie about as far apart as consecutive checkpoints do, much nearer than other networks of the zoo. Runs can
begin alike by design, and so can those of one seed that differ in a hyperparameter: the first is worth knowing, and
the second is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from .networks import Networks
from .report import HYPERPARAMETERS, Report, Subject, listed

_STEPS = 2.0  # as far apart as so many steps of training
_NEAR = 0.25  # of the distance to other networks, and of the weights' own size
_CHUNK = 512
_FEWEST = 4  # runs that tell what is far


def ends(labels: pd.DataFrame) -> pd.DataFrame:
    """Numbers of the rows at both ends of each run's training: first, second, last but one and last checkpoint.

    Untrained networks do not count. Indexed by run; a run of one checkpoint has it four times.
    """
    trained = labels[labels["epoch"] > 0].sort_values(["run_id", "epoch"], kind="stable")
    numbers = trained.index.to_series().groupby(trained["run_id"])
    first, last = numbers.nth(0), numbers.nth(-1)
    found = pd.DataFrame({"first": first.to_numpy(), "last": last.to_numpy()}, trained["run_id"][first.index])
    for name, place, otherwise in (("second", 1, "first"), ("last_but_one", -2, "last")):
        there = numbers.nth(place)
        found[name] = pd.Series(there.to_numpy(), trained["run_id"][there.index]).reindex(found.index)
        found[name] = found[name].fillna(found[otherwise]).astype(np.int64)
    return found


def check(subject: Subject, labels: pd.DataFrame, ends: pd.DataFrame, networks: Networks, report: Report) -> None:
    """Compare all networks with each other."""
    if not networks.finite.all():
        first = labels["example_id"][int(np.argmin(networks.finite))]
        report.problem(f"{first}: weights are not finite; those of {(~networks.finite).sum():,} rows are not")
        return
    _copies(subject, labels, networks, report)
    _beginnings(subject, labels, ends, networks, report)
    _continued(subject, labels, ends, networks, report)


def _copies(subject: Subject, labels: pd.DataFrame, networks: Networks, report: Report) -> None:
    found = labels[["example_id", "run_id", "epoch", "split"]].assign(
        weights=pd.Series(networks.fingerprints, labels.index, dtype=object)
    )
    found = found[found["weights"].notna()]
    at_start = found[found["epoch"] == 0]
    beginnings = set(zip(at_start["run_id"], at_start["weights"], strict=True))
    untrained = [pair in beginnings for pair in zip(found["run_id"], found["weights"], strict=True)]
    _equal(subject, found[~np.array(untrained, bool)], report)
    groups = at_start.groupby("weights")["split"]
    shared = at_start[groups.transform("nunique") > 1]
    if len(shared):
        tested = shared[shared["split"] != "train"]["run_id"].nunique()
        report.notes.append(
            f"{subject.name}: {tested:,} validation and test runs begin with the weights of a run of another split"
        )


def _equal(subject: Subject, trained: pd.DataFrame, report: Report) -> None:
    """Trained networks of several runs with equal weights."""
    groups = trained.groupby("weights")
    again = trained[groups["run_id"].transform("nunique") > 1]
    if again.empty:
        return
    across = again[again.groupby("weights")["split"].transform("nunique") > 1]
    shown = across if len(across) else again
    first = shown[shown["weights"] == shown["weights"].iloc[0]].drop_duplicates("run_id").head(2)
    pair = " and ".join(f"{name} ({split})" for name, split in zip(first["example_id"], first["split"], strict=True))
    report.problem(
        f"{subject.name}: {pair} are the same network; {len(again):,} trained checkpoints of "
        f"{again['run_id'].nunique():,} runs come again in other runs, {len(across):,} of them in another split"
    )


def _beginnings(subject: Subject, labels: pd.DataFrame, ends: pd.DataFrame, networks: Networks, report: Report) -> None:
    """How many test runs are, at their first checkpoint, near a train run: they have begun with the same weights."""
    first = ends["first"].to_numpy()
    first = first[[networks.fingerprints[row] is not None for row in first]]
    split = labels["split"].to_numpy()[first]
    tested, known = first[split == "test"], first[split == "train"]
    if not len(tested) or len(known) < _FEWEST:
        return
    at = np.stack([networks.sketches[row] for row in known])
    ratios = []
    for row in tested:
        apart = np.linalg.norm(at - networks.sketches[row], axis=1)
        ratios.append(apart.min() / np.median(apart) if np.median(apart) else 0.0)
    near = int((np.array(ratios) <= _NEAR).sum())
    if near:
        report.notes.append(
            f"{subject.name}: {near:,} of {len(tested):,} test runs are near a train run at their first checkpoint "
            f"(the nearest at {np.median(ratios):.2g} of the usual distance, in the median): they began alike"
        )


def _continued(subject: Subject, labels: pd.DataFrame, ends: pd.DataFrame, networks: Networks, report: Report) -> None:
    """Runs whose networks go on from another run's, or lie between them."""
    ends = ends[[networks.fingerprints[first] is not None for first in ends["first"]]]
    ends = ends[[networks.fingerprints[last] is not None for last in ends["last"]]]
    if len(ends) < _FEWEST:
        return
    at = {name: np.stack([networks.sketches[row] for row in ends[name]]) for name in ends}
    first, last = at["first"], at["last"]
    steps_in = np.linalg.norm(at["second"] - first, axis=1)
    steps_out = np.linalg.norm(last - at["last_but_one"], axis=1)
    runs = labels.loc[ends["first"]]
    alike = runs.groupby(list(HYPERPARAMETERS), dropna=False).ngroup().to_numpy()
    seeds = runs["seed"].to_numpy(np.float64, na_value=np.nan)
    comparable = _Comparable(alike, seeds, (ends["first"] == ends["last"]).to_numpy())
    pairs = set()
    for here, there, step_here, step_there in (
        (last, first, steps_out, steps_in),
        (last, last, steps_out, steps_out),
        (first, first, steps_in, steps_in),
    ):
        pairs |= {tuple(sorted(pair)) for pair in _near(here, there, step_here, step_there, comparable)}
    names = [
        f"{ends.index[a]} ({runs['split'].iloc[a]}) and {ends.index[b]} ({runs['split'].iloc[b]})"
        for a, b in sorted(pairs)
    ]
    if names:
        report.problem(
            f"{subject.name}: {len(names):,} pairs of runs are so near each other that they are one run under two "
            f"names: {listed(names)}"
        )


class _Comparable:
    """Which runs can be told apart: those of one configuration, and those of different seeds."""

    def __init__(self, alike: np.ndarray, seeds: np.ndarray, single: np.ndarray) -> None:
        self.alike, self.seeds, self.single = alike, seeds, single

    def __call__(self, part: slice) -> np.ndarray:
        """(part, runs) bool."""
        known = ~np.isnan(self.seeds)
        alike = self.alike[part, None] == self.alike
        apart = (self.seeds[part, None] != self.seeds) & known[part, None] & known
        pairs = alike | apart
        pairs[np.arange(len(pairs)), np.arange(part.start, part.start + len(pairs))] = False
        return pairs

    @property
    def any(self) -> bool:
        return len(np.unique(self.alike)) < len(self.alike) or len(np.unique(self.seeds[~np.isnan(self.seeds)])) > 1


def _near(
    here: np.ndarray, there: np.ndarray, step_here: np.ndarray, step_there: np.ndarray, comparable: _Comparable
) -> Iterator[tuple[int, int]]:
    """Pairs of runs whose networks (runs, sketch) are as near as steps of training, and far nearer than others."""
    if not comparable.any:
        return
    sizes = np.linalg.norm(here, axis=1), np.linalg.norm(there, axis=1)
    for start in range(0, len(here), _CHUNK):
        part = slice(start, start + _CHUNK)
        squares = sizes[0][part, None] ** 2 + sizes[1] ** 2 - 2 * here[part] @ there.T
        apart = np.sqrt(np.maximum(squares, 0))
        pairs = comparable(part)
        usual = np.median(apart, axis=1, keepdims=True)
        small = np.minimum(usual, np.minimum(sizes[0][part, None], sizes[1]))
        steps = np.maximum(step_here[part, None], step_there)
        steps = np.where(comparable.single[part, None] | comparable.single, np.inf, _STEPS * steps)
        for row, column in np.argwhere(pairs & (apart <= _NEAR * small) & (apart <= steps)).tolist():
            yield start + row, column
