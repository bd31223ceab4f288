"""What a nearest neighbour on raw weights knows of a grid zoo's networks, by run and by seed.

    python -m reproductions.neighbours [--zoo tetris-zoo/hyp]

R² of the test accuracy of 8,000 rows from the nearest of 80,000 others: rows of other runs, drawn anew, and rows of
other seeds, as the zoo is split; of all rows and within each learning rate.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score

from zoobench import load_zoo
from zoobench.zoos.splits import SPLITS

ROWS = {"train": 80_000, "test": 8_000}
# Networks whose distances to all others are in memory at once.
_AT_ONCE = 2_000


def nearest(weights: np.ndarray, known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The row of ``known`` that is nearest to each row of ``asked``; all are rows of ``weights`` (n, N)."""
    among = weights[known]
    norms, found = (among**2).sum(axis=1), []
    for start in range(0, len(asked), _AT_ONCE):
        here = weights[asked[start : start + _AT_ONCE]]
        found.append((norms - 2 * here @ among.T).argmin(axis=1))
    return known[np.concatenate(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", default="tetris-zoo/hyp")
    zoo = parser.parse_args().zoo
    parts = [load_zoo(zoo, split) for split in SPLITS]
    weights = np.concatenate([part.weights for part in parts])
    labels = pd.concat([part.labels for part in parts], ignore_index=True)
    accuracy, rates = labels["test_accuracy"].to_numpy(), labels["learning_rate"].to_numpy()
    rng = np.random.RandomState(0)
    runs = labels["run_id"].unique()
    tested = {
        "by run": labels["run_id"].isin(rng.choice(runs, len(runs) * 15 // 100, replace=False)).to_numpy(),
        "by seed": np.repeat([split == "test" for split in SPLITS], [len(part.labels) for part in parts]),
    }
    for name, asked in tested.items():
        rows = rng.choice(np.flatnonzero(asked), ROWS["test"], replace=False)
        found = nearest(weights, rng.choice(np.flatnonzero(~asked), ROWS["train"], replace=False), rows)
        begin = (labels[["seed", "init"]].to_numpy()[rows] == labels[["seed", "init"]].to_numpy()[found]).all(axis=1)
        print(f"{name}: {begin.mean():.0%} begin alike; R² {r2_score(accuracy[rows], accuracy[found]):.3f}")
        for rate in np.unique(rates):
            here = rates[rows] == rate
            print(f"  learning rate {rate:g}: {r2_score(accuracy[rows][here], accuracy[found][here]):.3f}")
    mean = labels.groupby("learning_rate")["test_accuracy"].transform("mean").to_numpy()
    print(f"the mean of the learning rate alone: {r2_score(accuracy, mean):.3f}")


if __name__ == "__main__":
    main()
