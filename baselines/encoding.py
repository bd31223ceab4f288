"""Encoding the networks of a zoo by a model that was trained and saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoobench.data.hub import ZooSplit
from zoobench.errors import ZoobenchError
from zoobench.files import write_atomically
from zoobench.zoos.layout import Layout

from .comvex import ComVeXModel
from .hyperrep import HyperRepModel
from .matrices import in_batches
from .pretrained import read_model

Encoder = ComVeXModel | HyperRepModel
_MODELS: dict[str, type[ComVeXModel] | type[HyperRepModel]] = {"comvex": ComVeXModel, "hyperrep": HyperRepModel}


def load_encoder(folder: Path) -> Encoder:
    """Load a model that was saved by ``save_pretrained``.

    Raises:
        ZoobenchError: no such folder, or not a model of ours.
    """
    loaded: Encoder = read_model(folder, _MODELS)
    return loaded


def vectors(encoder: Encoder, layout: Layout, weights: np.ndarray) -> np.ndarray:
    """Vectors (rows, D) of networks (rows, N).

    Raises:
        ZoobenchError: a model of other networks, one without an encoder, or vectors that are not finite.
    """
    if Layout.from_json(encoder.config.layout) != layout:
        raise ZoobenchError("the model encodes other networks than these; their layouts differ")
    if encoder.config.architecture == "fc":
        raise ZoobenchError("a model of the architecture 'fc' has no encoder; choose fc-linear, linear or conv")
    found = in_batches(encoder.encode, weights)
    if not np.isfinite(found).all():
        raise ZoobenchError("the model encodes some of these networks as NaN or infinite numbers; train it again")
    return found


def encoded(encoder: Encoder, networks: ZooSplit) -> pa.Table:
    """``example_id``, ``z`` (D numbers), and ``z_<layer>`` for each layer that has a vector of its own.

    Raises:
        ZoobenchError: see ``vectors``.
    """
    found = vectors(encoder, networks.layout, networks.weights)
    columns = {"example_id": pa.array(networks.labels["example_id"]), "z": _lists(found)}
    for name, part in encoder.parts().items():
        columns[f"z_{name}"] = _lists(found[:, part])
    return pa.table(columns)


def _lists(rows: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(rows).ravel()), rows.shape[1])


def write_encoded(table: pa.Table, out: Path) -> None:
    """Write vectors as parquet, whole or not at all.

    Raises:
        ZoobenchError: it cannot be written.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    try:
        write_atomically(out, sink.getvalue().to_pybytes())
    except OSError as error:
        raise ZoobenchError(f"cannot write {out}: {error.strerror or error}") from error
