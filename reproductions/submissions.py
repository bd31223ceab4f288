"""Submit the baselines to the leaderboard of this repository, on zoos that are built here.

    python -m reproductions.submissions [--dir leaderboard] [--entries gbm-stats,...] [ZOO ...]

Without ZOO: every built zoo but the tiny ones. Predictions that are there are not made again: remove a file to have it
made anew. Labels are pinned, and everything is scored at the end (``zoobench leaderboard score``).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from zoobench.data import hub
from zoobench.zoos import resolve
from zoobench_leaderboard.entries import ENTRIES, lay_down
from zoobench_leaderboard.pin import pin
from zoobench_leaderboard.score import score_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", nargs="*", metavar="ZOO")
    parser.add_argument("--dir", type=Path, default=Path("leaderboard"))
    parser.add_argument("--entries", default=",".join(entry.name for entry in ENTRIES))
    arguments = parser.parse_args()
    wanted = arguments.entries.split(",")
    zoos = [zoo for zoo in map(resolve, arguments.zoos or sorted(hub.built_zoos())) if zoo.scale != "tiny"]
    for zoo in zoos:
        pin(arguments.dir, zoo)
    for entry in ENTRIES:
        covered = [zoo for zoo in zoos if entry.covers(zoo)]
        if entry.name in wanted and covered:
            start = time.perf_counter()
            made = lay_down(arguments.dir, entry, covered, again=False)
            print(f"{entry.name}: {len(made)} files in {time.perf_counter() - start:.0f} s", flush=True)
    score_all(arguments.dir)


if __name__ == "__main__":
    main()
