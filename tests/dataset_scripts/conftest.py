from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from zoobench.training.images import load_images
from zoobench.zoos import resolve

from . import keras_like, peer_files, schurholt_like
from .keras_like import ROWS, RUNS


@dataclass(frozen=True)
class Archive:
    """A release of twelve runs of four checkpoints, measured on all test images, rows in no order."""

    folder: Path
    weights: np.ndarray
    metrics: pd.DataFrame
    images: torch.Tensor
    labels: torch.Tensor

    def logits(self, row, images=slice(None)):
        """What the network of a row says of some of the images, computed in TensorFlow's conventions."""
        ends = np.cumsum([int(np.prod(shape)) for _, shape in keras_like.SHAPES])
        pieces = np.split(self.weights[row], ends[:-1])
        parts = [
            torch.from_numpy(piece.reshape(shape)) for piece, (_, shape) in zip(pieces, keras_like.SHAPES, strict=True)
        ]
        return keras_like.forward(parts, self.images[images], self.metrics["config.activation"][row])


@pytest.fixture(scope="session")
def archive(once, all_images):
    zoo = resolve("small-cnn-zoo/mnist")
    loaded = load_images(zoo.spec, replace(zoo.size, train_images=None, test_images=None), all_images)
    images = torch.from_numpy(loaded.test_images).permute(0, 2, 3, 1)
    labels = torch.from_numpy(loaded.test_labels)

    def make(root):
        blocks, frames = [], []
        for seed in range(RUNS):
            activation = ("relu", "tanh")[seed % 2]
            rows, accuracies = keras_like.train(seed, images, labels, activation)
            blocks.append(rows)
            frames.append(keras_like.metrics(f"/zoo/models/{seed:03d}/", seed, activation, accuracies))
        order = np.random.RandomState(0).permutation(4 * RUNS)
        weights = np.concatenate(blocks)[order]
        metrics = pd.concat(frames, ignore_index=True).iloc[order].reset_index(drop=True)
        keras_like.write(root / "mnist", weights, metrics)
        np.save(root / "weights.npy", weights)
        metrics.to_pickle(root / "metrics.pkl")

    root = once("small-cnn-release", make)
    weights, metrics = np.load(root / "weights.npy"), pd.read_pickle(root / "metrics.pkl")
    return Archive(root / "mnist", weights, metrics, images, labels)


@pytest.fixture(scope="session")
def imported_archive(archive, tmp_path_factory):
    """The dataset folder that the archive becomes; only read."""
    from zoobench_dataset_scripts.small_cnn_release import import_small_cnn_zoo

    out = tmp_path_factory.mktemp("imported")
    seen = []
    folder, config = import_small_cnn_zoo(archive.folder, out, on_rows=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (ROWS, ROWS)
    assert (config.rows, config.runs, config.dropped) == (ROWS, RUNS, [])
    return folder


@pytest.fixture(scope="session")
def images():
    """Images that the networks of ``runs`` were trained on."""
    return schurholt_like.drawn()


@pytest.fixture(scope="session")
def runs(images):
    """Trained runs of three checkpoints: state dicts, their logits, parameters, results."""
    return schurholt_like.trained(images)


@pytest.fixture
def their_classes(monkeypatch):
    return peer_files.make_classes(monkeypatch)
