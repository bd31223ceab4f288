"""Hyper-representations as a predictor: learned from the train networks' weights alone, then probed linearly."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import set_seed

from zoobench.errors import ZoobenchError, check_known
from zoobench.predictors.predictor import Examples, check_ranges
from zoobench.zoos.layout import Layout

from ..matrices import in_batches
from ..pretrained import read_model
from ..probe import LinearProbe
from ..training import DEVICES, PRECISIONS, Plan, identity, train
from . import losses
from .augment import Augmentation
from .model import FORM, LOSSES, HyperRepConfig, HyperRepModel

# As the paper writes them (Table 2): architecture, tokens, compression token.
ARCHITECTURES = {
    "att-n+t": ("attention", "neuron", True),
    "att-n": ("attention", "neuron", False),
    "att-w+t": ("attention", "weight", True),
    "att-w": ("attention", "weight", False),
    "ff": ("ff", "neuron", False),
}
NORMALISATIONS = ("none", "tensor")
# Numbers between -1 and 1 that differ by less do not differ.
_SAME = 1e-5


class ConstantRepresentationWarning(UserWarning):
    """A representation that is the same for all networks, so that nothing can be read from it."""


@dataclass(frozen=True)
class Size:
    """What depends on how large the networks are; those of the authors' code, where the paper gives ranges.

    ``beta`` goes with the code's objective, where it is 1 - gamma.
    """

    width: int
    heads: int
    blocks: int
    feed_forward: int
    latent: int
    projection: tuple[int, ...]
    beta: float
    epochs: int


# By the largest number of weights: Tetris, MNIST, Small CNN and larger.
SIZES = {
    1_000: Size(256, 4, 2, 512, 50, (50, 50, 50, 20), 0.5, 100),
    4_000: Size(800, 4, 2, 900, 700, (400, 400, 400, 400, 50), 0.9, 50),
    1_000_000_000: Size(512, 4, 4, 1000, 1200, (400, 400, 400, 400, 50), 0.9, 20),
}


def size_of(layout: Layout) -> Size:
    return next(size for most, size in SIZES.items() if layout.size <= most)


class HyperRepPredictor:
    """Hyper-representations of Schürholt 2021, with a linear probe for each task.

    Args:
        loss: "ed", "ec", "ecd" or "ec+d".
        objective: "paper" or "code": how the reconstruction is weighed, and which positive contrast there is
            (``losses.OBJECTIVES``).
        architecture: a key of ``ARCHITECTURES``.
        seed: of initial weights, batch order, views and dropout.
        beta: weight of the reconstruction against the contrast; negative for the objective's, or the size's own.
        temperature: of the contrast.
        width: of a token; 0, as of the next four, for what fits the networks (``SIZES``).
        heads: per attention block.
        blocks: of the encoder, and of the decoder.
        feed_forward: units of a block's multilayer perceptron.
        latent: size of a hyper-representation.
        dropout: in the attention blocks.
        permute: 1 for the permutation augmentation, 0 without.
        erase: probability that a view has a block erased.
        noise: standard deviation of the noise on views.
        normalise: "none", or "tensor" for mean 0 and variance 1 of each tensor over the train networks.
        limit: weights are cut at this many times the largest of the median train network, on both sides of 0, which
            only diverged networks reach; 0 for nowhere.
        learning_rate: of Adam.
        weight_decay: L2 coefficient.
        schedule: of the learning rate: "constant", "cosine" or "linear".
        batch_size: networks per step.
        epochs: 0 for what fits the networks.
        steps: where it is not 0, as many epochs as have this many steps.
        device: "cpu", or "auto" for GPUs where there are any.
        precision: "float32", "bfloat16" for products of matrices, or "auto" for that on GPUs that have it alone.
        checkpoints: a folder where a training that was killed leaves its last epoch, and from where the same training
            goes on; "" for nowhere.

    Attributes:
        model_: the fitted ``HyperRepModel``.
        probe_: the fitted ``LinearProbe``.
        seconds_: that the representation took to learn.
    """

    def __init__(
        self,
        loss: str = "ecd",
        objective: str = "paper",
        architecture: str = "att-n+t",
        seed: int = 0,
        beta: float = -1.0,
        temperature: float = 0.1,
        width: int = 0,
        heads: int = 0,
        blocks: int = 0,
        feed_forward: int = 0,
        latent: int = 0,
        dropout: float = 0.1,
        permute: int = 1,
        erase: float = 0.5,
        noise: float = 0.0,
        normalise: str = "none",
        limit: float = 10.0,
        learning_rate: float = 1e-4,
        weight_decay: float = 1e-9,
        schedule: str = "constant",
        batch_size: int = 500,
        epochs: int = 0,
        steps: int = 0,
        device: str = "auto",
        precision: str = "auto",
        checkpoints: str = "",
    ) -> None:
        for what, name, options in (
            ("loss", loss, LOSSES),
            ("objective", objective, losses.OBJECTIVES),
            ("architecture", architecture, tuple(ARCHITECTURES)),
            ("normalisation", normalise, NORMALISATIONS),
            ("schedule", schedule, ("constant", "cosine", "linear")),
            ("device", device, DEVICES),
            ("precision", precision, PRECISIONS),
        ):
            check_known(what, name, options)
        self.loss = loss
        self.objective = objective
        self.architecture = architecture
        self.seed = seed
        self.beta = beta
        self.temperature = temperature
        self.width = width
        self.heads = heads
        self.blocks = blocks
        self.feed_forward = feed_forward
        self.latent = latent
        self.dropout = dropout
        self.permute = permute
        self.erase = erase
        self.noise = noise
        self.normalise = normalise
        self.limit = limit
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps = steps
        self.device = device
        self.precision = precision
        self.checkpoints = checkpoints
        check_ranges(
            self,
            seed=(0, 2**32 - 1),
            beta=(-1e6, 1),
            temperature=(1e-12, 1e12),
            width=(0, 1_000_000),
            heads=(0, 10_000),
            blocks=(0, 1000),
            feed_forward=(0, 1_000_000),
            latent=(0, 1_000_000),
            dropout=(0, 1),
            permute=(0, 1),
            erase=(0, 1),
            noise=(0, 1e30),
            limit=(0, 1e30),
            learning_rate=(0, 1e30),
            weight_decay=(0, 1e6),
            batch_size=(1, 1_000_000_000),
            epochs=(0, 1_000_000_000),
            steps=(0, 1_000_000_000_000),
        )
        if self.width and self.heads and self.width % self.heads:
            raise ZoobenchError(f"a width of {self.width} cannot be shared by {self.heads} heads; take a multiple")

    def config(
        self, layout: Layout, mean: np.ndarray | None = None, std: np.ndarray | None = None, limit: float = 0.0
    ) -> HyperRepConfig:
        """The configuration of the model for networks of a layout; ``mean`` and ``std`` are of its tensors."""
        size = size_of(layout)
        architecture, tokens, compression = ARCHITECTURES[self.architecture]
        return HyperRepConfig(
            layout=layout.to_json(),
            form=FORM,
            loss=self.loss,
            objective=self.objective,
            beta=self._beta(size),
            contrast_temperature=self.temperature,
            architecture=architecture,
            tokens=tokens,
            compression=compression,
            width=self.width or size.width,
            heads=self.heads or size.heads,
            blocks=self.blocks or size.blocks,
            feed_forward=self.feed_forward or size.feed_forward,
            latent=self.latent or size.latent,
            dropout=self.dropout,
            projection=size.projection,
            permute=bool(self.permute),
            erase=self.erase,
            noise=self.noise,
            mean=() if mean is None else mean.tolist(),
            std=() if std is None else std.tolist(),
            limit=limit,
        )

    def _beta(self, size: Size) -> float:
        said = losses.OBJECTIVES[self.objective].beta if self.beta < 0 else self.beta
        return size.beta if said is None else said

    def fit(self, train: Examples, validation: Examples) -> HyperRepPredictor:
        """Learn the representation from ``train.weights``, and a probe for every column of ``train.targets``.

        Raises:
            ZoobenchError: a training that ends in NaN.
        """
        self.learn(train, validation)
        z, judge = (represent(self.model_, part.weights) for part in (train, validation))
        self._look_at(z)
        self.probe_ = LinearProbe().fit(z, train, judge, validation)
        return self

    def learn(self, examples: Examples, validation: Examples) -> HyperRepModel:
        """Learn the representation alone; no target is looked at."""
        set_seed(self.seed)
        limit = self.limit * float(np.median(np.abs(examples.weights).max(axis=1)))
        mean, std = _statistics(examples, limit) if self.normalise == "tensor" else (None, None)
        model = HyperRepModel(self.config(examples.layout, mean, std, limit))
        plan = Plan(
            torch.optim.Adam(model.parameters(), self.learning_rate, weight_decay=self.weight_decay),
            self._epochs_of(examples),
            self.batch_size,
            self.seed,
            schedule=self.schedule,
            clip=0.0,
            device=self.device,
            precision=self.precision,
            checkpoints=Path(self.checkpoints) / identity(self, examples) if self.checkpoints else None,
            training=identity(self, examples, validation) if self.checkpoints else "",
        )
        self.seconds_ = train(model, {"weights": examples.weights}, {"weights": validation.weights}, plan)
        self.model_ = model
        return model

    def _look_at(self, z: np.ndarray) -> None:
        """Say so if the representation (rows, L) says nothing.

        Adam moves each of the bottleneck's weights by about the learning rate in a step, all in one direction at first:
        the more numbers go in, the sooner its tanh is at -1 or 1 for every network, where there is no gradient.
        """
        smaller = f"try a smaller --learning-rate than {self.learning_rate:g}"
        if not np.isfinite(z).all():
            raise ZoobenchError(f"the training of the hyper-representation ended in NaN: {smaller}")
        if np.ptp(z, axis=0).max() < _SAME:
            message = f"the hyper-representations of all {len(z):,} train networks are the same: {smaller}"
            warnings.warn(message, ConstantRepresentationWarning, stacklevel=3)

    def _epochs_of(self, examples: Examples) -> int:
        if self.steps:
            return math.ceil(self.steps / math.ceil(len(examples.weights) / self.batch_size))
        return self.epochs or size_of(examples.layout).epochs

    def predict(self, test: Examples) -> pd.DataFrame:
        """Predict every fitted task: (rows, tasks)."""
        return self.probe_.predict(represent(self.model_, test.weights))

    def save(self, folder: Path) -> None:
        """Write the model, for ``HyperRepModel.from_pretrained``, and the probes beside it."""
        self.model_.save_pretrained(folder)
        self.probe_.save(folder)

    def load(self, folder: Path) -> HyperRepPredictor:
        """Be what was saved."""
        self.model_ = read_model(folder, {HyperRepConfig.model_type: HyperRepModel})
        self.probe_ = LinearProbe().load(folder)
        return self


def _statistics(examples: Examples, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each tensor over all networks, cut to a limit: (tensors,) each."""
    weights = _within(examples.weights, limit)
    parts = [weights[:, tensor.slice] for tensor in examples.layout.tensors]
    mean = np.array([part.mean(dtype=np.float64) for part in parts])
    std = np.array([part.std(dtype=np.float64) for part in parts])
    return mean, np.where(std > 0, std, 1.0)


def _within(weights: np.ndarray, limit: float) -> np.ndarray:
    return weights.clip(-limit, limit) if limit else weights


def represent(model: HyperRepModel, weights: np.ndarray) -> np.ndarray:
    """Hyper-representations (rows, L) of networks (rows, N)."""
    return in_batches(model.encode, weights)


def reconstruction_r2(model: HyperRepModel, weights: np.ndarray) -> float:
    """1 - MSE / MSE of the mean vector, over all weights of a permuted view of each network (rows, N).

    As the authors' code has it, whichever views the model learned from: neurons are permuted, nothing is erased, and
    the mean is that of the views. Weights are cut to the model's limit; the permutations are always the same.
    """
    permutation = Augmentation(Layout.from_json(model.config.layout), permute=True, erase=0.0, noise=0.0)
    generator = torch.Generator().manual_seed(0)
    views = in_batches(lambda batch: permutation(batch, generator), _within(weights, model.config.limit))
    mean = views.mean(axis=0, dtype=np.float64)
    rebuilt = in_batches(lambda batch: model.decode(model.encode(batch)), views)
    return float(1 - np.square(views - rebuilt, dtype=np.float64).sum() / np.square(views - mean).sum())
