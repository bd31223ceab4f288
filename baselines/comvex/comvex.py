"""ComVeX as a predictor: trained by ``transformers.Trainer``, stopped early on the validation loss.

Liu trains one network for test accuracy (``--task accuracy``); of several tasks one network has an output each here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from transformers import set_seed

from zoobench.distributions import Choice, LogUniform, Uniform
from zoobench.errors import check_known
from zoobench.predictors.predictor import Examples, check_ranges
from zoobench.predictors.search import Distribution
from zoobench.zoos.layout import Layout

from ..heads import encoded_targets, heads_of
from ..matrices import in_batches
from ..pretrained import read_model
from ..training import DEVICES, Plan, identity
from ..training import train as train_model
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
        init: str = "original",
        max_epochs: int = 300,
        patience: int = 20,
        device: str = "auto",
        checkpoints: str = "",
    ) -> None:
        for what, name, options in (
            ("architecture", architecture, ARCHITECTURES),
            ("optimizer", optimizer, OPTIMIZERS),
            ("init", init, INITS),
            ("device", device, DEVICES),
        ):
            check_known(what, name, options)
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
        check_ranges(
            self,
            seed=(0, 2**32 - 1),
            hidden_layers=(0, 1000),
            hidden_size=(1, 1_000_000),
            dropout=(0, 1),
            weight_decay=(0, 1e6),
            learning_rate=(0, 1e30),
            batch_size=(1, 1_000_000_000),
            max_epochs=(1, 1_000_000_000),
            patience=(1, 1_000_000_000),
        )

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
        rows, held = ({"weights": part.weights, "labels": encoded_targets(heads, part)} for part in (train, validation))
        plan = Plan(
            optimizer,
            self.max_epochs,
            self.batch_size,
            self.seed,
            patience=self.patience,
            device=self.device,
            checkpoints=Path(self.checkpoints) / identity(self, train) if self.checkpoints else None,
            training=identity(self, train, validation) if self.checkpoints else "",
        )
        train_model(model, rows, held, plan)
        self.model_ = model
        return self

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, for ``ComVeXModel.from_pretrained``."""
        self.model_.save_pretrained(folder)

    def load(self, folder: Path) -> ComVeXPredictor:
        """Be what was saved."""
        self.model_ = read_model(folder, {ComVeXConfig.model_type: ComVeXModel})
        return self

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every fitted task: (rows, tasks)."""
        outputs = torch.from_numpy(in_batches(lambda batch: self.model_(batch).logits, test.weights))
        parts = outputs.split([head.outputs for head in self.model_.heads], dim=1)
        return pd.DataFrame(
            {head.task: head.decoded(part) for head, part in zip(self.model_.heads, parts, strict=True)}
        )
