"""Which rows of a file are one run. Checkpoints of one run in two splits would be a leak, so what is not certain is
refused: with the rows that say so, and the way out.

A run is known by its name in the file. Where there is none, rows with equal hyperparameters and seed are one run, or a
new run starts where the epoch does not rise; the weights must then agree (``continuity``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from zoobench.errors import ZoobenchError
from zoobench.publishing.releases import Weights

from . import continuity

_FOLDER = r"^(?P<parent>.*?)(?P<name>NN_[^/\\#]*)"
_WAY_OUT = "import the raw NN_* folders, or a file that names the run of each row in `paths`"


def run_ids(path: Path, labels: pd.DataFrame, told: list[str], fetch: Weights) -> tuple[pd.Series, str]:
    """A run id per row, and how it was found.

    Args:
        path: the file, for messages.
        labels: ``epoch`` and ``block`` (part of the file) per row, ``run_id`` and the columns of ``told`` if known.
        told: hyperparameters, and the seed if it is there.
        fetch: weights of rows.

    Raises:
        ZoobenchError: a run has an epoch twice, or the weights do not agree, or nothing tells the runs apart.
    """
    if "run_id" in labels:
        named, how = _named(path, labels["run_id"])
        _check_epochs(path, named, labels["epoch"])
        if not labels.attrs.get("paths"):
            _check_weights(path, fetch, named, labels, told, how, compare_runs=False)
        return named, how
    by_seed = "seed" in told and not labels.duplicated([*told, "epoch"]).any()
    if by_seed:
        keys = labels[told].astype(str).agg("|".join, axis=1)
        numbers = {key: f"run-{number:05d}" for number, key in enumerate(sorted(keys.unique()), 1)}
        runs, how = keys.map(numbers), "The file names no runs: rows with equal hyperparameters and seed are one run."
    else:
        runs = _by_order(path, labels, told)
        how = "The file names neither runs nor seeds: a new run starts where the epoch does not rise."
    _check_weights(path, fetch, runs, labels, told, how, compare_runs=not by_seed)
    return runs, how


def _named(path: Path, names: pd.Series) -> tuple[pd.Series, str]:
    """Names without the folders before them, unless two runs differ in nothing else."""
    if names.isna().any():
        raise ZoobenchError(f"{path}: row {int(names.isna().to_numpy().argmax()):,} has no run; {_WAY_OUT}")
    texts = names.astype(str).str.rstrip("/\\")
    parts = texts.str.extract(_FOLDER)
    if parts["name"].isna().any():
        return texts, "`run_id` is the run's name in the file."
    whole = parts["parent"] + parts["name"]
    if whole.nunique() == parts["name"].nunique():
        return parts["name"], "`run_id` is the run's name in the file."
    folder = parts["parent"].str.rstrip("/\\").str.extract(r"([^/\\]*)$", expand=False)
    longer = folder + "/" + parts["name"]
    if longer.nunique() != whole.nunique():
        return whole, "`run_id` is the run's path in the file: names of runs come in several folders."
    return longer, "`run_id` is the run's folder and name in the file: names of runs come in several folders."


def _check_epochs(path: Path, runs: pd.Series, epochs: pd.Series) -> None:
    again = pd.DataFrame({"run": runs, "epoch": epochs})
    twice = again[again.duplicated(keep=False)]
    if twice.empty:
        return
    run, epoch = twice.iloc[0]
    rows = twice.index[(twice["run"] == run) & (twice["epoch"] == epoch)].tolist()
    raise ZoobenchError(
        f"{path}: rows {continuity.listed(rows)} are all epoch {epoch:g} of run {run} ({len(twice):,} rows are of an "
        f"epoch that their run has twice), so its runs are not certain; save it without the rows that repeat, or "
        f"{_WAY_OUT}"
    )


def _by_order(path: Path, labels: pd.DataFrame, told: list[str]) -> pd.Series:
    starts = (labels["epoch"].diff().fillna(-1) <= 0) | (labels["block"].diff().fillna(0) != 0)
    for name in told:
        starts |= labels[name].ne(labels[name].shift()) & ~(labels[name].isna() & labels[name].shift().isna())
    number = starts.cumsum()
    if number.value_counts().median() < 2:
        raise ZoobenchError(
            f"{path} does not tell its runs apart: it names neither runs nor seeds, and its rows are not in the order "
            f"of epochs; a split by run needs one of them: {_WAY_OUT}"
        )
    return number.map("run-{:05d}".format)


def _check_weights(
    path: Path, fetch: Weights, runs: pd.Series, labels: pd.DataFrame, told: list[str], how: str, *, compare_runs: bool
) -> None:
    codes, epochs = pd.factorize(runs)[0], labels["epoch"].to_numpy()
    if found := continuity.jumps(fetch, codes, epochs):
        pairs = [f"{first} and {second}" for first, second in found]
        raise ZoobenchError(
            f"{path}: rows {continuity.listed(pairs)} should be consecutive checkpoints of one run, but their weights "
            f"are as far apart as those of two runs, so its runs are not certain ({how.rstrip('.')}); {_WAY_OUT}"
        )
    alike = pd.factorize(labels[told].astype(str).agg("|".join, axis=1))[0] if told else np.zeros(len(labels), int)
    if compare_runs and (pair := continuity.continued(fetch, codes, epochs, alike)):
        raise ZoobenchError(
            f"{path}: row {pair[1]} should begin a run, but its weights go on from row {pair[0]}, so its runs are not "
            f"certain ({how.rstrip('.')}); {_WAY_OUT}"
        )
