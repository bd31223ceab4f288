"""Importing an original release: its checkpoints become a config of a dataset folder, as a build's do.

A reader (one per format, in ``dataset_scripts/``) says what a release holds: labels, one row per checkpoint in the
order of its files, and a function that fetches the weights of any rows in layout order. Here the rows are checked,
sorted by run and epoch, and written in parts of bounded size; ``writing`` does the rest. A run with a row that cannot
be used is dropped whole and listed in the manifest, unless a named protocol takes other rows of it, all of them good:
then the row alone is left out, and a note says so. What makes a whole file doubtful is an error, and nothing is
written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from ..data import manifest, schema, shards
from ..data.folder import DatasetFolder, Places
from ..errors import ZoobenchError
from ..files import beside
from ..zoos import Zoo
from ..zoos.layout import layout_of
from ..zoos.runs import config_id
from ..zoos.spec import Hyperparameters
from ..zoos.splits import fold_of
from .release_checks import (
    HYPERPARAMETERS,
    check_no_copies,
    check_not_twice,
    check_splits,
    check_zoo,
    in_range,
)
from .soundness.networks import fingerprint
from .writing import check_target, write_config

_PART_BYTES = 64_000_000
# Of checkpoints that are left out, in a note.
_NAMED = 20

Weights = Callable[[np.ndarray], np.ndarray]
OnRows = Callable[[int, int], None]


@dataclass(frozen=True)
class Release:
    """What a reader found.

    Attributes:
        zoo: which zoo it is a release of.
        entry: the files and what they do not say.
        labels: one row per checkpoint. ``run_id``, ``epoch`` and ``test_accuracy`` must be there; other columns of a
            row may be. What a release does not tell is absent or NaN.
        weights: takes row positions (n,), gives their weights (n, N) float32 in layout order.
        dropped: runs that the reader could not read, and why.
        protocols: name -> frame with the columns ``row`` (position) and ``split``.
    """

    zoo: Zoo
    entry: manifest.ReleaseEntry
    labels: pd.DataFrame
    weights: Weights
    dropped: Sequence[manifest.DroppedRun] = ()
    protocols: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@contextlib.contextmanager
def work_folder(out: Path, name: str) -> Iterator[Path]:
    """A hidden folder below ``out``, gone afterwards; so is ``out`` if it was made for this and is still empty.

    Raises:
        ZoobenchError: for an OSError inside the ``with`` block: a full disk, a folder that cannot be written.
    """
    made = [path for path in (out, *out.parents) if not path.exists()]
    try:
        with beside(out / f"{name}-import") as work:
            yield work
    except OSError as error:
        raise ZoobenchError(f"cannot read or write {error.filename or out}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()


def write_release(
    release: Release, out: Path, work: Path, on_rows: OnRows | None = None, *, replace: bool = False
) -> tuple[Path, manifest.ConfigManifest]:
    """Write a release as a config of the dataset folder ``out/<repo>``; other configs there stay.

    Args:
        release: what a reader found.
        out: parent of the dataset folder.
        work: from ``work_folder``.
        on_rows: told (checkpoints written, checkpoints in all).
        replace: take the place of what was imported from other files before.

    Returns:
        the dataset folder and the config's entry in its manifest.

    Raises:
        ZoobenchError: labels out of their range or not those of the zoo, checkpoints that come twice, a split without
            runs, or an import of other files that is there already.
    """

    def may_replace(folder: DatasetFolder) -> None:
        if not replace:
            _check_not_another(release, folder)

    may_replace(check_target(release.zoo, out))
    labels = in_range(release.labels)
    check_not_twice(labels)
    dropped = {run.run_id: run for run in release.dropped}
    needed = _needed(release)
    for run in _unusable(labels):
        dropped.setdefault(run.run_id, run)
    unmeasured = labels["test_accuracy"].isna()
    left_out = _bad_rows(labels, unmeasured, needed, "test accuracy not finite", dropped)
    labels = _complete(release.zoo, labels[~(labels["run_id"].isin(list(dropped)) | unmeasured)])
    check_zoo(release.zoo, labels)
    labels = labels.sort_values(["run_id", "epoch"], kind="stable")
    parts: list[Path] = []
    written = 0
    seen: list[bytes | None] = []
    for start, stop in _parts(labels["run_id"].to_numpy(), layout_of(release.zoo.spec.network).size):
        part = labels.iloc[start:stop]
        weights = release.weights(part.index.to_numpy())
        finite = np.isfinite(weights).all(axis=1)
        seen += [fingerprint(row) for row in weights]
        left_out += _bad_rows(part, ~finite, needed, "weights not finite", dropped)
        keep = finite & ~part["run_id"].isin(list(dropped)).to_numpy()
        if keep.any():
            parts.append(work / f"part-{len(parts):06d}.parquet")
            shards.write_table(parts[-1], _rows(part[keep], weights if keep.all() else weights[keep]))
        written += stop - start
        if on_rows:
            on_rows(written, len(labels))
    if not parts:
        reasons = ", ".join(sorted({run.reason for run in dropped.values()}))
        raise ZoobenchError(f"no run of this release of {release.zoo.id} can be used ({reasons}); nothing was written")
    check_no_copies(labels, seen)
    check_splits(release.zoo, seeds_of(labels[~labels["run_id"].isin(list(dropped))]))
    config, runs_dropped = release.zoo.spec.config, sorted(dropped.values(), key=lambda run: run.run_id)

    def add_protocols(fresh: DatasetFolder) -> None:
        for name, chosen in release.protocols.items():
            path = fresh.locate(Places(config).protocol(name))
            shards.write_table(path, _protocol(release.labels, chosen, dropped))

    notes = [*release.entry.notes, *_losses(release, left_out, dropped)]
    entry = release.entry.model_copy(update={"notes": notes})
    about = {"release": entry, "dropped": runs_dropped, "gap_of": _gap_of(release.zoo, labels)}
    folder = write_config(release.zoo, out, work, parts, about, add_protocols, may_replace)
    return folder.path, folder.config(config)


def _check_not_another(release: Release, folder: DatasetFolder) -> None:
    """What was imported from other files stays unless it is to be replaced."""
    config = release.zoo.spec.config
    there = folder.config(config) if folder.has_config(config) else None
    if there is None or there.release is None:
        return
    old, new = ({file.sha256: file.path for file in entry.files} for entry in (there.release, release.entry))
    if old.keys() != new.keys():
        raise ZoobenchError(
            f"{folder} already holds {release.zoo.id}, imported from {', '.join(old.values())}; --replace puts "
            f"{', '.join(new.values())} in its place, another --out keeps both, and files of one zoo are given at once"
        )


def seeds_of(labels: pd.DataFrame) -> dict[str, int | None]:
    """The seed of each run, where it is known."""
    runs = labels.drop_duplicates("run_id")
    seeds = runs["seed"] if "seed" in runs else pd.Series(None, runs.index, object)
    return {run: None if pd.isna(seed) else int(seed) for run, seed in zip(runs["run_id"], seeds, strict=True)}


def _unusable(labels: pd.DataFrame) -> Iterator[manifest.DroppedRun]:
    """Runs that their labels rule out, each once per reason."""
    per_run = labels.groupby("run_id")
    known = [name for name in (*HYPERPARAMETERS, "seed") if name in labels]
    several = per_run[known].nunique(dropna=False).gt(1).any(axis=1) if known else pd.Series(False, per_run.groups)
    problems = {
        "the same epoch twice": labels.duplicated(["run_id", "epoch"]),
        "hyperparameters change between its checkpoints": labels["run_id"].isin(several.index[several]),
    }
    for reason, rows in problems.items():
        for run_id, epoch in labels.loc[rows, ["run_id", "epoch"]].itertuples(index=False):
            yield manifest.DroppedRun(run_id=run_id, epoch=epoch, reason=reason)


def _needed(release: Release) -> np.ndarray:
    """Positions of the rows that a named protocol takes."""
    return np.concatenate([np.empty(0, np.int64), *(chosen["row"] for chosen in release.protocols.values())])


def _bad_rows(
    labels: pd.DataFrame, bad: ArrayLike, needed: np.ndarray, reason: str, dropped: dict[str, manifest.DroppedRun]
) -> list[manifest.DroppedRun]:
    """Drop the runs of bad rows, but of a run whose rows that a protocol takes are all good the bad ones alone.

    Later papers look at final checkpoints only: what happened to an earlier one does not concern their split.

    Returns:
        the rows that are left out of runs that stay.
    """
    rows = pd.DataFrame({"bad": np.asarray(bad), "needed": labels.index.isin(needed)}, labels.index)
    rows = rows.join(labels[["run_id", "epoch"]])
    taken = rows[rows["needed"]].groupby("run_id")["bad"].any()
    stay = set(taken.index[~taken])
    left_out = []
    for run_id, epoch in rows.loc[rows["bad"], ["run_id", "epoch"]].itertuples(index=False):
        found = manifest.DroppedRun(run_id=run_id, epoch=epoch, reason=reason)
        if run_id in stay:
            left_out.append(found)
        else:
            dropped.setdefault(run_id, found)
    return left_out


def _losses(
    release: Release, left_out: Sequence[manifest.DroppedRun], dropped: Mapping[str, manifest.DroppedRun]
) -> Iterator[str]:
    """Sentences on what is missing of runs that stay, and of named protocols."""
    rows = [row for row in left_out if row.run_id not in dropped]
    if rows:
        named = ", ".join(f"{row.run_id}/{row.epoch:03d} ({row.reason})" for row in rows[:_NAMED])
        more = f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
        yield (
            f"{len(rows):,} checkpoints are left out of runs that are not dropped, since a named protocol takes other "
            f"checkpoints of them: {named}{more}."
        )
    for name, chosen in release.protocols.items():
        runs = release.labels["run_id"].iloc[chosen["row"]]
        gone = runs[runs.isin(list(dropped))].unique()
        if len(gone):
            reasons = ", ".join(sorted({dropped[run].reason for run in gone}))
            yield (
                f"Protocol `{name}` lacks {int(runs.isin(gone).sum()):,} of its {len(runs):,} rows, whose runs are "
                f"dropped ({reasons})."
            )


def _gap_of(zoo: Zoo, labels: pd.DataFrame) -> Literal["train_accuracy", "running_train_accuracy"]:
    """The training accuracy of the zoo's generalization gap, if the release has that one."""
    return zoo.spec.gap_of if zoo.spec.gap_of in labels else "train_accuracy"


def _complete(zoo: Zoo, labels: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that follow from the others."""
    labels = labels.copy()
    if (of := _gap_of(zoo, labels)) in labels and "generalization_gap" not in labels:
        # Released accuracies carry float32 noise; rounding lets equal gaps tie in rank statistics, as they should.
        labels["generalization_gap"] = (labels[of] - labels["test_accuracy"]).round(6)
    runs = labels.drop_duplicates("run_id").set_index("run_id")
    told = [name for name in HYPERPARAMETERS if name in runs]
    ids = {}
    for run_id, values in zip(runs.index, runs[told].to_dict("records"), strict=True):
        known = {name: None if pd.isna(value) else value for name, value in values.items()}
        unknown = dict.fromkeys(set(HYPERPARAMETERS) - set(known))
        complete = known.get("learning_rate") is not None
        ids[run_id] = config_id(Hyperparameters(**unknown, **known)) if complete else f"config-of-{run_id}"  # type: ignore[arg-type]
    labels["config_id"] = labels["run_id"].map(ids)
    folds = {run_id: fold_of(zoo.spec, run_id, seed) for run_id, seed in seeds_of(labels).items()}
    labels["fold"] = labels["run_id"].map(folds).astype("Int8")
    return labels


def _parts(run_ids: np.ndarray, weights: int) -> Iterator[tuple[int, int]]:
    """Consecutive (start, stop) of bounded size that never cut a run; ``run_ids`` are sorted."""
    limit = max(1, _PART_BYTES // (4 * weights))
    ends = [*(np.flatnonzero(run_ids[1:] != run_ids[:-1]) + 1).tolist(), len(run_ids)]
    start = stop = 0
    for end in ends:
        if end - start > limit and stop > start:
            yield start, stop
            start = stop
        stop = end
    if stop > start:
        yield start, stop


def _rows(labels: pd.DataFrame, weights: np.ndarray) -> pa.Table:
    columns = {
        entry.name: pa.array(labels[entry.name], entry.type, from_pandas=True)
        for entry in schema.LABELS
        if entry.name in labels
    }
    return schema.row_table(columns, weights)


def _protocol(labels: pd.DataFrame, chosen: pd.DataFrame, dropped: Mapping[str, manifest.DroppedRun]) -> pa.Table:
    """``example_id`` and ``split`` of a named protocol, in its order, without the runs that were dropped."""
    rows = labels.iloc[chosen["row"].to_numpy()]
    keep = ~rows["run_id"].isin(list(dropped)).to_numpy()
    ids = schema.example_ids(pa.array(rows["run_id"], pa.string()), pa.array(rows["epoch"], pa.int32()))
    return pa.table({"example_id": ids, "split": pa.array(chosen["split"], pa.string())}).filter(pa.array(keep))
