"""The Small CNN Zoo's network in TensorFlow's conventions, written without zoobench.

Images (n, height, width, channels), kernels (height, width, in, out), dense kernels (in, out), each layer's bias before
its kernel in a row. A convolution is one product: patches, position by position, and
the kernel as a matrix.
"""

import gzip

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch

SHAPES = [
    ("sequential/conv2d/bias:0", (16,)),
    ("sequential/conv2d/kernel:0", (3, 3, 1, 16)),
    ("sequential/conv2d_1/bias:0", (16,)),
    ("sequential/conv2d_1/kernel:0", (3, 3, 16, 16)),
    ("sequential/conv2d_2/bias:0", (16,)),
    ("sequential/conv2d_2/kernel:0", (3, 3, 16, 16)),
    ("sequential/dense/bias:0", (10,)),
    ("sequential/dense/kernel:0", (16, 10)),
]
WIDTH = 4970
STEPS = (0, 1, 2, 86)
RUNS = 12
ROWS = len(STEPS) * RUNS


def forward(parts, images, activation):
    """Logits (n, 10) of images (n, height, width, 1)."""
    x = images
    for bias, kernel in zip(parts[0:6:2], parts[1:6:2], strict=True):
        rows, columns = (x.shape[1] - 3) // 2 + 1, (x.shape[2] - 3) // 2 + 1
        patches = [x[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for i in range(3) for j in range(3)]
        x = getattr(torch, activation)(torch.cat(patches, 3) @ kernel.flatten(0, 2) + bias)
    return x.mean(dim=(1, 2)) @ parts[7] + parts[6]


def train(seed, images, labels, activation, steps=STEPS):
    """One run: its row at each step (here one Adam update on some of the images), and its accuracies on all."""
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(shape, generator=generator) * 0.2 for _, shape in SHAPES]
    for part in parts:
        part.requires_grad_()
    optimizer = torch.optim.Adam(parts, 0.02)
    rows, accuracies = [], []
    for step in range(max(steps) + 1):
        if step in steps:
            rows.append(torch.cat([part.detach().reshape(-1) for part in parts]).numpy())
            with torch.no_grad():
                said = forward(parts, images, activation).argmax(1)
            accuracies.append((said == labels).double().mean().item())
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(forward(parts, images[:64], activation), labels[:64]).backward()
        optimizer.step()
    return np.stack(rows), accuracies


def metrics(run, seed, activation, accuracies, steps=STEPS):
    return pd.DataFrame(
        {
            "config.activation": activation,
            "config.b_init": "zeros",
            "config.dataset": "mnist",
            "config.dnn_architecture": "cnn",
            "config.dropout": 0.05 * seed,
            "config.epochs": 86,
            "config.epochs_between_checkpoints": 20,
            "config.init_std": 0.2,
            "config.l2reg": 1e-5,
            "config.learning_rate": 0.02,
            "config.num_layers": 3,
            "config.num_units": 16,
            "config.optimizer": "adam",
            "config.random_seed": 42,
            "config.train_fraction": 1.0,
            "config.w_init": ["RandomNormal", "glorot_normal", "he_normal", "orthogonal", "TruncatedNormal"][seed % 5],
            "modeldir": run,
            "step": list(steps),
            "test_accuracy": accuracies,
            "test_loss": 1.5,
            "train_accuracy": accuracies,
            "train_loss": 1.25,
        }
    )


def write(folder, weights, frame, shapes=SHAPES):
    """The three files of the release."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "weights.npy", weights.astype(np.float32))
    with gzip.open(folder / "metrics.csv.gz", "wt") as file:
        frame.to_csv(file, index=False)
    ends = np.cumsum([int(np.prod(shape)) for _, shape in shapes])
    layout = pd.DataFrame(
        {
            "varname": [name for name, _ in shapes],
            "start_idx": [0, *ends[:-1]],
            "end_idx": ends,
            "shape": [str(shape) for _, shape in shapes],
        }
    )
    layout.to_csv(folder / "layout.csv")
    return folder


def rows_of(folder, config="mnist"):
    """All rows of an imported config, by example id."""
    tables = [pq.read_table(path) for path in sorted((folder / config).glob("*.parquet"))]
    return {row["example_id"]: row for table in tables for row in table.to_pylist()}
