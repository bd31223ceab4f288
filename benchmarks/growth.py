"""How cost grows: seconds and peak memory of building, loading, statistics and scoring as zoos get larger.

    python -m benchmarks.growth [--quick]

Each point is a process of its own, two threads, its work done once to warm up at the smallest size: seconds of the work
alone, and by how much resident memory rises above what there was before it. Building takes Tetris networks of ten
epochs (runs), or 64 fully-connected networks whose hidden layer grows (weights); loading decodes parquet to a matrix;
statistics are 7 per tensor; scoring is a predictions file of one task with 100 resamples. Writes the table into
docs/growth.md, between its two marks, and docs/growth.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from zoobench.building.build import build
from zoobench.data import weights
from zoobench.publishing.documents import hardware, table, write
from zoobench.scoring.harness import evaluate
from zoobench.scoring.jackknife import Jackknife
from zoobench.training import population
from zoobench.training.images import Images
from zoobench.weightspace import features
from zoobench.zoos import Zoo, resolve
from zoobench.zoos.layout import Layout, Tensor, layout_of
from zoobench.zoos.runs import runs_of
from zoobench.zoos.spec import Activation, Flatten, Linear, Network

from . import large_predictions, loading

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "growth.md"
_WIDTH, _ROWS, _CHECKPOINTS = 4_970, 5_000, 50
Job = Callable[[], object]


def build_runs(folder: Path, runs: int) -> Job:
    zoo = resolve("tetris-zoo/seed")
    scale = dataclasses.replace(zoo.size, runs=runs, checkpoints=tuple(range(1, 11)))
    larger = Zoo(dataclasses.replace(zoo.spec, scales=(("full", scale),)), "full")
    return lambda: build(larger, Path(tempfile.mkdtemp(dir=folder)), workers=1)


def build_weights(folder: Path, size: int) -> Job:
    hidden = size // (64 + 10 + 2)
    network = Network("", (Flatten(), Linear("fc1", 64, hidden), Activation(), Linear("fc2", hidden, 10)))
    rng = np.random.default_rng(0)
    pixels, labels = rng.normal(size=(1_000, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 1_000)
    images = Images(pixels, labels, pixels[:100], labels[:100], sha256="", origin="random")
    runs = [
        dataclasses.replace(run, hyperparameters=dataclasses.replace(run.hyperparameters, batch_size=32))
        for run in runs_of(resolve("tetris-zoo/seed"))[:64]
    ]
    return lambda: list(population.train(network, runs, images, (1,)))


def load_rows(folder: Path, rows: int, width: int = _WIDTH) -> Job:
    files = sorted((folder / f"{rows}-{width}" / "zoo").glob("train-*.parquet"))
    return lambda: weights.read(files, width)


def load_weights(folder: Path, width: int) -> Job:
    return load_rows(folder, _ROWS, width)


def statistics_rows(folder: Path, rows: int, width: int = _WIDTH) -> Job:
    matrix = np.random.default_rng(0).standard_normal((rows, width), np.float32)
    layout = layout_of(resolve("small-cnn-zoo/mnist").spec.network)
    if width != layout.size:
        eighth = width // 8
        layout = Layout(tuple(Tensor(f"fc{k}.weight", (eighth,), k * eighth) for k in range(8)))
    return lambda: features.extract("stats", matrix, layout)


def statistics_weights(folder: Path, width: int) -> Job:
    return statistics_rows(folder, _ROWS, width)


def score_rows(folder: Path, rows: int) -> Job:
    os.environ["ZOOBENCH_DATA"] = str(folder / f"labels-{rows}")
    path = folder / f"labels-{rows}" / "predictions.parquet"
    return lambda: evaluate(path, jackknife=Jackknife(groups=100))


@dataclass(frozen=True)
class Activity:
    """``start(folder, size)`` prepares in the measured process what is not measured, and returns the work."""

    name: str
    axis: str
    start: Callable[[Path, int], Job]
    sizes: tuple[int, ...]


ACTIVITIES = (
    Activity("building", "runs", build_runs, (500, 1_000, 2_000, 4_000, 8_000)),
    Activity("building", "weights", build_weights, (1_216, 4_864, 9_728, 19_456, 38_912, 77_824)),
    Activity("loading", "rows", load_rows, (5_000, 10_000, 20_000, 40_000, 80_000)),
    Activity("loading", "weights", load_weights, (1_024, 4_096, 16_384, 65_536)),
    Activity("statistics", "rows", statistics_rows, (5_000, 10_000, 20_000, 40_000, 80_000)),
    Activity("statistics", "weights", statistics_weights, (1_024, 4_096, 16_384, 65_536)),
    Activity("scoring", "rows", score_rows, (20_000, 80_000, 320_000, 1_280_000)),
)
BY_NAME: Mapping[str, Activity] = {f"{activity.name}-{activity.axis}": activity for activity in ACTIVITIES}


def prepare(activity: Activity, folder: Path, size: int) -> None:
    """Files that the work reads."""
    if activity.name == "loading":
        rows, width = (size, _WIDTH) if activity.axis == "rows" else (_ROWS, size)
        target = folder / f"{rows}-{width}"
        if not target.exists():
            target.mkdir()
            loading.make(target, rows, width)
    elif activity.name == "scoring":
        target = folder / f"labels-{size}"
        target.mkdir()
        labels = large_predictions.write_zoo(target, size, size // _CHECKPOINTS)
        large_predictions.write_predictions(target / "predictions.parquet", labels)


def measure(name: str, folder: Path, size: int) -> None:
    """In a process of its own: print the seconds of the work, and the bytes by which memory rose at its highest."""
    torch.set_num_threads(2)
    activity = BY_NAME[name]
    activity.start(folder, activity.sizes[0])()
    work = activity.start(folder, size)
    # Linux takes 5 for: forget the highest resident size so far.
    Path("/proc/self/clear_refs").write_bytes(b"5")
    before = loading.peak_memory()
    start = time.perf_counter()
    work()
    print(json.dumps([time.perf_counter() - start, loading.peak_memory() - before]))


def grown(activity: Activity, quick: bool) -> list[tuple[int, float, float]]:
    """(size, seconds, peak bytes) of each size."""
    points = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in activity.sizes[:2] if quick else activity.sizes:
            prepare(activity, folder, size)
            command = [
                sys.executable,
                "-m",
                "benchmarks.growth",
                "--measure",
                f"{activity.name}-{activity.axis}",
                name,
                str(size),
            ]
            environment = os.environ | {"OMP_NUM_THREADS": "2"}
            done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
            if done.returncode:
                sys.exit(done.stderr)
            points.append((size, *json.loads(done.stdout.splitlines()[-1])))
            print(activity.name, activity.axis, *points[-1], flush=True)
    return points


def exponent(sizes: np.ndarray, values: np.ndarray) -> float:
    """b of values ~ sizes^b, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0])


def picture(found: Mapping[Activity, list[tuple[int, float, float]]]) -> Figure:
    axes_of = ("runs", "rows", "weights")
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.subplots(2, len(axes_of), squeeze=False)
    for column, axis in enumerate(axes_of):
        for activity, points in found.items():
            if activity.axis != axis:
                continue
            sizes, seconds, memory = np.array(points).T
            grid[0, column].loglog(sizes, seconds, "o-", label=activity.name)
            grid[1, column].loglog(sizes, np.maximum(memory, 1e6) / 1e6, "o-", label=activity.name)
        grid[0, column].set(ylabel="seconds", xlabel=axis)
        grid[1, column].set(ylabel="peak memory, MB", xlabel=axis)
        grid[0, column].legend(fontsize="small")
        for row in range(2):
            grid[row, column].grid(alpha=0.3)
            for ticks in (grid[row, column].xaxis, grid[row, column].yaxis):
                ticks.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
                ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
                ticks.set_minor_locator(NullLocator())
            grid[row, column].tick_params(labelsize="small")
            grid[row, column].tick_params("x", rotation=30)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two sizes of each; writes nothing")
    parser.add_argument("--measure", nargs=3, metavar=("ACTIVITY", "FOLDER", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, folder, size = arguments.measure
        measure(name, Path(folder), int(size))
        return
    found = {activity: grown(activity, arguments.quick) for activity in ACTIVITIES}
    if arguments.quick:
        return
    rows = []
    for activity, points in found.items():
        sizes, seconds, memory = np.array(points).T
        rows.append(
            [
                activity.name,
                activity.axis,
                ", ".join(f"{int(size):,}" for size in sizes),
                ", ".join(f"{value:.3g}" for value in seconds),
                f"{exponent(sizes, seconds):.2f}",
                ", ".join(f"{value / 1e6:.0f}" for value in memory),
            ]
        )
    head = ["what", "against", "sizes", "seconds", "seconds ~ size^", "peak memory, MB"]
    today = datetime.datetime.now(datetime.UTC).date()
    about = f"Made by `python -m benchmarks.growth` on {today}, {hardware()}, torch {torch.__version__}."
    picture(found).savefig(DOCUMENT.with_suffix(".png"), dpi=100, metadata={"Software": None})
    write(DOCUMENT, "How cost grows", [about, table(head, rows), "![seconds and memory against sizes](growth.png)"])


if __name__ == "__main__":
    main()
