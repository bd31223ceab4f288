"""Import a synthetic Small CNN Zoo archive of full size: seconds, rows per second, peak memory.

    python -m benchmarks.import_release [--runs 30000] [--folder DIR]

Writes ``weights.npy`` (270,000 x 4,970 float32, 5.4 GB), ``metrics.csv.gz`` and ``layout.csv`` with rows in no order,
imports them in a process of its own with the permutation of later papers, and checks some rows. Needs about 17 GB of
disk in DIR (default: the folder for temporary files), which it gives back.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from zoobench.data import hub
from zoobench.data.manifest import read_manifest
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of

_STEPS = (0, 1, 2, 3, 20, 40, 60, 80, 86)
_SHAPES = {
    "sequential/conv2d": (3, 3, 1, 16),
    "sequential/conv2d_1": (3, 3, 16, 16),
    "sequential/conv2d_2": (3, 3, 16, 16),
    "sequential/dense": (16, 10),
}


def write(folder: Path, runs: int) -> pd.DataFrame:
    """A release with random weights; returns its metrics, in row order."""
    rng = np.random.default_rng(0)
    layout, start = [], 0
    for name, shape in _SHAPES.items():
        for part, its_shape in (("bias", shape[-1:]), ("kernel", shape)):
            end = start + int(np.prod(its_shape))
            layout.append((f"{name}/{part}:0", start, end, str(its_shape)))
            start = end
    pd.DataFrame(layout, columns=["varname", "start_idx", "end_idx", "shape"]).to_csv(folder / "layout.csv")
    order = rng.permutation(runs * len(_STEPS))
    run, step = np.divmod(order, len(_STEPS))
    accuracy = rng.uniform(0.1, 0.6, (3, len(order)))
    per_run = {
        "config.activation": rng.choice(["relu", "tanh"], runs)[run],
        "config.b_init": "zeros",
        "config.dataset": "cifar10",
        "config.dnn_architecture": "cnn",
        "config.dropout": rng.uniform(0, 0.7, runs)[run],
        "config.epochs": 86,
        "config.epochs_between_checkpoints": 20,
        "config.init_std": rng.uniform(0.001, 0.5, runs)[run],
        "config.l2reg": (10 ** rng.uniform(-8, -3, runs))[run],
        "config.learning_rate": (10 ** rng.uniform(-3, -0.3, runs))[run],
        "config.num_layers": 3,
        "config.num_units": 16,
        "config.optimizer": rng.choice(["adam", "sgd", "rmsprop"], runs)[run],
        "config.random_seed": 42,
        "config.train_fraction": rng.choice([0.1, 0.25, 0.5, 1.0], runs)[run],
        "config.w_init": rng.choice(["RandomNormal", "he_normal", "glorot_normal", "orthogonal"], runs)[run],
        "modeldir": [f"/zoo/cifar10/{number}" for number in run],
        "step": np.array(_STEPS)[step],
    }
    metrics = pd.DataFrame(
        per_run | {"test_accuracy": accuracy[0], "test_loss": 1.5, "train_accuracy": accuracy[1], "train_loss": 1.4}
    )
    with gzip.open(folder / "metrics.csv.gz", "wt", compresslevel=1, encoding="utf-8") as file:
        metrics.to_csv(file, index=False)
    weights = np.lib.format.open_memmap(folder / "weights.npy", "w+", np.float32, (len(order), start))
    for first in range(0, len(order), 10_000):
        block = rng.standard_normal((min(10_000, len(order) - first), start), np.float32)
        block[:, 0] = np.arange(first, first + len(block))  # a row's number, so that it can be told where it went
        weights[first : first + len(block)] = block
    del weights
    permutation = rng.permutation(len(order))
    (folder / "split.csv").write_bytes(("\n".join(map(str, [0, *permutation])) + "\n").encode())
    return metrics


def check(out: Path, release: Path, metrics: pd.DataFrame) -> None:
    """Every row is there once; some rows, weight by weight."""
    zoo = resolve("small-cnn-zoo/cifar10")
    original = np.load(release / "weights.npy", mmap_mode="r")
    kernel = layout_of(zoo.spec.network).layers[1].weight
    seen = 0
    for split in ("test", "validation"):
        part = hub.load_split(zoo, split, store=hub.Store([out]))
        rows = part.weights[:, 144].astype(np.int64)  # the first layer's bias stands after its 144 weights
        names = metrics["modeldir"].to_numpy()[rows]
        assert (part.labels["run_id"].to_numpy() == names).all()
        for position in range(0, len(rows), max(1, len(rows) // 50)):
            theirs = original[rows[position], 160 + 16 : 160 + 16 + 2304].reshape(3, 3, 16, 16).transpose(3, 2, 0, 1)
            assert np.array_equal(part.weights[position, kernel.slice].reshape(kernel.shape), theirs)
        seen += len(rows)
    config = read_manifest(out / "small-cnn-zoo").configs["cifar10"]
    assert seen == config.rows - config.splits["train"].rows
    assert config.rows == len(metrics)


def _peak_memory(pid: int) -> int:
    """Bytes that a running process had resident at its highest; 0 if it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        release, out = Path(name) / "release", Path(name) / "out"
        release.mkdir()
        metrics = write(release, arguments.runs)
        start = time.perf_counter()
        command = [sys.executable, "-m", "zoobench", "import", "small-cnn-zoo", str(release), "--out", str(out)]
        importing = subprocess.Popen([*command, "--nfn-split", str(release / "split.csv")], stdout=subprocess.PIPE)
        peak = 0
        while importing.poll() is None:
            peak = max(peak, _peak_memory(importing.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        said = importing.communicate()[0].decode()
        if importing.returncode:
            sys.exit(importing.returncode)
        check(out, release, metrics)
        size = (release / "weights.npy").stat().st_size
        print(said.strip().splitlines()[0].replace(name, "DIR"))
        print(
            json.dumps(
                {
                    "rows": len(metrics),
                    "weights_gb": round(size / 1e9, 2),
                    "seconds": round(seconds),
                    "rows_per_second": round(len(metrics) / seconds),
                    "peak_memory_gb": round(peak / 1e9, 2),
                }
            )
        )


if __name__ == "__main__":
    main()
