"""Protocols: which checkpoints of a zoo are scored. Sources disagree, so every score is stored with its protocol.

A protocol is one declaration. Most choose among the rows of the test split; ``nfn`` is a split of its own, which
imports of the original Small CNN Zoo can carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from ..data import hub
from ..data.hub import Store
from ..data.tables import read_table
from ..errors import ZoobenchError, look_up
from ..zoos import Zoo
from ..zoos.splits import SPLITS


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


@dataclass(frozen=True)
class Protocol:
    """Which checkpoints are scored.

    Attributes:
        name: as it is asked for and stored.
        description: which checkpoints, in words.
        rows: finds them; ``None`` on a zoo where there are none.
        references: whether they are of the test split, as the reference predictions are that a zoo carries.
        nothing: said where there are none.
    """

    name: str
    description: str
    rows: Callable[[Zoo, Store], Rows | None]
    references: bool = True
    nothing: str = "protocol {name!r} ({description}) leaves no checkpoint of {zoo}"


_Labels = Callable[[str], pd.DataFrame]
_Choose = Callable[[pd.DataFrame, _Labels], pd.DataFrame]


def _of_test(choose: _Choose) -> Callable[[Zoo, Store], Rows | None]:
    """Rows of the test split: ``choose`` takes its labels, and a function that loads those of a split."""

    def rows(zoo: Zoo, store: Store) -> Rows | None:
        test = hub.load_labels(zoo, "test", store)
        chosen = choose(test.frame, lambda split: hub.load_labels(zoo, split, store).frame)
        if chosen.empty:
            return None
        return Rows(chosen.reset_index(drop=True), test.frame["example_id"].drop(chosen.index), test.sha256)

    return rows


def _listed(name: str) -> Callable[[Zoo, Store], Rows | None]:
    """The test rows of a split that a zoo carries in a file; they lie in all of our splits."""

    def rows(zoo: Zoo, store: Store) -> Rows | None:
        found = hub.protocol_file(zoo, name, store)
        if found is None:
            return None
        path, sha256 = found
        listed = read_table(path, ["example_id", "split"]).to_pandas()
        everything = pd.concat([hub.load_labels(zoo, split, store).frame for split in SPLITS]).set_index("example_id")
        ids = listed.loc[listed["split"] == "test", "example_id"]
        return Rows(everything.loc[ids].reset_index(), ids.iloc[:0], sha256)

    return rows


def _final(test: pd.DataFrame, load: _Labels) -> pd.DataFrame:
    return test[test["epoch"] == test["epoch"].max()]


def _with_activation(name: str) -> _Choose:
    return lambda test, load: test[test["activation"] == name]


def _config_disjoint(test: pd.DataFrame, load: _Labels) -> pd.DataFrame:
    seen = {config for split in ("train", "validation") for config in load(split)["config_id"]}
    return test[~test["config_id"].isin(seen)]


ALL: tuple[Protocol, ...] = (
    Protocol("all", "every checkpoint of the test runs", _of_test(lambda test, load: test)),
    Protocol("final", "the last checkpoint of every test run", _of_test(_final)),
    Protocol("relu", "test runs with ReLU", _of_test(_with_activation("relu"))),
    Protocol("tanh", "test runs with tanh", _of_test(_with_activation("tanh"))),
    Protocol(
        "config-disjoint",
        "test runs whose hyperparameters occur in no train or validation run, with any seed",
        _of_test(_config_disjoint),
    ),
    Protocol(
        "nfn",
        "the test rows of the split that later papers use",
        _listed("nfn"),
        references=False,
        nothing="{zoo} has no protocol {name!r}; an import of the original archive has, made with --nfn-split",
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


def rows_of(name: str, zoo: Zoo, store: Store | None = None) -> Rows:
    """The rows of a zoo that a protocol scores.

    Args:
        name: a protocol's name.
        zoo: which zoo.
        store: where labels are found.

    Raises:
        ZoobenchError: unknown protocol, or one that leaves no row of this zoo.
    """
    protocol, store = get(name), store or Store()
    rows = protocol.rows(zoo, store)
    if rows is None:
        nothing = protocol.nothing.format(name=name, description=protocol.description, zoo=zoo.id)
        raise ZoobenchError(f"{nothing}; it has: {', '.join(sensible(zoo, store))}")
    return rows


def sensible(zoo: Zoo, store: Store | None = None) -> list[str]:
    """The protocols that leave rows of a zoo."""
    store = store or Store()
    return [protocol.name for protocol in ALL if protocol.rows(zoo, store)]
