"""Rows without their weights: schema, ids, counts, splits, values in their ranges, hyperparameters of the recipe."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...data import schema
from ...errors import ZoobenchError
from ...zoos.layout import layout_of
from ...zoos.runs import Run, config_id
from ...zoos.spec import Hyperparameters
from ...zoos.splits import SPLITS, fold_of, split_of
from .report import HYPERPARAMETERS, UNREADABLE, Report, Subject, brief, listed, plain, reason

_PER_RUN = (*HYPERPARAMETERS, "seed", "config_id", "fold")
_TEXTS = ("run_id", "config_id", "activation", "init", "optimizer")
_SAME = 1e-12  # the powers of a log-uniform draw may differ by a rounding between machines
_ROUNDING = 1e-6
_MOST = 5


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a config, of train, validation and test in this order.

    Attributes:
        labels: every column but the weights, and ``split``; row by row as in the files.
        files: of rows, in order; the weights are read from them, as many as they have at a time.
    """

    labels: pd.DataFrame
    files: Sequence[Path]


def read(subject: Subject, whole: set[str], report: Report) -> Rows | None:
    """Read the rows of all splits; ``None`` if some of them cannot be.

    Args:
        subject: whose.
        whole: the paths of files that are what the manifest says.
        report: told what cannot be read, and labels that are not the rows without their weights.
    """
    places, files, frames = subject.places, [], []
    for split in SPLITS:
        entries = places.row_files(split, subject.config.files)
        if not entries or any(entry.path not in whole for entry in entries):
            return None
        tables = [_table(subject, entry.path, report) for entry in entries]
        files += [subject.folder.locate(entry.path) for entry in entries]
        if any(table is None for table in tables):
            return None
        table = pa.concat_tables(tables)
        if (path := places.labels_of(split)) in whole:
            _check_labels(subject, path, table, report)
        frames.append(table.to_pandas().assign(split=split))
    return Rows(pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True), files)


def _table(subject: Subject, path: str, report: Report) -> pa.Table | None:
    """A file of rows without the weights."""
    expected = schema.rows(layout_of(subject.zoo.spec.network).size)
    try:
        with pq.ParquetFile(subject.folder.locate(path), memory_map=True) as file:
            if not file.schema_arrow.equals(expected):
                report.problem(f"{path}: columns are not those of the schema: {_columns(file.schema_arrow, expected)}")
                return None
            table = file.read(columns=schema.LABELS.names)
        table.validate(full=True)
        return table
    except UNREADABLE as error:
        report.problem(f"{path}: cannot be read: {reason(error)}")
        return None


def _columns(found: pa.Schema, expected: pa.Schema) -> str:
    """How a schema differs from the one that is expected."""
    missing = [name for name in expected.names if name not in found.names]
    more = [name for name in found.names if name not in expected.names]
    if missing or more:
        return "; ".join(f"{what} {listed(names)}" for what, names in (("no", missing), ("also", more)) if names)
    if found.names != expected.names:
        return "they are in another order, or come twice"
    other = next(field for field in expected if not found.field(field.name).equals(field))
    return f"{other.name} is {found.field(other.name).type}, not {other.type}, or may be null"


def _check_labels(subject: Subject, path: str, rows: pa.Table, report: Report) -> None:
    try:
        labels = pq.read_table(subject.folder.locate(path))
    except UNREADABLE as error:
        report.problem(f"{path}: cannot be read: {reason(error)}")
        return
    if not labels.schema.equals(schema.LABELS) or not labels.equals(rows):
        report.problem(f"{path}: not the rows without their weights")


def check(subject: Subject, rows: Rows, report: Report) -> None:
    """Compare the rows with the manifest and the recipe, and with themselves."""
    labels = rows.labels
    _counts(subject, labels, report)
    if labels.empty:
        return
    _ids(subject, labels, report)
    runs = labels.drop_duplicates("run_id").set_index("run_id")
    _splits(subject, labels, runs, report)
    _values(subject, labels, report)
    _constant(subject, labels, runs, report)
    if subject.trained_here:
        _trained(subject, labels, runs, report)
    else:
        _released(subject, runs, report)


def _counts(subject: Subject, labels: pd.DataFrame, report: Report) -> None:
    config, where = subject.config, subject.name
    for split in SPLITS:
        part = labels[labels["split"] == split]
        if split not in config.splits:
            report.problem(f"{where}: the manifest counts no split {split!r}")
        else:
            _count(f"{where}/{split}", "rows", len(part), config.splits[split].rows, report)
            _count(f"{where}/{split}", "runs", part["run_id"].nunique(), config.splits[split].runs, report)
        if part.empty:
            _empty(subject, split, report)
    _count(where, "rows", len(labels), config.rows, report)
    _count(where, "runs", labels["run_id"].nunique(), config.runs, report)
    epochs = sorted(labels["epoch"].unique().tolist())
    if config.checkpoints != epochs:
        report.problem(f"{where}: checkpoints are of epochs {brief(epochs)}, the manifest says {config.checkpoints}")


def _empty(subject: Subject, split: str, report: Report) -> None:
    """A split without runs is a problem, unless the recipe has so few that none falls into it."""
    said = f"{subject.name}/{split}: empty; a zoo needs runs in every split to be trained on and scored"
    with contextlib.suppress(ZoobenchError):
        if subject.trained_here and all(
            split_of(subject.zoo.spec, name, run.seed) != split for name, run in subject.plan.items()
        ):
            report.notes.append(f"{said}, and {subject.zoo.id} has none there")
            return
    report.problem(said)


def _count(where: str, what: str, found: int, stated: int, report: Report) -> None:
    if found != stated:
        report.problem(f"{where}: {found:,} {what}, the manifest says {stated:,}")


def _ids(subject: Subject, labels: pd.DataFrame, report: Report) -> None:
    where = subject.name
    made = schema.example_ids(pa.array(labels["run_id"], pa.string()), pa.array(labels["epoch"], pa.int32()))
    if (wrong := labels["example_id"].to_numpy() != made.to_numpy(zero_copy_only=False)).any():
        first = labels["example_id"][int(wrong.argmax())]
        report.problem(f"{where}: an example_id is not run_id/epoch: {brief(first)}; {wrong.sum():,} are not")
    if (twice := labels["example_id"].duplicated()).any():
        first = labels["example_id"][int(twice.to_numpy().argmax())]
        report.problem(f"{where}: example ids are not unique: {brief(first)}; {twice.sum():,} come again")
    if (labels["epoch"] < 0).any():
        report.problem(f"{where}: an epoch is negative")
    for name in _TEXTS:
        for value in labels[name].dropna().unique():
            if not value or not value.isprintable():
                report.problem(f"{where}: {name} {brief(value)} is empty or cannot be printed")


def _splits(subject: Subject, labels: pd.DataFrame, runs: pd.DataFrame, report: Report) -> None:
    """Each run in one split, which is its own; folds as declared."""
    where, spec = subject.name, subject.zoo.spec
    for run, splits in labels.groupby("run_id")["split"].unique().items():
        if len(splits) > 1:
            report.problem(f"{where}/{splits[1]}: run {plain(str(run))} is also in {splits[0]}")
    for run, split, fold, seed in zip(runs.index, runs["split"], runs["fold"], runs["seed"], strict=True):
        known = None if pd.isna(seed) else int(seed)
        if known is None and spec.splits.by == "seed":
            report.problem(f"{where}: run {plain(run)} has no seed, by which the splits of this zoo are")
        elif split != (own := split_of(spec, run, known)):
            report.problem(f"{where}/{split}: run {plain(run)} belongs in {own}")
        elif (None if pd.isna(fold) else fold) != (own_fold := fold_of(spec, run, known)):
            report.problem(f"{where}: run {plain(run)} is in fold {fold}, it belongs in {own_fold}")


def _values(subject: Subject, labels: pd.DataFrame, report: Report) -> None:
    """Numbers that are finite and in their ranges; a gap that is the difference of its accuracies."""
    where = subject.name
    for field in schema.LABELS:
        if not pa.types.is_floating(field.type):
            continue
        values = labels[field.name].to_numpy(np.float64)
        if np.isinf(values).any():
            report.problem(f"{where}: {field.name} is infinite in {np.isinf(values).sum():,} rows")
    for name, (low, high) in schema.RANGES.items():
        values = labels[name].to_numpy(np.float64, na_value=np.nan)
        outside = (values < low - _ROUNDING) | (values > high + _ROUNDING)
        if outside.any():
            first = int(outside.argmax())
            report.problem(
                f"{labels['example_id'][first]}: {name} is {values[first]:g}, out of [{low:g}, {high:g}]; "
                f"{outside.sum():,} rows are"
            )
    gap = labels[subject.config.gap_of] - labels["test_accuracy"]
    wrong = ((gap - labels["generalization_gap"]).abs() > 2 * _ROUNDING) | (
        gap.isna() != labels["generalization_gap"].isna()
    )
    if wrong.any():
        first = labels["example_id"][int(wrong.to_numpy().argmax())]
        report.problem(
            f"{first}: generalization_gap is not {subject.config.gap_of} minus test_accuracy; {wrong.sum():,} rows "
            "have others"
        )
    if (unknown := labels["test_accuracy"].isna()).any():
        report.problem(f"{where}: test_accuracy is not known in {unknown.sum():,} rows")


def _constant(subject: Subject, labels: pd.DataFrame, runs: pd.DataFrame, report: Report) -> None:
    """What belongs to a run does not change between its checkpoints; what the zoo does not vary, not at all."""
    where, varies = subject.name, subject.zoo.spec.varies
    changing = labels.groupby("run_id")[list(_PER_RUN)].nunique(dropna=False).gt(1)
    for name in changing.columns[changing.any()]:
        report.problem(f"{where}: {name} changes between checkpoints of {listed(list(changing.index[changing[name]]))}")
    for name in HYPERPARAMETERS:
        if name not in varies and (count := runs[name].nunique()) > 1:
            values = sorted(runs[name].dropna().unique())
            report.problem(
                f"{where}: {name} has {count:,} values ({listed(list(map(str, values)))}), but {subject.zoo.id} varies "
                f"{', '.join(varies) or 'the seed alone'}"
            )


def _trained(subject: Subject, labels: pd.DataFrame, runs: pd.DataFrame, report: Report) -> None:
    """The runs are the recipe's, all of them but those that were dropped, each with every checkpoint."""
    where = subject.name
    try:
        plan, checkpoints = subject.plan, subject.zoo.size.checkpoints
    except ZoobenchError:
        return
    dropped = {run.run_id for run in subject.config.dropped}
    for names, said in (
        (set(runs.index) - set(plan), "of rows are not the recipe's"),
        (set(runs.index) & dropped, "are listed as dropped, but have rows"),
        (set(plan) - set(runs.index) - dropped, "of the recipe have neither rows nor are they listed as dropped"),
    ):
        if names:
            report.problem(f"{where}: {len(names):,} runs {said}: {listed(sorted(names))}")
    per_run = labels.groupby("run_id")["epoch"].agg(["size", "nunique"])
    whole = (per_run["size"] == len(checkpoints)) & (per_run["nunique"] == len(checkpoints))
    if not whole.all() or not labels["epoch"].isin(checkpoints).all():
        short = list(per_run.index[~whole]) or list(runs.index[:1])
        report.problem(f"{where}: runs without a row for every checkpoint, or with others: {listed(short)}")
    known = runs[runs.index.isin(plan)]
    _as_planned(subject, known, [plan[run] for run in known.index], report)
    _outcomes(subject, labels, report)


def _as_planned(subject: Subject, runs: pd.DataFrame, plan: Sequence[Run], report: Report) -> None:
    where = subject.name
    for name in (*HYPERPARAMETERS, "seed"):
        owners = [run if name == "seed" else run.hyperparameters for run in plan]
        planned = pd.Series([getattr(owner, name) for owner in owners], runs.index, dtype=object)
        wrong = [not _same(found, wanted) for found, wanted in zip(runs[name], planned, strict=True)]
        for run in runs.index[wrong][:_MOST]:
            report.problem(
                f"{where}: {name} of run {run} is {brief(_plain(runs[name][run]))}, in the recipe {planned[run]}"
            )
        if sum(wrong) > _MOST:
            report.problem(f"{where}: {name} of {sum(wrong) - _MOST:,} more runs is not the recipe's")
    recipe = subject.zoo.size.recipe
    configurations = runs[list(HYPERPARAMETERS)].to_dict("records")
    for run, values, found in zip(plan, configurations, runs["config_id"], strict=True):
        known = {name: _plain(values[name]) for name in HYPERPARAMETERS}
        names = (field.name for field in dataclasses.fields(run.training))
        pairs = {name: (getattr(run.training, name), getattr(recipe.training, name)) for name in names}
        changed = {name: own for name, (own, shared) in pairs.items() if own != shared}
        if found != (own := config_id(Hyperparameters(**known), changed)):
            report.problem(f"{where}: config_id of run {run.run_id} is {brief(found)}, not {own}")
            return


def _plain(value: Any) -> Any:
    """A value of a frame as a declaration has it."""
    if value is None or pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _same(found: Any, planned: Any) -> bool:
    found = _plain(found)
    if isinstance(found, float) and isinstance(planned, float):
        return abs(found - planned) <= _SAME * abs(planned)
    return bool(found == planned)


def _outcomes(subject: Subject, labels: pd.DataFrame, report: Report) -> None:
    """All outcomes are known, and accuracies are whole numbers of images."""
    where, entry, of_classes = subject.name, subject.config.images, subject.zoo.spec.images.class_outcomes
    for field in schema.OUTCOME_COLUMNS:
        meant = not field.name.startswith("f1_class_") or field.name in of_classes
        known = labels[field.name].notna()
        if field.name == "running_train_accuracy":
            known = known == (labels["epoch"] > 0)
        if not (known.all() if meant else not known.any()):
            report.problem(f"{where}: {field.name} is {'null' if meant else 'not null'} in some rows")
    if entry is None:
        return
    counts = (labels["train_fraction"] * entry.train).round().clip(lower=1)
    drops = labels["run_id"].map({run_id: run.training.drop_last for run_id, run in subject.plan.items()})
    seen = counts - (counts % labels["batch_size"]).where(drops.eq(True), 0)
    tested = pd.Series(entry.test, labels.index)
    for part, images in (("train", counts), ("running_train", seen), ("test", tested)):
        right = labels[f"{part}_accuracy"] * images
        wrong = (right - right.round()).abs() > _ROUNDING
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            first = labels.iloc[row]
            report.problem(
                f"{first['example_id']}: {part}_accuracy {first[f'{part}_accuracy']:.6g} is no share of "
                f"{images.iloc[row]:,.0f} images; {wrong.sum():,} rows have others"
            )
    for part in ("train", "test"):
        if (negative := labels[f"{part}_loss"] < 0).any():
            report.problem(f"{where}: {part}_loss is negative in {negative.sum():,} rows")


def _released(subject: Subject, runs: pd.DataFrame, report: Report) -> None:
    """Runs that were dropped have no rows, and a config_id stands for one configuration."""
    where = subject.name
    if both := sorted({run.run_id for run in subject.config.dropped} & set(runs.index)):
        report.problem(f"{where}: {len(both):,} runs are listed as dropped, but have rows: {listed(both)}")
    known = runs[runs["learning_rate"].notna()]
    configurations = known.groupby(list(HYPERPARAMETERS), dropna=False).ngroup()
    pairs = pd.DataFrame({"config_id": known["config_id"], "of": configurations}).drop_duplicates()
    if pairs["config_id"].duplicated().any() or pairs["of"].duplicated().any():
        report.problem(f"{where}: a config_id stands for several configurations, or the other way round")
    others = runs[runs["learning_rate"].isna()]
    if (others["config_id"] != "config-of-" + others.index.astype(str)).any():
        report.problem(f"{where}: runs of an unknown learning rate have a config_id that is not their own")
