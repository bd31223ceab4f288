"""Protocols: which checkpoints of a zoo are learned from and scored.

Sources disagree, so every score is stored with its protocol.

A protocol is one declaration: where rows come from, and which of them stay (see ``protocol_rows``). Most choose among
the rows of the zoo's own splits; ``nfn`` is a split of its own, which imports of the original Small CNN Zoo can carry.
Strata are within either. ``folds`` scores all runs, with a predictor for each fold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..data.hub import Store
from ..errors import ZoobenchError, check_known, look_up
from ..zoos import Zoo
from ..zoos.spec import ZooSpec
from ..zoos.splits import SPLITS
from . import protocol_rows
from .protocol_rows import TEST, Rows, RowsOf, final, listed, own_split, with_activation, within

_REFERENCES = ("constant", "hyperparameters")


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
        folds: the rows of "train", "validation" and "test" fold by fold, if it is predicted so; ``learned`` is unused.
    """

    name: str
    description: str
    rows: Callable[[Zoo, Store], Rows | None]
    references: tuple[str, ...] = _REFERENCES
    nothing: str = "protocol {name!r} ({description}) leaves no checkpoint of {zoo}"
    learned: RowsOf = own_split
    ranked: Callable[[ZooSpec], bool] = lambda spec: True
    folds: tuple[RowsOf, ...] = ()


def _protocol(
    name: str,
    description: str,
    rows: RowsOf,
    references: tuple[str, ...] = _REFERENCES,
    nothing: str = Protocol.nothing,
    ranked: Callable[[ZooSpec], bool] = Protocol.ranked,
) -> Protocol:
    """One whose rows of all splits are chosen alike."""
    return Protocol(name, description, lambda zoo, store: rows(zoo, store, TEST), references, nothing, rows, ranked)


# Kinds of networks, which a protocol may be confined to.
_STRATA = {"relu": ("with ReLU", with_activation("relu")), "tanh": ("with tanh", with_activation("tanh"))}
_NFN = "the test rows of the split that later papers use"
_NO_NFN = "{zoo} has no rows of protocol {name!r}; an import of the original archive has, made with --nfn-split"

ALL: tuple[Protocol, ...] = (
    _protocol("all", "every checkpoint of the test runs", own_split),
    _protocol(
        "final",
        "the last checkpoint of every test run",
        within(own_split, final),
        tuple(f"{name}-final" for name in _REFERENCES),
        # Runs that differ in the seed alone end alike: what is left to be told apart is mostly noise.
        ranked=lambda spec: bool(spec.varies),
    ),
    *(_protocol(name, f"test runs {what}", within(own_split, choose)) for name, (what, choose) in _STRATA.items()),
    _protocol(
        "config-disjoint",
        "test runs whose hyperparameters occur in no train or validation run, with any seed",
        protocol_rows.config_disjoint,
    ),
    _protocol(
        "seed-disjoint",
        "runs of seeds, and with them initial weights, that no run has that is learned from",
        protocol_rows.seed_disjoint,
        references=(),
        nothing="{zoo} has no rows of protocol {name!r}: its splits divide no seed, or all its runs have one",
    ),
    Protocol(
        "folds",
        f"every checkpoint of all runs, in {protocol_rows.FOLDS} folds, each predicted from the other folds",
        protocol_rows.everything,
        references=(),
        nothing=f"{{zoo}} has fewer than {protocol_rows.FOLDS} runs or seeds for protocol {{name!r}}",
        folds=tuple(protocol_rows.fold(number) for number in range(protocol_rows.FOLDS)),
    ),
    _protocol("nfn", _NFN, listed("nfn"), references=(), nothing=_NO_NFN),
    *(
        _protocol(f"nfn-{name}", f"{_NFN}, networks {what}", within(listed("nfn"), choose), (), _NO_NFN)
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


def rows_of(name: str, zoo: Zoo, store: Store | None = None, split: str = TEST, fold: int | None = None) -> Rows:
    """The rows of a zoo that a protocol scores, or those of "train" or "validation" that go with them.

    Args:
        name: a protocol's name.
        zoo: which zoo.
        store: where labels are found.
        split: "train", "validation" or "test".
        fold: of which fold, of a protocol that has some; ``None`` for what is scored, the test rows of all.

    Raises:
        ZoobenchError: unknown protocol, split or fold, or one that leaves no row of this zoo.
    """
    check_known("split", split, SPLITS)
    protocol, store = get(name), store or Store()
    _check_fold(protocol, split, fold)
    if fold is not None:
        rows = protocol.folds[fold](zoo, store, split)
    else:
        rows = protocol.rows(zoo, store) if split == TEST else protocol.learned(zoo, store, split)
    if rows is None:
        if split != TEST and protocol.rows(zoo, store) is not None:
            raise ZoobenchError(f"protocol {name!r} leaves no {split} row of {zoo.id}, only test rows")
        nothing = protocol.nothing.format(name=name, description=protocol.description, zoo=zoo.id)
        raise ZoobenchError(f"{nothing}; it has: {', '.join(sensible(zoo, store))}")
    return rows


def sensible(zoo: Zoo, store: Store | None = None) -> list[str]:
    """The protocols that leave rows of a zoo."""
    store = store or Store()
    return [protocol.name for protocol in ALL if protocol.rows(zoo, store)]


def _check_fold(protocol: Protocol, split: str, fold: int | None) -> None:
    folds = len(protocol.folds)
    if fold is None and folds and split != TEST:
        raise ZoobenchError(f"protocol {protocol.name!r} has {split} rows of each fold; give a fold, 0 to {folds - 1}")
    if fold is not None and not folds:
        raise ZoobenchError(f"protocol {protocol.name!r} has no folds, and fold {fold!r} is given; leave it out")
    if fold is not None and fold not in range(folds):
        raise ZoobenchError(f"fold {fold!r} of protocol {protocol.name!r} does not exist; choose from 0 to {folds - 1}")
