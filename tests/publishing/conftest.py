import shutil
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from zoobench.data.manifest import DroppedRun, OriginalFile, ReleaseEntry
from zoobench.publishing.releases import Release, work_folder, write_release
from zoobench.zoos import resolve

from .damage import SPLITS, rows_of


@pytest.fixture
def folder(tiny_home, tmp_path):
    """A sound dataset folder to damage."""
    return shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "tetris-zoo-tiny")


@dataclass(frozen=True)
class Trained:
    """The rows of the tiny zoo: weights (240, 100), and what a release may tell of them, in the order of the files."""

    weights: np.ndarray
    labels: pd.DataFrame

    def write(self, home, labels=None, weights=None, dropped=()):
        """Import them, or some like them, as a release of ``tetris-zoo/seed``; returns the dataset folder."""
        labels = self.labels if labels is None else labels
        weights = self.weights if weights is None else weights
        entry = ReleaseEntry(
            format="schurholt",
            files=[OriginalFile(path="dataset.pt", sha256="0" * 64, size=1000)],
            rows=len(labels) + len(dropped),
            notes=["`train_accuracy` is the running accuracy inside the epoch."],
        )
        release = Release(resolve("tetris-zoo/seed"), entry, labels, lambda rows: weights[rows], dropped)
        with work_folder(home, "tetris-zoo-seed") as work:
            return write_release(release, home, work)[0]


@pytest.fixture(scope="session")
def trained(tiny_home):
    tables = [rows_of(tiny_home / "tetris-zoo-tiny", split) for split in SPLITS]
    weights = np.concatenate([np.stack(table["weights"].to_numpy()) for table in tables])
    told = ["run_id", "epoch", "activation", "learning_rate", "train_accuracy", "test_accuracy", "seed"]
    return Trained(weights, pd.concat([table.select(told).to_pandas() for table in tables], ignore_index=True))


@pytest.fixture(scope="session")
def release_home(once, trained):
    """A data home that holds ``tetris-zoo/seed`` as the import of a release: the networks of the tiny zoo."""
    dropped = [DroppedRun(run_id="seed-0099", epoch=2, reason="weights not finite")]
    return once("release-home", lambda home: trained.write(home, dropped=dropped))


@pytest.fixture
def imported(release_home, tmp_path):
    """A sound import to damage."""
    return shutil.copytree(release_home / "tetris-zoo", tmp_path / "tetris-zoo")
