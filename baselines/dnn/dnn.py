"""Fully-connected ReLU networks on features, one per task.

The DNN of Unterthiner 2020, appendix A.3: sigmoid output and MSE for targets in a range, trained by mini-batch SGD or
Adam, with the ranges of appendix A.4 to search (``zoobench run dnn --trials``). Targets without a range are
standardised and have a linear output; classes have a softmax and cross-entropy. Training stops early on the validation
loss, and the best epoch's weights are kept; the notebook that the paper's authors released stops on the test split, and
keeps the last epoch's.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from zoobench.distributions import Choice, LogUniform, Uniform
from zoobench.errors import check_known
from zoobench.predictors.predictor import Examples, check_ranges
from zoobench.predictors.search import Distribution
from zoobench.weightspace.features import extract, uses_hyperparameters
from zoobench.zoos.layout import Layout

from ..heads import Head, heads_of
from ..stored import FILE_NAME, check_shape, load_arrays, save_arrays, scaler_arrays, scaler_of, unscaled

_INITS = {
    "xavier_normal": lambda weight, std: nn.init.xavier_normal_(weight),
    "kaiming_normal": lambda weight, std: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "orthogonal": lambda weight, std: nn.init.orthogonal_(weight),
    "normal": lambda weight, std: nn.init.normal_(weight, std=std),
    "truncated_normal": lambda weight, std: nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std),
}
_OPTIMIZERS = {
    "adam": lambda parameters, rate, decay: torch.optim.Adam(parameters, rate, weight_decay=decay),
    "sgd": lambda parameters, rate, decay: torch.optim.SGD(parameters, rate, weight_decay=decay),
}
# Features of diverged networks are cut here: the squares of what they become stay within single precision.
_LARGEST = 1e9


class DNNPredictor:
    """Multilayer perceptrons on a feature set.

    Args:
        features: feature set, a name of ``zoobench.weightspace.features``.
        seed: of initial weights, batch order and dropout; with the same seed the predictions are the same.
        layers: hidden layers; 0 is the paper's logit-linear predictor, trained like the others.
        units: per hidden layer.
        dropout: rate after each hidden layer.
        weight_decay: L2 coefficient, as PyTorch's optimizers have it; the same one of Keras, in the authors' notebook,
            pulls twice as hard, and on hidden layers' weights alone.
        learning_rate: of the optimizer.
        optimizer: "adam" or "sgd" (without momentum).
        batch_size: rows per step.
        init: initialiser of the weights; biases start at 0.
        init_std: standard deviation of the normal initialisers.
        standardise: 1 for features of mean 0 and variance 1 over the train rows; 0 for features as they are, as in the
            authors' notebook.
        max_epochs: upper limit.
        patience: epochs without a better validation loss before stopping.
        device: a torch device, or "auto" for a GPU where there is one.

    Attributes:
        networks_: task -> fitted ``torch.nn.Sequential``.
    """

    def __init__(
        self,
        features: str = "stats",
        seed: int = 0,
        layers: int = 3,
        units: int = 384,
        dropout: float = 0.05,
        weight_decay: float = 1e-6,
        learning_rate: float = 1e-3,
        optimizer: str = "adam",
        batch_size: int = 128,
        init: str = "kaiming_normal",
        init_std: float = 0.05,
        standardise: int = 1,
        max_epochs: int = 300,
        patience: int = 10,
        device: str = "auto",
    ) -> None:
        for what, name, options in (("optimizer", optimizer, _OPTIMIZERS), ("init", init, _INITS)):
            check_known(what, name, options)
        self.features = features
        self.seed = seed
        self.layers = layers
        self.units = units
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.init = init
        self.init_std = init_std
        self.standardise = standardise
        self.max_epochs = max_epochs
        self.patience = patience
        self.device = device
        check_ranges(
            self,
            seed=(0, 2**32 - 1),
            layers=(0, 1000),
            units=(1, 1_000_000),
            dropout=(0, 1),
            weight_decay=(0, 1e6),
            learning_rate=(0, 1e30),
            batch_size=(1, 1_000_000_000),
            init_std=(0, 1e3),
            standardise=(0, 1),
            max_epochs=(0, 1_000_000_000),
            patience=(1, 1_000_000_000),
        )

    @property
    def uses_hyperparameters(self) -> bool:
        return uses_hyperparameters(self.features)

    def space(self, layout: Layout) -> Mapping[str, Distribution]:
        """The ranges of Unterthiner 2020, appendix A.4.

        Where exponents cannot be made out in the text at hand, the best configurations that its authors released judge:
        learning rates from 0.0010 to 0.47, and what the text calls the initialiser's variance, from 0.0010 to 0.092, is
        its standard deviation.
        """
        return {
            "layers": Uniform(3, 9),
            "units": Uniform(256, 511),
            "dropout": Uniform(0.0, 0.2),
            "weight_decay": LogUniform(1e-8, 1e-3),
            "learning_rate": LogUniform(1e-3, 0.5),
            "init_std": LogUniform(1e-3, 0.1),
            "optimizer": Choice(("adam", "sgd")),
            "batch_size": Choice((64, 128, 256, 512)),
            "init": Choice(tuple(_INITS)),
        }

    def fit(self, train: Examples, validation: Examples) -> DNNPredictor:
        """Fit every column of ``train.targets``."""
        features = self._features(train)
        self.scaler_ = StandardScaler().fit(features) if self.standardise else unscaled(features.shape[1])
        device = self._device()
        x, x_validation = (self._scaled(part).to(device) for part in (features, self._features(validation)))
        self.heads_ = heads_of(train)
        self.networks_: dict[str, nn.Sequential] = {}
        for head in self.heads_:
            y, judge = (head.encoded(part.targets[head.task].to_numpy()).to(device) for part in (train, validation))
            self.networks_[head.task] = self._trained(head, x, y, x_validation, judge).cpu()
        return self

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every fitted task: (rows, tasks)."""
        x = self._scaled(self._features(test))
        with torch.inference_mode():
            return pd.DataFrame({head.task: head.decoded(self.networks_[head.task](x)) for head in self.heads_})

    def save(self, folder: Path) -> None:
        """Write what was fitted."""
        networks = {
            f"{task}.{name}": tensor.numpy()
            for task, network in self.networks_.items()
            for name, tensor in network.state_dict().items()
        }
        save_arrays(folder, scaler_arrays(self.scaler_) | networks, [dataclasses.asdict(head) for head in self.heads_])

    def load(self, folder: Path) -> DNNPredictor:
        """Be what was saved."""
        arrays, heads = load_arrays(folder)
        self.scaler_ = scaler_of(arrays)
        self.heads_ = [Head.from_json(head) for head in heads]
        self.networks_ = {}
        if not 0 <= self.layers < len(arrays):
            raise ValueError(f"{FILE_NAME} does not hold {self.layers} hidden layers")
        for head in self.heads_:
            # Without memory, until it is known that the stored arrays have these shapes.
            with torch.device("meta"):
                network = self._network(len(self.scaler_.mean_), head.outputs)
            for name, tensor in network.state_dict().items():
                check_shape(name, arrays[f"{head.task}.{name}"], tuple(tensor.shape))
            stored = {name: torch.from_numpy(arrays[f"{head.task}.{name}"]).float() for name in network.state_dict()}
            network.load_state_dict(stored, assign=True)
            self.networks_[head.task] = network.eval()
        return self

    def _trained(
        self, head: Head, x: torch.Tensor, y: torch.Tensor, x_validation: torch.Tensor, judge: torch.Tensor
    ) -> nn.Sequential:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = self._network(x.shape[1], head.outputs).to(x.device)
            optimizer = _OPTIMIZERS[self.optimizer](network.parameters(), self.learning_rate, self.weight_decay)
            best, best_loss, waited = {k: v.clone() for k, v in network.state_dict().items()}, math.inf, 0
            for _ in range(self.max_epochs):
                network.train()
                for rows in torch.randperm(len(x)).to(x.device).split(self.batch_size):
                    optimizer.zero_grad()
                    head.loss(network(x[rows]), y[rows]).backward()
                    optimizer.step()
                network.eval()
                with torch.inference_mode():
                    loss = head.loss(network(x_validation), judge).item()
                waited += 1
                if loss < best_loss:
                    best, best_loss, waited = {k: v.clone() for k, v in network.state_dict().items()}, loss, 0
                if waited >= self.patience:
                    break
            network.load_state_dict(best)
        return network.eval()

    def _network(self, inputs: int, outputs: int) -> nn.Sequential:
        widths = [inputs, *[self.units] * self.layers, outputs]
        parts: list[nn.Module] = []
        for number, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            layer = nn.Linear(fan_in, fan_out)
            _INITS[self.init](layer.weight, self.init_std)
            nn.init.zeros_(layer.bias)
            parts.append(layer)
            if number < self.layers:
                parts += [nn.ReLU(), nn.Dropout(self.dropout)]
        return nn.Sequential(*parts)

    def _device(self) -> torch.device:
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device)

    def _scaled(self, features: np.ndarray) -> torch.Tensor:
        scaled = self.scaler_.transform(features.astype(np.float64))
        return torch.from_numpy(scaled.clip(-_LARGEST, _LARGEST).astype(np.float32))

    def _features(self, examples: Examples) -> np.ndarray:
        return extract(self.features, examples.weights, examples.layout, examples.hyperparameters)
