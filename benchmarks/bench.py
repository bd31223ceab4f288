"""Everything that is said to be fast, against what people do otherwise, in one run on one machine.

    python -m benchmarks.bench [NAME ...] [--quick] [--write] [--check]

NAME is one of the modules below; without one, all. Ways take turns, round by round; a rate is the median over rounds,
a ratio the median of the rounds' ratios with their range. ``--quick`` measures less of each, in a minute or two;
``--write`` puts the table into docs/benchmarks.md, between its two marks; ``--check`` ends with 1 if a ratio is below
its guard, which is far enough down for a noisy machine.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import sys
from pathlib import Path

import torch

from zoobench.publishing.documents import hardware, table, write

from .measured import HEAD, Measurement

NAMES = ("population", "loading", "features", "scoring", "hyperrep", "startup")
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
CORES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(CORES)
    measured: list[Measurement] = []
    for name in arguments.names or NAMES:
        for one in importlib.import_module(f"{__package__}.{name}").measurements(arguments.quick):
            measured.append(one)
            print(" | ".join(one.cells()), flush=True)
    if arguments.write:
        made = f"Made by `python {' '.join(['-m benchmarks.bench', *sys.argv[1:]])}` on "
        made += f"{datetime.datetime.now(datetime.UTC).date()}, {hardware()}, torch {torch.__version__}."
        write(DOCUMENT, "Benchmarks", [made, table(HEAD, [one.cells() for one in measured])])
    slow = [one for one in measured if one.guarded < one.guard]
    for one in slow if arguments.check else []:
        other = one.alternative or one.limit
        print(f"{one.what}: {one.guarded:.2g} times {other}, less than {one.guard:g}")
    sys.exit(1 if slow and arguments.check else 0)


if __name__ == "__main__":
    main()
