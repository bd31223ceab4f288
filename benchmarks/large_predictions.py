"""Memory and time of scoring a very long predictions file: ten million rows of one zoo, one task.

    python -m benchmarks.large_predictions [--rows 10000000] [--runs 200000] [--resamples 1000]

Labels and predictions are made up; the zoo is a dataset folder like any other, and a process of its own scores it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoobench import zoos
from zoobench.data import manifest, schema
from zoobench.data.folder import Places
from zoobench.zoos.layout import layout_of

ZOO = "tetris-zoo/seed"
_SCORE = """
import sys, time
from pathlib import Path
from zoobench.scoring.harness import evaluate
from zoobench.scoring.jackknife import Jackknife
start = time.perf_counter()
result = evaluate(Path(sys.argv[1]), jackknife=Jackknife(groups=int(sys.argv[2])))
peak = next(line for line in open("/proc/self/status", encoding="utf-8") if line.startswith("VmHWM")).split()[1]
print(time.perf_counter() - start, int(peak) / 1e6, result.results[0].tasks["accuracy"].scores["kendall_tau"])
"""


def write_zoo(home: Path, rows: int, runs: int) -> pa.Table:
    """A dataset folder with the labels of a test split and nothing else."""
    zoo = zoos.resolve(ZOO)
    rng = np.random.default_rng(0)
    run = np.arange(rows) // (rows // runs)
    run_ids = pa.DictionaryArray.from_arrays(run, [f"seed-{k:07d}" for k in range(runs)]).cast(pa.string())
    columns = {
        "run_id": run_ids,
        "epoch": pa.array(1 + np.arange(rows) % (rows // runs), pa.int32()),
        "config_id": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["0"]).cast(pa.string()),
        "test_accuracy": pa.array(np.round(rng.uniform(size=rows), 3)),
        "generalization_gap": pa.array(np.round(rng.uniform(size=rows), 3)),
    }
    columns["example_id"] = schema.example_ids(columns["run_id"], columns["epoch"])
    arrays = [columns[f.name] if f.name in columns else pa.nulls(rows, f.type) for f in schema.LABELS]
    labels = pa.Table.from_arrays(arrays, names=schema.LABELS.names)
    folder = home / zoo.repo
    path = folder / Places(zoo.spec.config).labels_of("test")
    path.parent.mkdir(parents=True)
    pq.write_table(labels, path)
    describe(folder, zoo, rows, runs, [manifest.file_entry(folder, path)])
    return labels


def describe(folder: Path, zoo: zoos.Zoo, rows: int, runs: int, files: list[manifest.FileEntry]) -> None:
    """The manifest of a folder that has these files of a zoo."""
    entry = manifest.ConfigManifest(
        zoo=zoo.id,
        scale=zoo.scale,
        network=manifest.to_json(zoo.spec.network.layers),
        layout=layout_of(zoo.spec.network).to_json(),
        preprocessing={},
        checkpoints=[],
        runs=runs,
        rows=rows,
        splits={},
        dropped=[],
        files=files,
        versions={},
        built="",
    )
    whole = manifest.Manifest(
        schema_version=manifest.SCHEMA_VERSION, repo=zoo.repo, scale=zoo.scale, configs={zoo.spec.config: entry}
    )
    manifest.write_manifest(folder, whole)


def write_predictions(path: Path, labels: pa.Table, zoo: str = ZOO) -> None:
    """Of the accuracy, with noise."""
    noise = np.random.default_rng(1).normal(0, 0.2, len(labels))
    predictions = {
        "zoo": pa.DictionaryArray.from_arrays(np.zeros(len(labels), np.int32), [zoo]),
        "example_id": labels["example_id"],
        "accuracy": pa.array(labels["test_accuracy"].to_numpy() + noise),
    }
    pq.write_table(pa.table(predictions), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=200_000)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, path = Path(folder), Path(folder) / "preds.parquet"
        labels = write_zoo(home, arguments.rows, arguments.runs)
        write_predictions(path, labels)
        megabytes = path.stat().st_size / 1e6
        del labels
        environment = os.environ | {"ZOOBENCH_DATA": folder}
        command = [sys.executable, "-c", _SCORE, str(path), str(arguments.resamples)]
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
        seconds, gigabytes, tau = done.stdout.split(maxsplit=2)
    report = {
        "rows": arguments.rows,
        "runs": arguments.runs,
        "resamples": arguments.resamples,
        "file_MB": round(megabytes),
        "seconds": round(float(seconds), 1),
        "peak_GB": round(float(gigabytes), 2),
        "tau": tau.strip(),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
