"""The row: one checkpoint of one run. Column names and types are API.

The weights are a fixed-size list of float32 with non-null items; everything else is a plain column, null where it has
no meaning for a zoo.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ID_COLUMNS = (
    pa.field("example_id", pa.string(), nullable=False),
    pa.field("run_id", pa.string(), nullable=False),
    pa.field("config_id", pa.string(), nullable=False),
    pa.field("fold", pa.int8()),
    pa.field("epoch", pa.int32(), nullable=False),
)
HYPERPARAMETER_COLUMNS = (
    pa.field("activation", pa.string()),
    pa.field("init", pa.string()),
    pa.field("optimizer", pa.string()),
    pa.field("learning_rate", pa.float64()),
    pa.field("weight_decay", pa.float64()),
    pa.field("dropout", pa.float64()),
    pa.field("train_fraction", pa.float64()),
    pa.field("init_std", pa.float64()),
    pa.field("batch_size", pa.int32()),
    pa.field("seed", pa.int64()),
)
OUTCOME_COLUMNS = (
    pa.field("train_accuracy", pa.float64()),
    pa.field("test_accuracy", pa.float64()),
    pa.field("train_loss", pa.float64()),
    pa.field("test_loss", pa.float64()),
    pa.field("generalization_gap", pa.float64()),
    pa.field("running_train_accuracy", pa.float64()),
    pa.field("f1_class_0", pa.float64()),
    pa.field("f1_class_1", pa.float64()),
    pa.field("f1_class_2", pa.float64()),
    pa.field("f1_class_3", pa.float64()),
)
LABELS = pa.schema([*ID_COLUMNS, *HYPERPARAMETER_COLUMNS, *OUTCOME_COLUMNS])
# Columns that dataset folders may lack, since earlier builds did not write them.
OPTIONAL = frozenset({"running_train_accuracy"})
# The least and the largest value of numbers that have them; whole numbers as the columns hold them.
LARGEST = {"epoch": 2**31 - 1, "batch_size": 2**31 - 1, "seed": 2**62}
RANGES: Mapping[str, tuple[float, float]] = {
    "train_accuracy": (0.0, 1.0),
    "test_accuracy": (0.0, 1.0),
    "running_train_accuracy": (0.0, 1.0),
    "epoch": (0, LARGEST["epoch"]),
    "learning_rate": (0.0, np.inf),
    "weight_decay": (0.0, np.inf),
    "dropout": (0.0, 1.0),
    "train_fraction": (0.0, 1.0),
    "init_std": (0.0, np.inf),
    "batch_size": (1, LARGEST["batch_size"]),
    "seed": (-LARGEST["seed"], LARGEST["seed"]),
    **{f"f1_class_{k}": (0.0, 1.0) for k in range(4)},
}

COLUMN_MEANING = {
    "example_id": "unique in its zoo: `<run_id>/<epoch, three digits>`",
    "run_id": "one trained network; all its checkpoints are in one split",
    "config_id": "same hyperparameters, any seed",
    "fold": "cross-validation fold of a train run; null elsewhere",
    "epoch": "epochs trained when the checkpoint was taken",
    "activation": "activation function",
    "init": "weight initialiser",
    "optimizer": "optimizer",
    "learning_rate": "learning rate",
    "weight_decay": "L2 coefficient",
    "dropout": "dropout rate",
    "train_fraction": "share of the training images that the run used",
    "init_std": "scale of the initialiser, where it has a free one",
    "batch_size": "images per step",
    "seed": "fixes initial weights and batch order",
    "train_accuracy": "accuracy on the run's training images, dropout off; of an import, as its release measured it",
    "test_accuracy": "accuracy on the test images",
    "train_loss": "mean cross-entropy (nats) on the run's training images",
    "test_loss": "mean cross-entropy (nats) on the test images",
    "generalization_gap": "train_accuracy - test_accuracy, with all that is said of `train_accuracy`",
    "running_train_accuracy": "share of the last epoch's training images that were recognised as they came, dropout "
    "on, before the step that learned from them; null of an untrained network",
    "f1_class_0": "F1 of class 0 on the test images (Tetris only; likewise 1, 2, 3)",
    "weights": "the network's `state_dict`, flattened: layer by layer, weight then bias, C order",
}


def rows(weights: int) -> pa.Schema:
    """The schema of a row with N = ``weights`` weights."""
    item = pa.field("item", pa.float32(), nullable=False)
    return LABELS.append(pa.field("weights", pa.list_(item, weights), nullable=False))


def example_ids(run_ids: pa.Array, epochs: pa.Array) -> pa.Array:
    """``<run_id>/<epoch, three digits>`` for each row."""
    return pc.binary_join_element_wise(run_ids, pc.utf8_lpad(pc.cast(epochs, pa.string()), 3, "0"), "/")


def row_table(columns: Mapping[str, pa.Array], weights: np.ndarray) -> pa.Table:
    """Rows from their columns and weights (rows, N) float32; ``example_id`` is made, absent columns are null."""
    row_schema = rows(weights.shape[1])
    made = {
        "example_id": example_ids(columns["run_id"], columns["epoch"]),
        "weights": pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(weights).reshape(-1)), type=row_schema.field("weights").type
        ),
    }
    present = {**columns, **made}
    arrays = [
        present[field.name] if field.name in present else pa.nulls(len(weights), field.type) for field in row_schema
    ]
    return pa.Table.from_arrays(arrays, schema=row_schema)
