import shutil

import numpy as np
import pytest

from zoobench.data.manifest import DroppedRun, FileEntry, ReleaseEntry
from zoobench.publishing.releases import Release, work_folder, write_release
from zoobench.zoos import resolve

from .damage import SPLITS, rows_of


@pytest.fixture
def folder(tiny_home, tmp_path):
    """A sound dataset folder to damage."""
    return shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "tetris-zoo-tiny")


@pytest.fixture(scope="session")
def release_home(once, tiny_home):
    """A data home that holds ``tetris-zoo/seed`` as the import of a release: the networks of the tiny zoo."""
    tables = [rows_of(tiny_home / "tetris-zoo-tiny", split) for split in SPLITS]
    weights = np.concatenate([np.stack(table["weights"].to_numpy()) for table in tables])
    told = ["run_id", "epoch", "activation", "learning_rate", "train_accuracy", "test_accuracy", "seed"]

    def make(home):
        import pandas as pd

        labels = pd.concat([table.select(told).to_pandas() for table in tables], ignore_index=True)
        entry = ReleaseEntry(
            format="schurholt",
            files=[FileEntry(path="dataset.pt", sha256="0" * 64, size=1000)],
            rows=len(labels) + 6,
            notes=["`train_accuracy` is the running accuracy inside the epoch."],
        )
        dropped = [DroppedRun(run_id="seed-0099", epoch=2, reason="weights not finite")]
        release = Release(resolve("tetris-zoo/seed"), entry, labels, lambda rows: weights[rows], dropped)
        with work_folder(home, "tetris-zoo-seed") as work:
            write_release(release, home, work)

    return once("release-home", make)


@pytest.fixture
def imported(release_home, tmp_path):
    """A sound import to damage."""
    return shutil.copytree(release_home / "tetris-zoo", tmp_path / "tetris-zoo")
