"""The rows that protocols take of a zoo's splits, by their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..data import hub
from ..data.hub import Store
from ..data.tables import read_table
from ..errors import ZoobenchError
from ..zoos import Zoo
from ..zoos.hashing import unit_interval
from ..zoos.splits import SEEDS_APART, SPLITS, undivided

TEST = "test"


@dataclass(frozen=True)
class Rows:
    """What a protocol takes of a split; of the test split it is scored.

    Attributes:
        labels: the rows.
        others: ids of the same split that need not be predicted, and are ignored if they are.
        sha256: of the labels file, or of the file that names the protocol's rows.
        among: what they are, said of predictions of others.
        way_out: said after that.
    """

    labels: pd.DataFrame
    others: pd.Series
    sha256: str
    among: str = "the test split"
    way_out: str = "predict every example of the test split once"


RowsOf = Callable[[Zoo, Store, str], Rows | None]


def own_split(zoo: Zoo, store: Store, split: str) -> Rows | None:
    labels = hub.load_labels(zoo, split, store)
    if split == TEST and labels.frame.empty:
        return None
    return Rows(labels.frame, labels.frame["example_id"].iloc[:0], labels.sha256)


# Chooses among rows by their labels.
Choose = Callable[[pd.DataFrame], pd.DataFrame]


def within(rows: RowsOf, choose: Choose) -> RowsOf:
    """Those of some rows that are chosen by their labels."""

    def chosen(zoo: Zoo, store: Store, split: str) -> Rows | None:
        found = rows(zoo, store, split)
        return found and _kept(found, choose(found.labels))

    return chosen


def _kept(rows: Rows, chosen: pd.DataFrame) -> Rows | None:
    if chosen.empty:
        return None
    others = pd.concat([rows.others, rows.labels["example_id"].drop(chosen.index)])
    return replace(rows, labels=chosen.reset_index(drop=True), others=others)


def listed(name: str) -> RowsOf:
    """The rows of a split that a zoo carries in a file; they lie in all of our splits.

    A row that the file has twice is of the test split rather than of the train split.
    """

    def rows(zoo: Zoo, store: Store, split: str) -> Rows | None:
        found = hub.protocol_file(zoo, name, store)
        if found is None:
            return None
        path, sha256 = found
        listed = _read_listed(path)
        order = listed["split"].map({"test": 0, "validation": 1, "train": 2})
        once = listed.loc[order.sort_values(kind="stable").index].drop_duplicates("example_id").sort_index()
        ids = once.loc[once["split"] == split, "example_id"]
        if ids.empty:
            return None
        everything = pd.concat([hub.load_labels(zoo, own, store).frame for own in SPLITS]).set_index("example_id")
        unknown = ids[~ids.isin(everything.index)]
        if len(unknown):
            raise ZoobenchError(f"{path} names {len(unknown):,} rows that {zoo.id} does not have: {unknown.iloc[0]}")
        return Rows(
            everything.loc[ids].reset_index(),
            ids.iloc[:0],
            sha256,
            f"the test rows of protocol {name!r}",
            f"it has train rows of its own, among them rows of the test split: zoobench run NAME --zoo {zoo.id} "
            f"--protocol {name} learns from those and predicts the others",
        )

    return rows


def _read_listed(path: Path) -> pd.DataFrame:
    listed: pd.DataFrame = read_table(path, ["example_id", "split"]).to_pandas()
    if wrong := sorted(set(map(str, listed["split"])) - set(SPLITS)):
        raise ZoobenchError(f"{path} names rows of the split {wrong[0]!r}; splits are {', '.join(SPLITS)}")
    return listed


def final(labels: pd.DataFrame) -> pd.DataFrame:
    return labels[labels["epoch"] == labels["epoch"].max()]


def with_activation(name: str) -> Choose:
    return lambda labels: labels[labels["activation"] == name]


def config_disjoint(zoo: Zoo, store: Store, split: str) -> Rows | None:
    found = own_split(zoo, store, split)
    if split != TEST or found is None:
        return found
    seen = {config for own in SPLITS if own != TEST for config in hub.load_labels(zoo, own, store).frame["config_id"]}
    return _kept(found, found.labels[~found.labels["config_id"].isin(seen)])


def seed_disjoint(zoo: Zoo, store: Store, split: str) -> Rows | None:
    """Some seeds are held out: all their runs are scored, in whichever split they are; the train and validation runs
    of the others are learned from.

    None of a zoo whose own splits divide no seed, or that has one seed.
    """
    found = own_split(zoo, store, split)
    labels, sha256 = _whole_zoo(zoo, store)
    if found is None or labels["seed"].isna().any() or (labels.groupby("seed")["split"].nunique() == 1).all():
        return None
    held_out = _held_out(zoo, sorted(labels["seed"].unique()))
    if not held_out:
        return None
    if split != TEST:
        return _kept(found, found.labels[~found.labels["seed"].isin(held_out)])
    return Rows(
        labels[labels["seed"].isin(held_out)].drop(columns="split").reset_index(drop=True),
        found.others,
        sha256,
        "the test rows of protocol 'seed-disjoint'",
        f"it scores all runs of some seeds, among them runs of the train split: zoobench run NAME --zoo {zoo.id} "
        "--protocol seed-disjoint learns from the other seeds",
    )


def _held_out(zoo: Zoo, seeds: Sequence[int]) -> list[int]:
    """As many seeds as a test split would have, at least one; none of one."""
    ordered = sorted(seeds, key=lambda seed: unit_interval("split", zoo.spec.id, f"seed-{seed % SEEDS_APART}"))
    return ordered[len(seeds) - max(1, round(zoo.spec.splits.test * len(seeds))) :] if len(seeds) > 1 else []


FOLDS = 5


def everything(zoo: Zoo, store: Store) -> Rows | None:
    """All rows of all splits, predicted fold by fold; none where there are fewer runs, or seeds, than folds."""
    labels, sha256 = _whole_zoo(zoo, store)
    if _fold_numbers(zoo, labels) is None:
        return None
    return Rows(
        labels.drop(columns="split"),
        labels["example_id"].iloc[:0],
        sha256,
        "the zoo",
        f"it scores all runs, each predicted without having learned from its fold: zoobench run NAME --zoo {zoo.id} "
        "--protocol folds does it",
    )


def fold(number: int) -> RowsOf:
    """The rows of all splits by folds: one fold is predicted, the next one judges, the others are learned from."""

    def rows(zoo: Zoo, store: Store, split: str) -> Rows | None:
        found = everything(zoo, store)
        numbers = None if found is None else _fold_numbers(zoo, found.labels)
        if found is None or numbers is None:
            return None
        after = (numbers - number) % FOLDS
        wanted = {"train": after > 1, "validation": after == 1, TEST: after == 0}
        return _kept(found, found.labels[wanted[split]])

    return rows


def _fold_numbers(zoo: Zoo, labels: pd.DataFrame) -> np.ndarray | None:
    """The fold of each row (rows,): runs, or seeds where splits are by seed, are dealt in the order of a hash."""
    spec = zoo.spec
    runs = labels.drop_duplicates("run_id").set_index("run_id")["seed"]
    keys = {str(run): undivided(spec, str(run), None if pd.isna(seed) else int(seed)) for run, seed in runs.items()}
    ordered = sorted(set(keys.values()), key=lambda key: unit_interval("scored fold", spec.id, key))
    if len(ordered) < FOLDS:
        return None
    dealt = {key: place % FOLDS for place, key in enumerate(ordered)}
    return labels["run_id"].map({run: dealt[key] for run, key in keys.items()}).to_numpy()


def _whole_zoo(zoo: Zoo, store: Store) -> tuple[pd.DataFrame, str]:
    """The labels of all splits, with a column ``split``, and a hash of the hashes of their files."""
    found = {split: hub.load_labels(zoo, split, store) for split in SPLITS}
    text = "".join(f"{labels.sha256}\n" for labels in found.values())
    frames = [labels.frame.assign(split=split) for split, labels in found.items()]
    return pd.concat(frames, ignore_index=True), hashlib.sha256(text.encode()).hexdigest()
