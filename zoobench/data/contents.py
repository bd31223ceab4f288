"""What tables say, as a hash that does not depend on how they were written: not on the version of a library, nor on how
rows are cut into files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..zoos.splits import SPLITS
from .folder import DatasetFolder, Places

_TEXT = pa.large_string()
_NOTHING = pa.scalar("", _TEXT)


def content_sha256(tables: Iterable[pa.Table]) -> str:
    """The sha256 of the values of tables of one schema, one after the other.

    It is taken over each column's name, type and the sha256 of its values: numbers in little-endian order, texts each
    with a byte 0 behind it, a byte 1 for one that is missing, and of numbers before each whether it is there.
    """
    columns: dict[str, Any] = {}
    heads: dict[str, str] = {}
    for table in tables:
        for name, column in zip(table.column_names, table.columns, strict=True):
            heads[name] = f"{name}\n{column.type}\n"
            _add(columns.setdefault(name, hashlib.sha256()), column)
    whole = hashlib.sha256()
    for name in sorted(columns):
        whole.update(heads[name].encode() + columns[name].digest())
    return whole.hexdigest()


def _add(digest: Any, column: pa.ChunkedArray) -> None:
    for chunk in column.chunks:
        # Which values are there comes row by row with them, so that it does not matter where a table is cut.
        there = chunk.is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_fixed_size_list(chunk.type):
            digest.update(np.ascontiguousarray(chunk.flatten().to_numpy(), "<f4").tobytes())
        elif pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type):
            ended = pc.binary_join_element_wise(chunk.cast(_TEXT), _NOTHING, pa.scalar("\0", _TEXT)).fill_null("\1")
            together = pa.ListArray.from_arrays([0, len(ended)], ended)
            digest.update(pc.binary_join(together, _NOTHING)[0].as_buffer())
        else:
            values = np.ascontiguousarray(chunk.fill_null(0).to_numpy(zero_copy_only=False))
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            rows = np.concatenate(
                [there[:, None].view(np.uint8), little.view(np.uint8).reshape(len(there), little.itemsize)], 1
            )
            digest.update(rows.tobytes())


def rows_sha256(folder: DatasetFolder, config: str) -> str:
    """The content of all rows of a config, weights and labels, split by split in the order of their files."""
    places = Places(config)

    def tables() -> Iterable[pa.Table]:
        for split in SPLITS:
            for path in sorted(folder.locate(places.rows).glob(Path(places.shards(split)).name)):
                with pq.ParquetFile(path) as file:
                    for group in range(file.num_row_groups):
                        yield file.read_row_group(group)

    return content_sha256(tables())
