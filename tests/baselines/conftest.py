import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from zoobench.predictors.predictor import Examples
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of


@pytest.fixture
def splits():
    """Train, validation and test rows of random Tetris-sized weights with a linear and a squashed target."""
    rng = np.random.default_rng(0)
    layout = layout_of(resolve("tetris-zoo").spec.network)
    direction = rng.normal(size=100) / 10

    def split(rows):
        weights = rng.normal(size=(rows, 100)).astype(np.float32)
        score = weights @ direction
        targets = pd.DataFrame(
            {"epoch": 40 + 10 * score + rng.normal(size=rows), "accuracy": 1 / (1 + np.exp(-3 * score))}
        )
        return Examples(weights, layout, np.array([f"r{i}" for i in range(rows)]), targets, {"accuracy": (0.0, 1.0)})

    return split(600), split(200), split(200)


def killed_and_resumed(training, folder):
    """What a training saves that ran to its end, and one that was killed after its first checkpoint and run again.

    ``training`` is Python that takes a folder for checkpoints and a ``.npy`` file to write.
    """

    def start(checkpoints, out):
        return subprocess.Popen([sys.executable, "-c", training, folder / checkpoints, folder / out])

    assert start("whole", "whole.npy").wait() == 0
    killed = start("parts", "parts.npy")
    while not list((folder / "parts").glob("*/checkpoint-*/trainer_state.json")) and killed.poll() is None:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert not (folder / "parts.npy").exists()
    assert start("parts", "parts.npy").wait() == 0
    assert list((folder / "parts").glob("*")) == []  # nothing is left when it is done
    return np.load(folder / "whole.npy"), np.load(folder / "parts.npy")
