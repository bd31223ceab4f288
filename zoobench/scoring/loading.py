"""Loading a split of a zoo with its weights, or the rows of it that a protocol takes (see ``protocols``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data import hub
from ..data.hub import Store, ZooSplit
from ..errors import ZoobenchError
from ..zoos import Zoo, resolve
from ..zoos.splits import SPLITS
from .protocols import rows_of

_ID = "example_id"


def load_zoo(
    name: str,
    split: str = "train",
    columns: Sequence[str] | None = None,
    revision: str | None = None,
    memory_map: bool = False,
    protocol: str | None = None,
    fold: int | None = None,
) -> ZooSplit:
    """Load one split of a zoo: from ``ZOOBENCH_DATA``, or else from the Hub.

    >>> zoo = load_zoo("tetris-zoo/seed", split="test", columns=["example_id", "test_accuracy"])
    >>> zoo.weights.shape, zoo.labels["test_accuracy"], zoo.layout.to_matrices(zoo.weights)["fc1"]

    Args:
        name: zoo id, e.g. ``"cnn-zoo-2/cifar10"`` or ``"mnist-zoo-lite/seed"``.
        split: "train", "validation" or "test".
        columns: label columns to read; ``None`` for all.
        revision: commit, branch or tag of the Hub dataset; the Hub alone is asked then.
        memory_map: keep a decoded copy of the weights in the user's cache (as large as the matrix) and map it,
            read-only: later calls take no time and share it between processes.
        protocol: the rows that go with a protocol alone, as ``"final"``; of ``"nfn"`` and its strata the splits are
            their own. ``None`` for all rows of the zoo's split.
        fold: of ``"folds"``, whose splits: 0 to 4.

    Returns:
        weights (rows, N) float32, labels as a DataFrame beside them, and the layout that takes rows apart.

    Raises:
        ZoobenchError: unknown zoo, split, column, protocol or fold, or the zoo or rows of the protocol cannot be found,
            or its files are not those that its manifest describes.
    """
    return load_rows(resolve(name), split, protocol, Store(revision=revision), columns, memory_map, fold)


def load_rows(
    zoo: Zoo,
    split: str,
    protocol: str | None,
    store: Store,
    columns: Sequence[str] | None = None,
    memory_map: bool = False,
    fold: int | None = None,
) -> ZooSplit:
    """As ``load_zoo``, from a store."""
    if protocol is None:
        if fold is not None:
            raise ZoobenchError(f"fold {fold!r} is of no protocol; add protocol='folds'")
        return hub.load_split(zoo, split, columns, memory_map, store)
    wanted = pd.Index(rows_of(protocol, zoo, store, split, fold).labels[_ID])
    read = None if columns is None else list(dict.fromkeys([*columns, _ID]))
    weights, frames = None, []
    missing = len(wanted)
    # A protocol's own split has rows of all of ours; the others have theirs in one.
    for own in sorted(SPLITS, key=lambda name: name != split):
        if not missing:
            break
        part = hub.load_split(zoo, own, read, memory_map, store)
        place = wanted.get_indexer(part.labels[_ID])
        there = place >= 0
        if weights is None:
            weights = np.empty((len(wanted), part.layout.size), np.float32)
        weights[place[there]] = part.weights[there]
        frames.append(part.labels[there].set_axis(place[there]))
        missing -= int(there.sum())
    if weights is None or missing:
        raise ZoobenchError(f"{missing:,} rows of {zoo.id} that its labels name are not in its files; build it again")
    labels = pd.concat(frames).sort_index()
    return ZooSplit(zoo, split, part.layout, weights, labels if columns is None else labels[list(columns)])
