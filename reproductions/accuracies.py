"""How accurate the networks of the zoos are that are built here: the second table of docs/lite-zoos.md.

    python -m reproductions.accuracies [--scale lite] [ZOO ...]

Test accuracy at the last checkpoint, over runs of all splits. Without ZOO: every zoo of the scale.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pandas as pd

from zoobench.data import hub
from zoobench.publishing.documents import table
from zoobench.zoos import ALL, SCALES, Zoo, resolve
from zoobench.zoos.splits import SPLITS

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 1)
HEAD = ["zoo", "at chance", "5 %", "25 %", "median", "75 %", "95 %", "best", "train/test correlation", "gap > 0.1"]


def described(zoo: Zoo) -> list[str]:
    rows = pd.concat([hub.load_labels(zoo, split).frame for split in SPLITS])
    final = rows[rows["epoch"] == rows["epoch"].max()]
    accuracy = final["test_accuracy"]
    at_chance = (accuracy - 1 / zoo.spec.images.classes).abs() <= 0.02
    shown = [f"{accuracy.quantile(quantile):.2f}" for quantile in QUANTILES]
    shown += [f"{final['train_accuracy'].corr(accuracy):.2f}", f"{(final['generalization_gap'] > 0.1).mean():.0%}"]
    return [f"`{zoo.id}`", f"{at_chance.mean():.0%}", *shown]


def chosen(names: Sequence[str], scale: str) -> list[Zoo]:
    """Of the zoos that are built here."""
    zoos = [resolve(name, scale) for name in names] or [Zoo(spec, scale) for spec in ALL]
    here = set(hub.built_zoos())
    return [zoo for zoo in zoos if zoo.id in here]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", nargs="*", metavar="ZOO")
    parser.add_argument("--scale", choices=SCALES, default="lite")
    arguments = parser.parse_args()
    print(table(HEAD, [described(zoo) for zoo in chosen(arguments.zoos, arguments.scale)]))


if __name__ == "__main__":
    main()
