"""How fast a column of weights is read: parquet to one float32 matrix, and what people do otherwise.

    python -m benchmarks.bench loading

Makes a zoo's shards in a temporary folder (removed afterwards), then reads them in one process per way, best of eight:
cold is parquet to matrix, warm a memory map of a copy that was decoded before. Bytes are those of the matrix; memory
is the peak resident size of the reading process, less what it had before, in matrices. The page cache holds the files:
decoding is measured, not the disk. Two threads each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoobench.data import schema, shards, weights
from zoobench.data.folder import DatasetFolder

from .measured import Measurement, copy_bytes

_THREADS = 2


def make(folder: Path, rows: int, width: int) -> None:
    """The same rows three times: as zoobench writes them, with nullable items, and as the original .npy."""
    rng = np.random.default_rng(0)
    part = 5_000
    runs = -(-rows // part)
    chunks, whole = [], np.lib.format.open_memmap(folder / "weights.npy", "w+", np.float32, (rows, width))
    for number in range(runs):
        start, stop = number * part, min(rows, (number + 1) * part)
        whole[start:stop] = rng.standard_normal((stop - start, width), np.float32)
        names = pa.array([f"run-{row:06d}" for row in range(start, stop)])
        columns = {"run_id": names, "config_id": names, "epoch": pa.array([86] * (stop - start), pa.int32())}
        chunks.append(folder / f"chunk-{number:04d}.parquet")
        shards.write_table(chunks[-1], schema.row_table(columns, whole[start:stop]))
    split_of_run = {f"run-{row:06d}": "train" for row in range(rows)}
    shards.write_splits(DatasetFolder(folder), "zoo", chunks, split_of_run)
    files = sorted((folder / "zoo").glob("train-*.parquet"))
    item = pa.field("item", pa.float32())
    nullable = schema.rows(width).set(
        schema.rows(width).get_field_index("weights"), pa.field("weights", pa.list_(item, width))
    )
    (folder / "nullable").mkdir()
    for path in files:
        table = pq.read_table(path)
        group = pq.read_metadata(path).row_group(0).num_rows
        pq.write_table(
            table.cast(nullable), folder / "nullable" / path.name, compression="NONE", use_dictionary=False,
            write_statistics=False, row_group_size=group,
        )  # fmt: skip
    for path in chunks:
        path.unlink()


def _zoobench(folder: Path, width: int) -> np.ndarray:
    return weights.read(sorted((folder / "zoo").glob("train-*.parquet")), width)


def _nullable(folder: Path, width: int) -> np.ndarray:
    return weights.read(sorted((folder / "nullable").glob("*.parquet")), width)


def _pyarrow(folder: Path, width: int) -> np.ndarray:
    column = pq.read_table(folder / "zoo", columns=["weights"])["weights"].combine_chunks()
    return np.asarray(column.flatten()).reshape(-1, width)


def _pandas(folder: Path, width: int) -> np.ndarray:
    import pandas as pd

    rows: list[np.ndarray] = pd.read_parquet(folder / "zoo", columns=["weights"])["weights"].tolist()
    return np.stack(rows)


def _npy_split(folder: Path, width: int) -> np.ndarray:
    """The loader of later papers: the whole file, then a shuffled copy."""
    whole = np.load(folder / "weights.npy")
    return whole[np.random.RandomState(0).permutation(len(whole))]


def _mapped(folder: Path, width: int) -> np.ndarray:
    files = sorted((folder / "zoo").glob("train-*.parquet"))
    return weights.read_mapped(files, width)


WAYS: dict[str, tuple[str, Callable[[Path, int], np.ndarray]]] = {
    "zoobench": ("`load_zoo`: non-null items, row groups side by side", _zoobench),
    "nullable": ("the same reader, items declared nullable", _nullable),
    "pyarrow": ("`pyarrow.parquet.read_table`, combined", _pyarrow),
    "pandas": ("`pandas.read_parquet` and `np.stack`", _pandas),
    "npy": ("`np.load` of the original and a shuffled copy", _npy_split),
    "mapped": ("`load_zoo(memory_map=True)`, warm, summed once", _mapped),
}
_WARM = ("mapped",)


def measure(way: str, folder: Path, width: int, repeats: int) -> None:
    """Run in a process of its own: print the best seconds, the bytes, and by how much memory rose at its highest."""
    pa.set_cpu_count(_THREADS)
    read = WAYS[way][1]
    if way in _WARM:
        read(folder, width)
    before = peak_memory()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        matrix = read(folder, width)
        if way in _WARM:
            np.add.reduce(matrix.reshape(-1)[:: 4096 // 4])  # touches every page
        best = min(best, time.perf_counter() - start)
        size = matrix.nbytes
        del matrix
    print(json.dumps([best, size, peak_memory() - before]))


def peak_memory() -> int:
    """Bytes; of this program alone, where ``ru_maxrss`` would start from the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


def measurements(quick: bool) -> Iterator[Measurement]:
    rows, width, repeats = (10_000, 4_970, 3) if quick else (50_000, 4_970, 8)
    rates, memory = {}, {}
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), rows, width)
        environment = os.environ | {"XDG_CACHE_HOME": name, "OMP_NUM_THREADS": str(_THREADS)}
        for way in WAYS:
            command = [sys.executable, "-m", __name__, way, name, str(width), str(repeats)]
            done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
            seconds, size, peak = json.loads(done.stdout)
            rates[way], memory[way] = size / seconds, peak / size
    copied = copy_bytes()
    for other in WAYS:
        if other in ("zoobench", "mapped"):
            continue
        yield Measurement(
            f"{rows:,} rows of {width:,} weights, cold (memory: {memory['zoobench']:.2f} matrices)",
            "bytes/s",
            [rates["zoobench"]],
            f"{WAYS[other][0]} (memory: {memory[other]:.2f})",
            [rates[other]],
            "copy in memory, a core",
            copied,
            rate_goal=1.5e9,
            guard=0.15 if other == "npy" else 0.5,
        )
    yield Measurement(
        f"{rows:,} rows of {width:,} weights, warm: {WAYS['mapped'][0]}",
        "bytes/s",
        [rates["mapped"]],
        WAYS["npy"][0],
        [rates["npy"]],
        rate_goal=10e9,
        guard=1.5,
    )


if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
