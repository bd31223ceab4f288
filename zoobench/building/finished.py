"""Finished chunks on disk: rows, and beside them what is said of them, which comes last.

A chunk is there when its rows are the very ones that are spoken of, and are of its runs; all else is trained again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ..data import shards
from ..data.manifest import DroppedRun
from ..errors import ZoobenchError
from ..files import sha256_of, write_atomically
from ..strict import Strict
from .chunks import Chunk, TrainedChunk


class _Record(Strict):
    """What is said of a chunk: the sha256 of its file of rows, whose rows they are, and which runs diverged."""

    sha256: str
    runs: list[str]
    dropped: list[DroppedRun]


def rows_of(work: Path, chunk: Chunk) -> Path:
    """Where the rows of a chunk lie, or will lie."""
    return work / f"chunk-{chunk.start:06d}.parquet"


def records(work: Path) -> list[Path]:
    """What is said of the chunks that are finished."""
    return sorted(work.glob("chunk-*.json"))


def keep(work: Path, chunk: Chunk, trained: TrainedChunk) -> None:
    """Write a trained chunk."""
    table, dropped = trained
    path = rows_of(work, chunk)
    shards.write_table(path, table)
    record = _Record(sha256=sha256_of(path), runs=table["run_id"].unique().to_pylist(), dropped=dropped)
    write_atomically(path.with_suffix(".json"), record.model_dump_json().encode())


def dropped_of(work: Path, chunk: Chunk) -> list[DroppedRun] | None:
    """The runs of a chunk that diverged; ``None`` if the chunk is not there, or not whole."""
    path = rows_of(work, chunk)
    try:
        record = _Record.model_validate_json(path.with_suffix(".json").read_bytes())
        if sha256_of(path) != record.sha256:
            return None
    except (OSError, ValidationError):
        return None
    told = sorted([*record.runs, *(run.run_id for run in record.dropped)])
    return list(record.dropped) if told == sorted(run.run_id for run in chunk.runs) else None


def check_complete(work: Path, chunks: Sequence[Chunk], dropped: Sequence[DroppedRun]) -> None:
    """Every run of the plan has its rows, one for each checkpoint, or diverged.

    Raises:
        ZoobenchError: a chunk was changed after it was trained.
    """
    lost = {run.run_id for run in dropped}
    for chunk in chunks:
        expected = [run.run_id for run in chunk.runs if run.run_id not in lost for _ in chunk.checkpoints]
        found = None
        with contextlib.suppress(OSError, pa.ArrowException):
            found = pq.read_table(rows_of(work, chunk), columns=["run_id"])["run_id"].to_pylist()
        if found != expected:
            raise ZoobenchError(
                f"{rows_of(work, chunk)} does not hold the rows of its {len(chunk.runs)} runs any more; nothing was "
                "written: build again, which trains it anew"
            )
