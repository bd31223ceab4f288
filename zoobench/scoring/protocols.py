"""Protocols: which checkpoints of a zoo are scored. Sources disagree, so every score is stored with its protocol.

A protocol is one declaration. Most choose among the rows of the test split; ``nfn`` is a split of its own, which
imports of the original Small CNN Zoo can carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ..data import hub
from ..errors import ZoobenchError, did_you_mean
from ..zoos import Zoo
from ..zoos.splits import SPLITS

_Labels = Callable[[str], pd.DataFrame]


@dataclass(frozen=True)
class Protocol:
    """``choose`` takes the labels of the test split and a function that loads those of a split: rows to score."""

    name: str
    description: str
    choose: Callable[[pd.DataFrame, _Labels], pd.DataFrame]


def _final(test: pd.DataFrame, load: _Labels) -> pd.DataFrame:
    return test[test["epoch"] == test["epoch"].max()]


def _with_activation(name: str) -> Callable[[pd.DataFrame, _Labels], pd.DataFrame]:
    return lambda test, load: test[test["activation"] == name]


def _config_disjoint(test: pd.DataFrame, load: _Labels) -> pd.DataFrame:
    seen = {config for split in ("train", "validation") for config in load(split)["config_id"]}
    return test[~test["config_id"].isin(seen)]


ALL: tuple[Protocol, ...] = (
    Protocol("all", "every checkpoint of the test runs", lambda test, load: test),
    Protocol("final", "the last checkpoint of every test run", _final),
    Protocol("relu", "test runs with ReLU", _with_activation("relu")),
    Protocol("tanh", "test runs with tanh", _with_activation("tanh")),
    Protocol(
        "config-disjoint",
        "test runs whose hyperparameters occur in no train or validation run, with any seed",
        _config_disjoint,
    ),
)
NFN = "nfn"
NAMES = (*(protocol.name for protocol in ALL), NFN)
_BY_NAME: Mapping[str, Protocol] = {protocol.name: protocol for protocol in ALL}


def named(protocols: str | Iterable[str] | None) -> list[str]:
    """One protocol or several, each once; none given means all checkpoints.

    Raises:
        ZoobenchError: neither a name nor several.
    """
    if not isinstance(protocols, Iterable | None):
        raise ZoobenchError(f"protocols are names, as 'final' or ['all', 'final'], not {protocols!r}")
    given = [protocols] if isinstance(protocols, str) else [] if protocols is None else list(protocols)
    return list(dict.fromkeys(given)) or [ALL[0].name]


@dataclass(frozen=True)
class Rows:
    """What a protocol scores.

    Attributes:
        labels: the rows to predict.
        others: ids of the same split that need not be predicted, and are ignored if they are.
        sha256: of the labels file, or of the file that names the protocol's rows.
    """

    labels: pd.DataFrame
    others: pd.Series
    sha256: str


def rows_of(name: str, zoo: Zoo, homes: Sequence[Path] = ()) -> Rows:
    """The rows of a zoo that a protocol scores.

    Args:
        name: a protocol's name.
        zoo: which zoo.
        homes: folders to search for labels before ``ZOOBENCH_DATA`` and the Hub.

    Raises:
        ZoobenchError: unknown protocol, or one that leaves no row of this zoo.
    """
    if name not in NAMES:
        raise ZoobenchError(f"unknown protocol {name!r}{did_you_mean(name, NAMES)}")
    if name == NFN:
        return _nfn(zoo, homes)
    test = hub.load_labels(zoo, "test", homes)
    chosen = _BY_NAME[name].choose(test.frame, lambda split: hub.load_labels(zoo, split, homes).frame)
    if chosen.empty:
        raise ZoobenchError(
            f"protocol {name!r} ({_BY_NAME[name].description}) leaves no checkpoint of {zoo.id}; "
            f"it has: {', '.join(sensible(zoo, homes))}"
        )
    return Rows(chosen.reset_index(drop=True), test.frame["example_id"].drop(chosen.index), test.sha256)


def sensible(zoo: Zoo, homes: Sequence[Path] = ()) -> list[str]:
    """The protocols that leave rows of a zoo."""
    test = hub.load_labels(zoo, "test", homes).frame

    def load(split: str) -> pd.DataFrame:
        return hub.load_labels(zoo, split, homes).frame

    names = [protocol.name for protocol in ALL if len(protocol.choose(test, load))]
    return names + [NFN] * (hub.protocol_file(zoo, NFN, homes) is not None)


def _nfn(zoo: Zoo, homes: Sequence[Path]) -> Rows:
    """The split of later papers, whose test rows lie in all of our splits."""
    found = hub.protocol_file(zoo, NFN, homes)
    if found is None:
        raise ZoobenchError(
            f"{zoo.id} has no protocol 'nfn'; an import of the original archive has, made with --nfn-split; "
            f"it has: {', '.join(sensible(zoo, homes))}"
        )
    path, sha256 = found
    listed = pq.read_table(path).to_pandas()
    everything = pd.concat([hub.load_labels(zoo, split, homes).frame for split in SPLITS]).set_index("example_id")
    ids = listed.loc[listed["split"] == "test", "example_id"]
    return Rows(everything.loc[ids].reset_index(), ids.iloc[:0], sha256)
