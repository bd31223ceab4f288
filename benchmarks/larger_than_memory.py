"""A zoo that is larger than memory: loaded, its statistics extracted, predictions scored, in a control group of 4 GB.

    python -m benchmarks.larger_than_memory [--gigabytes 30] [--limit 4]

Makes a test split of Small CNN rows in a temporary folder, as zoobench writes them. Weights are 0 but for the first of
each row, which is the row's number, so that pages of zeros can be taken out of the files again; the decoded copy that
is mapped takes the whole space (``--folder`` says where). The control group counts the page cache, too: what does not
fit is read again. Needs the right to make a control group (Linux, root).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoobench.data import hub, manifest, schema
from zoobench.data.folder import Places
from zoobench.scoring.harness import evaluate
from zoobench.scoring.jackknife import Jackknife
from zoobench.weightspace import features
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of

from .large_predictions import describe, write_predictions

ZOO = "small-cnn-zoo/mnist"
_CHECKPOINTS = 10
_SHARD_ROWS = 25_000
_GROUPS = (
    (Path("/sys/fs/cgroup/memory/zoobench-limit"), "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    (Path("/sys/fs/cgroup/zoobench-limit"), "memory.max", "memory.peak"),
)


def make(home: Path, rows: int) -> None:
    """A dataset folder with a test split and nothing else."""
    zoo = resolve(ZOO)
    layout = layout_of(zoo.spec.network)
    folder = home / zoo.repo
    places = Places(zoo.spec.config)
    (folder / places.rows).mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels, files = [], []
    matrix = np.zeros((_SHARD_ROWS, layout.size), np.float32)
    for start in range(0, rows, _SHARD_ROWS):
        number = np.arange(start, min(rows, start + _SHARD_ROWS))
        matrix[: len(number), 0] = number
        columns = {
            "run_id": pa.array([f"run-{k:07d}" for k in number // _CHECKPOINTS]),
            "config_id": pa.array(["0"] * len(number)),
            "epoch": pa.array(number % _CHECKPOINTS, pa.int32()),
            "test_accuracy": pa.array(np.round(rng.uniform(size=len(number)), 4)),
        }
        table = schema.row_table(columns, matrix[: len(number)])
        path = folder / places.shard("test", start // _SHARD_ROWS, -(-rows // _SHARD_ROWS))
        # As shards.write_table does, but that what becomes holes never goes to the disk.
        plain = {"compression": "NONE", "use_dictionary": False, "write_statistics": False}
        pq.write_table(table, path, row_group_size=16_000_000 // (4 * layout.size), **plain)
        subprocess.run(["fallocate", "--dig-holes", str(path)], check=True)
        files.append(manifest.file_entry(folder, path))
        labels.append(table.select(schema.LABELS.names))
    path = folder / places.labels_of("test")
    path.parent.mkdir(parents=True)
    pq.write_table(pa.concat_tables(labels), path)
    describe(folder, zoo, rows, rows // _CHECKPOINTS, [*files, manifest.file_entry(folder, path)])


def work(home: Path) -> None:
    """What is done within the limit; prints seconds, peaks and what it came to."""
    seconds = {}
    zoo = resolve(ZOO)

    def done(name: str, start: float) -> float:
        seconds[name] = round(time.perf_counter() - start, 1)
        return time.perf_counter()

    start = time.perf_counter()
    split = hub.load_split(zoo, "test", columns=["example_id", "test_accuracy"], memory_map=True)
    start = done("load, decoding to the mapped copy", start)
    split = hub.load_split(zoo, "test", columns=["example_id", "test_accuracy"], memory_map=True)
    start = done("load again", start)
    statistics = features.extract("stats", split.weights, split.layout)
    # The largest weight of a row's first tensor is its number.
    largest = features.QUARTILES.index(100) + 2
    np.testing.assert_array_equal(statistics[:, largest], np.arange(len(split.weights)))
    start = done("statistics of all rows", start)
    write_predictions(home / "predictions.parquet", pa.Table.from_pandas(split.labels), zoo.id)
    del statistics
    start = time.perf_counter()
    result = evaluate(home / "predictions.parquet", jackknife=Jackknife(groups=100))
    done("scoring, 100 resamples", start)
    tau = str(result.results[0].tasks["accuracy"].scores["kendall_tau"])
    report = {"rows": len(split.weights), "matrix_GB": round(split.weights.nbytes / 1e9, 1), "seconds": seconds}
    print(json.dumps(report | {"tau": tau}))


def limited(limit: int) -> tuple[Path, str]:
    """A control group that may use so many bytes, and the file of its peak."""
    for folder, maximum, peak in _GROUPS:
        if (folder.parent / "cgroup.procs").exists() and os.access(folder.parent, os.W_OK):
            folder.mkdir(exist_ok=True)
            if (folder / maximum).exists():
                (folder / maximum).write_bytes(str(limit).encode())
                return folder, peak
            folder.rmdir()
    sys.exit("no control group for memory can be made here: this needs Linux, and root")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=30)
    parser.add_argument("--limit", type=float, default=4, help="gigabytes of memory")
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder; default the system's")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return
    row_bytes = 4 * layout_of(resolve(ZOO).spec.network).size
    group, peak = limited(int(arguments.limit * 1e9))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        make(Path(name), int(arguments.gigabytes * 1e9) // row_bytes)
        environment = os.environ | {"ZOOBENCH_DATA": name, "XDG_CACHE_HOME": name}
        command = [sys.executable, "-m", "benchmarks.larger_than_memory", "--work", name]
        # The process puts itself into the group before anything of Python is loaded.
        shell = ["sh", "-c", f'echo $$ > "{group}/cgroup.procs"; exec "$@"', "sh", *command]
        done = subprocess.run(shell, env=environment, capture_output=True, encoding="utf-8")
        if done.returncode:
            sys.exit(done.stderr or f"ended with {done.returncode}: killed at the limit?")
        report = json.loads(done.stdout)
    report |= {
        "limit_GB": arguments.limit,
        "peak_GB_with_page_cache": round(int((group / peak).read_text(encoding="utf-8")) / 1e9, 2),
    }
    print(json.dumps(report, indent=1))
    group.rmdir()


if __name__ == "__main__":
    main()
