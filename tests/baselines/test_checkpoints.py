"""Trainings that are killed at the worst moment, with checkpoints that are broken, moved or of others."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

from zoobench.errors import ZoobenchError
from zoobench.files import locked
from zoobench_baselines import training as training_room
from zoobench_baselines.checkpoints import last_whole
from zoobench_baselines.comvex import ComVeXPredictor

# Reads lines of JSON, [folder, when, number, patience], and trains in a child of its own for each, which starts soon:
# six epochs of three steps, the best one not the last, killed in the middle of the n-th checkpoint or after it.
TRAINING = """
import json, os, signal, sys, numpy as np, pandas as pd, torch
from zoobench.predictors.predictor import Examples
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench_baselines import checkpoints
from zoobench_baselines.comvex import ComVeXPredictor

torch.set_num_threads(1)

def train(folder, when, number, patience):
    saves, seal = 0, checkpoints.Sealing.on_save

    def on_save(self, *arguments, **named):
        nonlocal saves
        saves += 1
        if saves == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        seal(self, *arguments, **named)
        if saves == number and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.Sealing.on_save = on_save
    rng = np.random.default_rng(0)
    layout = layout_of(resolve("tetris-zoo/seed").spec.network)
    weights = rng.normal(size=(300, layout.size)).astype(np.float32)
    targets = pd.DataFrame({"accuracy": rng.uniform(size=300)})
    examples = Examples(weights, layout, np.arange(300).astype(str), targets, {"accuracy": (0.0, 1.0)})
    rows, validation = examples.take(np.arange(192)), examples.take(np.arange(192, 300))
    made = ComVeXPredictor("linear", hidden_layers=2, hidden_size=32, learning_rate=5e-3, device="cpu", max_epochs=6,
                           patience=patience, checkpoints=folder)
    np.save(folder + ".npy", made.fit(rows, validation).predict(validation)["accuracy"])
    print(f"{saves} epochs", file=sys.stderr)

for line in sys.stdin:
    folder, *how = json.loads(line)
    child = os.fork()
    if not child:
        os.dup2(os.open(folder + ".txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        try:
            train(folder, *how)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        sys.stderr.flush()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def trained():
    """What it predicts, and what it said; ``None`` if it was killed."""
    with subprocess.Popen([sys.executable, "-c", TRAINING], text=True, stdin=PIPE, stdout=PIPE) as process:

        def train(folder, when="never", number=0, patience=100):
            process.stdin.write(json.dumps([str(folder), when, number, patience]) + "\n")
            process.stdin.flush()
            code = int(process.stdout.readline())
            said = Path(f"{folder}.txt").read_text()
            if code == -signal.SIGKILL:
                return None
            assert code == 0, said
            assert list(folder.glob("*")) == []  # nothing is left when it is done
            return np.load(f"{folder}.npy"), said

        yield train


@pytest.fixture(scope="module")
def expected(trained, tmp_path_factory):
    return {patience: trained(tmp_path_factory.mktemp("whole") / "c", patience=patience)[0] for patience in (2, 100)}


@pytest.fixture(scope="module")
def killed(trained, tmp_path_factory):
    """The checkpoints of a training that was killed after its fifth epoch."""
    folder = tmp_path_factory.mktemp("killed") / "c"
    assert trained(folder, "after", 5) is None
    return folder


def checkpoints(folder):
    return sorted(folder.glob("*/checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))


@pytest.mark.parametrize(
    ("when", "number", "patience", "more"),
    [("before", 4, 100, 3), ("after", 6, 100, 0), ("after", 2, 2, 1), ("after", 3, 2, 0)],
)
def test_a_training_that_was_killed_while_a_checkpoint_was_written_ends_where_it_would_have(
    trained, expected, tmp_path, when, number, patience, more
):
    """Before the checkpoint is whole, after the last one, while it waits for a better epoch, and after that.

    With a patience of 2 it ends after 3 epochs, the first of which is the best.
    """
    assert trained(tmp_path / "c", when, number, patience) is None
    found, said = trained(tmp_path / "c", patience=patience)
    np.testing.assert_allclose(found, expected[patience], atol=1e-5)
    assert f"{more} epochs" in said
    assert ("are not whole" in said) == (when == "before")


def test_whatever_file_of_the_newest_checkpoint_is_broken_an_older_one_is_gone_on_from(killed, tmp_path):
    """Each file emptied, cut, gone, or with one byte that is another; with the folder moved, too."""
    newest = checkpoints(killed)[-1]
    names = [path.name for path in newest.iterdir()]
    assert {"model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", "trainer_state.json"} <= set(names)
    (training,) = [path.name for path in killed.iterdir() if path.is_dir()]
    seal = json.loads((newest / "seal.json").read_text())["training"]
    damages = {
        "emptied": lambda content: b"",
        "cut": lambda content: content[: len(content) // 2],
        "changed": lambda content: bytes([content[0] ^ 1]) + content[1:],
        "gone": None,
    }
    for name in names:
        for what, damage in damages.items():
            copy = Path(shutil.copytree(killed, tmp_path / f"{name}-{what}"))
            path = checkpoints(copy)[-1] / name
            path.unlink() if damage is None else path.write_bytes(damage(path.read_bytes()))
            found = last_whole(copy / training, seal)
            assert found is not None, (name, what)
            assert found[0].name != newest.name, (name, what)
            assert newest.name not in [one.name for one in checkpoints(copy)]
            shutil.rmtree(copy)


@pytest.mark.parametrize("broken", [1, 2, 5])
def test_it_goes_on_from_the_last_whole_checkpoint_or_begins_anew_and_says_so(
    trained, killed, expected, tmp_path, broken
):
    folder = Path(shutil.copytree(killed, tmp_path / "moved"))
    there = checkpoints(folder)
    for path in there[-broken:]:
        content = (path / "optimizer.pt").read_bytes()
        (path / "optimizer.pt").write_bytes(content[: len(content) // 2])
    found, said = trained(folder)
    np.testing.assert_allclose(found, expected[100], atol=1e-5)
    assert f"of {len(there)} checkpoints in" in said
    assert ("starts anew" in said) == (broken >= len(there))


def test_a_checkpoint_of_other_validation_rows_is_not_gone_on_from(killed, tmp_path):
    folder = Path(shutil.copytree(killed, tmp_path / "c"))
    (training,) = [path for path in folder.iterdir() if path.is_dir()]
    assert last_whole(training, "another") is None
    assert checkpoints(folder) == []


def test_one_training_writes_its_checkpoints(splits, tmp_path):
    train, validation, _ = splits
    made = ComVeXPredictor("linear", hidden_size=8, max_epochs=1, device="cpu", checkpoints=str(tmp_path))
    with (
        locked(tmp_path / training_room.identity(made, train)),
        pytest.raises(ZoobenchError, match=f"is being written by process {os.getpid()}"),
    ):
        made.fit(train, validation)


def test_a_folder_for_checkpoints_that_cannot_be_made_is_one_line(splits, tmp_path):
    (tmp_path / "file").write_text("in the way")
    made = ComVeXPredictor("linear", hidden_size=8, max_epochs=1, device="cpu", checkpoints=str(tmp_path / "file"))
    with pytest.raises(ZoobenchError, match="cannot keep checkpoints in"):
        made.fit(*splits[:2])
