"""Protocols: which checkpoints of a zoo are learned from and scored.

Sources disagree, so every score is stored with its protocol.

A protocol is one declaration: where rows come from, and which of them stay. Most choose among the rows of the zoo's own
splits; ``nfn`` is a split of its own, which imports of the original Small CNN Zoo can carry. Strata are within either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ..data import hub
from ..data.hub import Store
from ..data.tables import read_table
from ..errors import ZoobenchError, check_known, look_up
from ..zoos import Zoo
from ..zoos.hashing import unit_interval
from ..zoos.spec import ZooSpec
from ..zoos.splits import SEEDS_APART, SPLITS

_TEST = "test"


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


_REFERENCES = ("constant", "hyperparameters")
RowsOf = Callable[[Zoo, Store, str], Rows | None]


def _own_split(zoo: Zoo, store: Store, split: str) -> Rows | None:
    labels = hub.load_labels(zoo, split, store)
    if split == _TEST and labels.frame.empty:
        return None
    return Rows(labels.frame, labels.frame["example_id"].iloc[:0], labels.sha256)


@dataclass(frozen=True)
class Protocol:
    """Which checkpoints are scored.

    Attributes:
        name: as it is asked for and stored.
        description: which checkpoints, in words.
        rows: finds those that are scored; ``None`` on a zoo where there are none.
        references: names of the reference predictions that a zoo carries for it.
        nothing: said where there are none.
        learned: finds those of "train" and "validation", for a predictor that is made for the protocol.
        ranked: whether submissions are ranked by it, on a zoo of a kind.
    """

    name: str
    description: str
    rows: Callable[[Zoo, Store], Rows | None]
    references: tuple[str, ...] = _REFERENCES
    nothing: str = "protocol {name!r} ({description}) leaves no checkpoint of {zoo}"
    learned: RowsOf = _own_split
    ranked: Callable[[ZooSpec], bool] = lambda spec: True


_Choose = Callable[[pd.DataFrame], pd.DataFrame]


def _within(rows: RowsOf, choose: _Choose) -> RowsOf:
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


def _listed(name: str) -> RowsOf:
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


def _final(labels: pd.DataFrame) -> pd.DataFrame:
    return labels[labels["epoch"] == labels["epoch"].max()]


def _with_activation(name: str) -> _Choose:
    return lambda labels: labels[labels["activation"] == name]


def _config_disjoint(zoo: Zoo, store: Store, split: str) -> Rows | None:
    found = _own_split(zoo, store, split)
    if split != _TEST or found is None:
        return found
    seen = {config for own in SPLITS if own != _TEST for config in hub.load_labels(zoo, own, store).frame["config_id"]}
    return _kept(found, found.labels[~found.labels["config_id"].isin(seen)])


def _seed_disjoint(zoo: Zoo, store: Store, split: str) -> Rows | None:
    """Some seeds are held out: all their runs are scored, in whichever split they are; the train and validation runs
    of the others are learned from.

    None of a zoo whose own splits divide no seed, or that has one seed.
    """
    found = _own_split(zoo, store, split)
    everything = [hub.load_labels(zoo, own, store).frame for own in SPLITS]
    if found is None or any(frame["seed"].isna().any() for frame in everything):
        return None
    seeds = [set(frame["seed"]) for frame in everything]
    if sum(map(len, seeds)) == len(set.union(*seeds)):
        return None
    held_out = _held_out(zoo, sorted(set.union(*seeds)))
    if not held_out:
        return None
    if split != _TEST:
        return _kept(found, found.labels[~found.labels["seed"].isin(held_out)])
    labels = pd.concat(everything, ignore_index=True)
    return Rows(
        labels[labels["seed"].isin(held_out)].reset_index(drop=True),
        found.others,
        found.sha256,
        "the test rows of protocol 'seed-disjoint'",
        f"it scores all runs of some seeds, among them runs of the train split: zoobench run NAME --zoo {zoo.id} "
        "--protocol seed-disjoint learns from the other seeds",
    )


def _held_out(zoo: Zoo, seeds: Sequence[int]) -> list[int]:
    """As many seeds as a test split would have, at least one; none of one."""
    ordered = sorted(seeds, key=lambda seed: unit_interval("split", zoo.spec.id, f"seed-{seed % SEEDS_APART}"))
    return ordered[len(seeds) - max(1, round(zoo.spec.splits.test * len(seeds))) :] if len(seeds) > 1 else []


def _protocol(
    name: str,
    description: str,
    rows: RowsOf,
    references: tuple[str, ...] = _REFERENCES,
    nothing: str = Protocol.nothing,
    ranked: Callable[[ZooSpec], bool] = Protocol.ranked,
) -> Protocol:
    """One whose rows of all splits are chosen alike."""
    return Protocol(name, description, lambda zoo, store: rows(zoo, store, _TEST), references, nothing, rows, ranked)


# Kinds of networks, which a protocol may be confined to.
_STRATA = {"relu": ("with ReLU", _with_activation("relu")), "tanh": ("with tanh", _with_activation("tanh"))}
_NFN = "the test rows of the split that later papers use"
_NO_NFN = "{zoo} has no rows of protocol {name!r}; an import of the original archive has, made with --nfn-split"

ALL: tuple[Protocol, ...] = (
    _protocol("all", "every checkpoint of the test runs", _own_split),
    _protocol(
        "final",
        "the last checkpoint of every test run",
        _within(_own_split, _final),
        tuple(f"{name}-final" for name in _REFERENCES),
        # Runs that differ in the seed alone end alike: what is left to be told apart is mostly noise.
        ranked=lambda spec: bool(spec.varies),
    ),
    *(_protocol(name, f"test runs {what}", _within(_own_split, choose)) for name, (what, choose) in _STRATA.items()),
    _protocol(
        "config-disjoint",
        "test runs whose hyperparameters occur in no train or validation run, with any seed",
        _config_disjoint,
    ),
    _protocol(
        "seed-disjoint",
        "runs of seeds, and with them initial weights, that no run has that is learned from",
        _seed_disjoint,
        references=(),
        nothing="{zoo} has no rows of protocol {name!r}: its splits divide no seed, or all its runs have one",
    ),
    _protocol("nfn", _NFN, _listed("nfn"), references=(), nothing=_NO_NFN),
    *(
        _protocol(f"nfn-{name}", f"{_NFN}, networks {what}", _within(_listed("nfn"), choose), (), _NO_NFN)
        for name, (what, choose) in _STRATA.items()
    ),
)
BY_NAME: Mapping[str, Protocol] = {protocol.name: protocol for protocol in ALL}
NAMES = tuple(BY_NAME)


def named(protocols: str | Iterable[str] | None) -> list[str]:
    """One protocol or several, each once; none given means all checkpoints.

    Raises:
        ZoobenchError: neither a name nor several.
    """
    if not isinstance(protocols, Iterable | None):
        raise ZoobenchError(f"protocols are names, as 'final' or ['all', 'final'], not {protocols!r}")
    given = [protocols] if isinstance(protocols, str) else [] if protocols is None else list(protocols)
    return list(dict.fromkeys(given)) or [ALL[0].name]


def get(name: str) -> Protocol:
    """Look up a protocol.

    Raises:
        ZoobenchError: unknown name.
    """
    return look_up("protocol", name, BY_NAME)


def rows_of(name: str, zoo: Zoo, store: Store | None = None, split: str = _TEST) -> Rows:
    """The rows of a zoo that a protocol scores, or those of "train" or "validation" that go with them.

    Args:
        name: a protocol's name.
        zoo: which zoo.
        store: where labels are found.
        split: "train", "validation" or "test".

    Raises:
        ZoobenchError: unknown protocol or split, or one that leaves no row of this zoo.
    """
    check_known("split", split, SPLITS)
    protocol, store = get(name), store or Store()
    rows = protocol.rows(zoo, store) if split == _TEST else protocol.learned(zoo, store, split)
    if rows is None:
        if split != _TEST and protocol.rows(zoo, store) is not None:
            raise ZoobenchError(f"protocol {name!r} leaves no {split} row of {zoo.id}, only test rows")
        nothing = protocol.nothing.format(name=name, description=protocol.description, zoo=zoo.id)
        raise ZoobenchError(f"{nothing}; it has: {', '.join(sensible(zoo, store))}")
    return rows


def sensible(zoo: Zoo, store: Store | None = None) -> list[str]:
    """The protocols that leave rows of a zoo."""
    store = store or Store()
    return [protocol.name for protocol in ALL if protocol.rows(zoo, store)]
