"""ComVeX as a predictor: trained by ``transformers.Trainer``, stopped early on the validation loss.

Liu trains one network for test accuracy (``--task accuracy``); of several tasks one network has an output each here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from zoobench.errors import ZoobenchError, did_you_mean
from zoobench.layout import Layout
from zoobench.predictor import Examples
from zoobench.search import Distribution
from zoobench.zoos.spec import Choice, LogUniform, Uniform

from ..heads import encoded_targets, heads_of
from .model import ARCHITECTURES, INITS, ComVeXConfig, ComVeXModel

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
}
# The networks of CNN Zoo 1 have 4,970 weights, those of CNN Zoo 2 75,146.
_LARGE = 20_000


class ComVeXPredictor:
    """One of the four architectures of Liu.

    Args:
        architecture: "fc", "fc-linear", "linear" or "conv".
        seed: of initial weights, batch order and dropout.
        hidden_layers: of the perceptron; "fc" has one more.
        hidden_size: H.
        dropout: rate after each hidden layer.
        weight_decay: L2 coefficient.
        learning_rate: of the optimizer.
        optimizer: a key of ``OPTIMIZERS``.
        batch_size: rows per step.
        init: a key of ``INITS``.
        max_epochs: upper limit.
        patience: epochs without a better validation loss before stopping.
        device: "cpu", or "auto" for GPUs where there are any; there with bfloat16.
        checkpoints: a folder where a training that was killed leaves its last epoch, and from where the same training
            goes on; "" for nowhere.

    Attributes:
        model_: the fitted ``ComVeXModel``.
    """

    def __init__(
        self,
        architecture: str = "conv",
        seed: int = 0,
        hidden_layers: int = 3,
        hidden_size: int = 256,
        dropout: float = 0.1,
        weight_decay: float = 1e-5,
        learning_rate: float = 5e-4,
        optimizer: str = "adam",
        batch_size: int = 64,
        init: str = "default",
        max_epochs: int = 100,
        patience: int = 10,
        device: str = "auto",
        checkpoints: str = "",
    ) -> None:
        for what, name, options in (
            ("architecture", architecture, ARCHITECTURES),
            ("optimizer", optimizer, OPTIMIZERS),
            ("init", init, INITS),
            ("device", device, ("auto", "cpu")),
        ):
            if name not in options:
                raise ZoobenchError(f"unknown {what} {name!r}{did_you_mean(name, options)}")
        self.architecture = architecture
        self.seed = seed
        self.hidden_layers = hidden_layers
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.init = init
        self.max_epochs = max_epochs
        self.patience = patience
        self.device = device
        self.checkpoints = checkpoints

    def space(self, layout: Layout) -> Mapping[str, Distribution]:
        """The ranges of Liu, appendix A: stronger regularisation for the large networks of CNN Zoo 2."""
        large = layout.size > _LARGE
        return {
            "hidden_layers": Uniform(2, 8),
            "hidden_size": Uniform(64 if large else 256, 512),
            "dropout": Uniform(0.0, 0.7 if large else 0.2),
            "weight_decay": LogUniform(1e-5, 1e-2) if large else LogUniform(1e-8, 1e-3),
            "learning_rate": LogUniform(2e-5, 2e-3),
            "optimizer": Choice(tuple(OPTIMIZERS)),
            "batch_size": Choice((64, 128, 256, 512)),
            "init": Choice(tuple(INITS)),
        }

    def fit(self, train: Examples, validation: Examples) -> ComVeXPredictor:
        """Fit every column of ``train.targets`` with one network."""
        heads = heads_of(train)
        set_seed(self.seed)
        model = ComVeXModel(
            ComVeXConfig(
                architecture=self.architecture,
                layout=train.layout.to_json(),
                hidden_layers=self.hidden_layers,
                hidden_size=self.hidden_size,
                dropout=self.dropout,
                init=self.init,
                heads=[dataclasses.asdict(head) for head in heads],
            )
        )
        optimizer = OPTIMIZERS[self.optimizer](
            model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        parts = [_Rows(part.weights, encoded_targets(heads, part)) for part in (train, validation)]
        with tempfile.TemporaryDirectory() as temporary:
            kept = Path(self.checkpoints) / self._identity(train) if self.checkpoints else Path(temporary)
            trainer = Trainer(
                model,
                self._arguments(kept),
                data_collator=_whole,
                train_dataset=parts[0],
                eval_dataset=parts[1],
                optimizers=(optimizer, None),
                callbacks=[EarlyStoppingCallback(self.patience)],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train(resume_from_checkpoint=get_last_checkpoint(kept) if kept.is_dir() else None)
            shutil.rmtree(kept, ignore_errors=True)
        self.model_ = model.eval().cpu()
        return self

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, for ``ComVeXModel.from_pretrained``."""
        self.model_.save_pretrained(folder)

    def load(self, folder: Path) -> ComVeXPredictor:
        """Be what was saved."""
        self.model_ = ComVeXModel.from_pretrained(folder).eval()
        return self

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every fitted task: (rows, tasks)."""
        with torch.inference_mode():
            batches = torch.from_numpy(np.ascontiguousarray(test.weights)).split(1024)
            outputs = torch.cat([self.model_(batch).logits for batch in batches])
        parts = outputs.split([head.outputs for head in self.model_.heads], dim=1)
        return pd.DataFrame(
            {head.task: head.decoded(part) for head, part in zip(self.model_.heads, parts, strict=True)}
        )

    def _identity(self, train: Examples) -> str:
        """Of a training: checkpoints of other parameters or other networks are others."""
        parameters = {
            name: value for name, value in vars(self).items() if name not in ("checkpoints", "device", "model_")
        }
        facts = (sorted(parameters.items()), train.runs.tolist(), train.targets.to_csv())
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def _arguments(self, folder: Path) -> TrainingArguments:
        on_gpu = self.device == "auto" and torch.cuda.is_available()
        return TrainingArguments(
            str(folder),
            per_device_train_batch_size=self.batch_size,
            per_device_eval_batch_size=1024,
            num_train_epochs=self.max_epochs,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            save_only_model=not self.checkpoints,
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            logging_strategy="no",
            lr_scheduler_type="constant",
            label_names=["labels"],
            remove_unused_columns=False,
            use_cpu=not on_gpu,
            bf16=on_gpu and torch.cuda.is_bf16_supported(),
            disable_tqdm=not sys.stderr.isatty(),
            report_to="none",
            seed=self.seed,
        )


class _Rows(Dataset[dict[str, torch.Tensor]]):
    """Rows by batch: one gather for all of them."""

    def __init__(self, weights: np.ndarray, targets: torch.Tensor) -> None:
        self.weights = weights
        self.targets = targets

    def __len__(self) -> int:
        return len(self.weights)

    def __getitems__(self, rows: list[int]) -> dict[str, torch.Tensor]:
        return {"weights": torch.from_numpy(self.weights[rows]), "labels": self.targets[rows]}


def _whole(batch: Any) -> Any:
    return batch
