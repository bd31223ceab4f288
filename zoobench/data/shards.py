"""Parquet files of a dataset config: chunks while it is built, then one set of shards per split.

Weights are stored plain (float32 noise does not compress and plain pages decode fastest), labels with zstd.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..files import whole
from ..zoos.splits import SPLITS
from . import schema
from .folder import DatasetFolder, Places

_SHARD_BYTES = 500_000_000
_ROW_GROUP_BYTES = 16_000_000


def _compression(columns: Iterable[str]) -> dict[str, str]:
    return {
        "weights.list.element" if column == "weights" else column: "NONE" if column == "weights" else "ZSTD"
        for column in columns
    }


def _writer(target: Path | BinaryIO, table_schema: pa.Schema) -> pq.ParquetWriter:
    labels = [name for name in table_schema.names if name != "weights"]
    return pq.ParquetWriter(
        target,
        table_schema,
        compression=_compression(table_schema.names),
        use_dictionary=labels,
        write_statistics=labels,
    )


def write_table(path: Path, table: pa.Table) -> None:
    """Write one table to one file, in row groups of bounded size; the file is there whole or not at all."""
    write_tables(path, table.schema, [table])


def write_tables(path: Path, table_schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write tables one after the other to one file, in row groups of bounded size; it is there whole or not at all."""
    with whole(path) as fresh, fresh.open("wb") as handle, _writer(handle, table_schema) as writer:
        for table in tables:
            row_bytes = max(1, table.nbytes // max(1, table.num_rows))
            writer.write_table(table, row_group_size=max(1, _ROW_GROUP_BYTES // row_bytes))


def write_splits(
    folder: DatasetFolder, config: str, chunks: Sequence[Path], split_of_run: dict[str, str]
) -> dict[str, int]:
    """Distribute the rows of the chunk files over the splits.

    Writes the files of rows and of labels of every split, in chunk order, one chunk in memory at a time.

    Returns:
        rows per split.
    """
    places = Places(config)
    folder.locate(places.rows).mkdir(parents=True)
    table_schema = pq.read_schema(chunks[0])
    row_bytes = table_schema.field("weights").type.list_size * 4
    rows_per_shard = max(1, _SHARD_BYTES // row_bytes)
    row_group = max(1, _ROW_GROUP_BYTES // row_bytes)
    counts = {}
    for split in SPLITS:
        total = sum(len(table) for table in _rows_of(chunks, split, split_of_run, ["run_id"]))
        counts[split] = total
        shards = max(1, -(-total // rows_per_shard))
        paths = [folder.locate(places.shard(split, k, shards)) for k in range(shards)]
        rest = _rows_of(chunks, split, split_of_run, None)
        buffered = table_schema.empty_table()
        labels = []
        for path in paths:
            wanted = min(rows_per_shard, total)
            total -= wanted
            with _writer(path, table_schema) as writer:
                while wanted:
                    if not buffered.num_rows:
                        buffered = next(rest)
                        labels.append(buffered.select(schema.LABELS.names))
                    part = buffered.slice(0, min(wanted, row_group))
                    writer.write_table(part)
                    wanted -= part.num_rows
                    buffered = buffered.slice(part.num_rows)
        label_table = pa.concat_tables(labels) if labels else schema.LABELS.empty_table()
        write_table(folder.locate(places.labels_of(split)), label_table)
    return counts


def _rows_of(
    chunks: Sequence[Path], split: str, split_of_run: dict[str, str], columns: list[str] | None
) -> Iterator[pa.Table]:
    """The rows of each chunk that belong to ``split``, skipping chunks without any."""
    runs = pa.array([run for run, its_split in split_of_run.items() if its_split == split], pa.string())
    for chunk in chunks:
        table = pq.read_table(chunk, columns=columns)
        table = table.filter(pc.is_in(table["run_id"], value_set=runs))
        if table.num_rows:
            yield table
