"""Build zoos one after the other and print what came out: rows, dropped runs, seconds, models per second.

    python -m benchmarks.build_zoos --scale lite --images ../shared/images [ZOO ...]
    python -m benchmarks.build_zoos --scale lite --describe

Without ZOO: every zoo whose images are in the folder (or are drawn). The zoos are kept in ``ZOOBENCH_DATA``. Training,
measuring and writing are in the time; a model is one run with all its checkpoints. ``--describe`` builds nothing and
prints how accurate the networks of the built zoos are. The tables are Markdown, as in ``docs/lite-zoos.md``.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import pandas as pd
import torch

from zoobench.building.build import build
from zoobench.data import hub
from zoobench.data.manifest import read_manifest
from zoobench.training.images import load_images
from zoobench.zoos import ALL, SCALES, Zoo, resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.spec import HubImages
from zoobench.zoos.splits import SPLITS


def describe(zoos: list[Zoo]) -> None:
    print("| zoo | at chance | 5 % | 25 % | median | 75 % | 95 % | best | train/test correlation | gap > 0.1 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for zoo in zoos:
        rows = pd.concat([hub.load_labels(zoo, split).frame for split in SPLITS])
        final = rows[rows["epoch"] == rows["epoch"].max()]
        accuracy = final["test_accuracy"]
        at_chance = (accuracy - 1 / zoo.spec.images.classes).abs() <= 0.02
        shown = [f"{accuracy.quantile(q):.2f}" for q in (0.05, 0.25, 0.5, 0.75, 0.95, 1)]
        shown += [f"{final['train_accuracy'].corr(accuracy):.2f}", f"{(final['generalization_gap'] > 0.1).mean():.0%}"]
        print(f"| `{zoo.id}` | {at_chance.mean():.0%} | {' | '.join(shown)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", nargs="*", metavar="ZOO")
    parser.add_argument("--scale", choices=SCALES, default="lite")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--describe", action="store_true")
    arguments = parser.parse_args()
    zoos = [resolve(name, arguments.scale) for name in arguments.zoos]
    if not zoos:
        zoos = [Zoo(spec, arguments.scale) for spec in ALL]
        folder = arguments.images
        if folder:
            zoos = [
                zoo
                for zoo in zoos
                if not isinstance(zoo.spec.images, HubImages) or (folder / zoo.spec.images.folder).is_dir()
            ]
    if arguments.describe:
        describe([zoo for zoo in zoos if zoo.id in hub.built_zoos()])
        return
    print(f"torch {torch.__version__}, device {arguments.device}, {os.cpu_count()} CPU cores\n")
    print("| zoo | weights | runs | dropped | checkpoints | rows | MB | seconds | models/s |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for zoo in zoos:
        load_images(zoo.spec, zoo.size, arguments.images)  # decoded once per machine, which is not the zoo's time
        start = time.perf_counter()
        folder = build(zoo, hub.data_home(), arguments.images, arguments.device)
        seconds = time.perf_counter() - start
        config = read_manifest(folder).configs[zoo.spec.config]
        runs, size = config.runs + len(config.dropped), sum(entry.size for entry in config.files) / 1e6
        print(
            f"| `{zoo.id}` | {layout_of(zoo.spec.network).size:,} | {runs:,} | {len(config.dropped)} "
            f"| {len(config.checkpoints)} | {config.rows:,} | {size:,.0f} | {seconds:.0f} | {runs / seconds:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
