"""Training a population: all runs of a chunk in one batched forward and backward.

The weights of R runs are one matrix (R, N); the gradient of the summed loss is every run's own gradient. Everything
that varies varies per run: learning rate, weight decay, dropout rate, activation, optimizer, initialiser, training
subset, batch order, seed. Draws come from ``streams``, so a run's result depends on the run alone; chunking changes
nothing in the canonical arithmetic (see ``formulation``), and rounding only in PyTorch's.

Inside, runs are sorted by the images of an epoch (most first), optimizer and activation: runs whose epoch is over are
then a tail that is left out of the step, and equal optimizers and activations are neighbours that share a call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import ZoobenchError
from ..native import keep_freed_memory
from ..zoos.layout import layout_of
from ..zoos.optimizers import Optimizer
from ..zoos.runs import Run
from ..zoos.spec import Network
from . import streams
from .activations import RunActivations
from .dropout import RunDropout
from .formulation import FAST, Formulation, arithmetic_of, at_once, formulation_for, gradient
from .images import Images
from .initialisers import initial_weights
from .measuring import Scores, measure
from .optimizers import Updater

_STEPS_PER_EPOCH_LIMIT = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """All runs of a chunk after ``epoch`` epochs: ``weights`` (R, N) float32.

    ``running_correct`` of ``running_count`` images, (R,) each, were recognised while the last epoch went on, each
    before the step that learned from it and under dropout; of an untrained network both are 0.
    """

    epoch: int
    weights: np.ndarray
    train: Scores
    test: Scores
    running_correct: np.ndarray
    running_count: np.ndarray


def _named(device: str) -> torch.device:
    """A device, whether it is here or not."""
    try:
        return torch.device(device)
    except RuntimeError:
        raise ZoobenchError(f"unknown device {device!r}; choose from: cpu, cuda") from None


def _device(name: str) -> torch.device:
    device = _named(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ZoobenchError(f"device {name!r} was asked for, but this torch finds no CUDA GPU; use --device cpu")
    return device


def train(
    network: Network,
    runs: Sequence[Run],
    images: Images,
    checkpoints: Sequence[int],
    device: str = "cpu",
    on_epoch: Callable[[int], None] | None = None,
    formulation: Formulation | None = None,
) -> Iterator[Checkpoint]:
    """Train the runs together and yield them at each checkpoint epoch (0 = untrained).

    Args:
        network: the declared network.
        runs: R runs, of one batch size.
        images: training and test images, preprocessed.
        checkpoints: epochs to yield, ascending.
        device: a torch device.
        on_epoch: called after each epoch with its number.
        formulation: force one; ``None`` picks the fastest for network, device and batch.

    Raises:
        ZoobenchError: several batch sizes, an unknown device, an unknown layer, activation, optimizer or initialiser,
            or a formulation that does not cover the network or an activation.
    """
    population = Population(network, runs, images, _device(device), formulation)
    if 0 in checkpoints:
        yield population.checkpoint(0)
    for epoch in range(1, max(checkpoints) + 1):
        population.train_epoch(epoch)
        if on_epoch:
            on_epoch(epoch)
        if epoch in checkpoints:
            yield population.checkpoint(epoch)


def arithmetic(network: Network, runs: Sequence[Run], images: Images, device: str = "cpu") -> str:
    """In which arithmetic ``train`` computes these runs, by name (see ``formulation.arithmetic_of``); the device may be
    that of another machine.

    Raises:
        ZoobenchError: an unknown device.
    """
    activations = sorted({run.hyperparameters.activation for run in runs})
    shape, batch = images.train_images.shape[1:], runs[0].hyperparameters.batch_size
    on = _named(device)
    return arithmetic_of(formulation_for(network, shape, batch, activations, on), on)


class Population:
    """The state of a chunk in training; ``train`` is the way to use it.

    Attributes:
        weights: (R, N), in the internal order of runs and the precision of the images (float32 but for tests).
    """

    def __init__(
        self,
        network: Network,
        runs: Sequence[Run],
        images: Images,
        device: torch.device,
        formulation: Formulation | None = None,
    ) -> None:
        sizes = {run.hyperparameters.batch_size for run in runs}
        if len(sizes) > 1:
            raise ZoobenchError(f"a population shares one batch size, these runs have {sorted(sizes)}")
        for run in runs:
            run.training.optimizers.named(run.hyperparameters.optimizer)
        if device.type == "cpu":
            keep_freed_memory()
        self.network = network
        self.batch_size = sizes.pop()
        owned = [_images_of(run, len(images.train_labels)) for run in runs]
        self.order = sorted(range(len(runs)), key=lambda i: (*(-count for count in owned[i]), *_sort_key(runs[i])))
        self.runs = [runs[i] for i in self.order]
        self.lengths, self.counts = (list(counts) for counts in zip(*(owned[i] for i in self.order), strict=True))
        self.activations = RunActivations([run.hyperparameters.activation for run in self.runs])
        case = network, images.train_images.shape[1:], self.batch_size
        self.formulation = formulation or formulation_for(*case, self.activations.names, device)
        if self.formulation in FAST:
            FAST[self.formulation].check(network, self.activations.names)
        self.together = at_once(self.formulation, *case, device)
        self.seeds = torch.tensor([run.seed for run in self.runs], dtype=torch.int64, device=device)
        self.train_images = torch.from_numpy(images.train_images).to(device)
        self.train_labels = torch.from_numpy(images.train_labels).to(device)
        self.test_images = torch.from_numpy(images.test_images).to(device)
        self.test_labels = torch.from_numpy(images.test_labels).to(device)
        self.weights = initial_weights(network, self.runs, device).to(self.train_images.dtype)
        self.dropout = self._per_run("dropout")[:, 0]
        self.running = torch.zeros(len(runs), dtype=torch.int64, device=device)
        self.subsets = self._subsets()
        self.updaters = self._updaters()

    def _per_run(self, name: str) -> torch.Tensor:
        """A numeric hyperparameter as (R, 1), in the precision of the weights."""
        values = [getattr(run.hyperparameters, name) for run in self.runs]
        return torch.tensor(values, dtype=self.weights.dtype, device=self.seeds.device)[:, None]

    def _segments(self, key: Callable[[int], object]) -> list[slice]:
        """Slices of consecutive runs with equal key."""
        ends = list(
            itertools.accumulate(len(list(group)) for _, group in itertools.groupby(range(len(self.runs)), key))
        )
        return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _updaters(self) -> list[tuple[slice, Updater]]:
        rates, decays = self._per_run("learning_rate"), self._per_run("weight_decay")
        tensors = layout_of(self.network).tensors
        kernels = torch.cat([decays.new_full((t.size,), float(not t.name.endswith(".bias"))) for t in tensors])
        updaters = []
        for part in self._segments(lambda i: (self.lengths[i], self.counts[i], _update_of(self.runs[i]))):
            optimizer, decoupled, factor, biases = _update_of(self.runs[part.start])
            decay = decays[part] * (1.0 if decoupled else factor)
            decay = decay if biases else decay * kernels
            updaters.append((part, Updater(optimizer, self.weights[part], rates[part], decay, decoupled)))
        return updaters

    def _subsets(self) -> list[tuple[slice, torch.Tensor | None]]:
        """For each segment of runs with equally many images: (runs, count) indices of the images that they use,
        ascending; ``None`` for all."""
        total = len(self.train_labels)
        subsets: list[tuple[slice, torch.Tensor | None]] = []
        for part in self._segments(lambda i: (self.lengths[i], self.counts[i])):
            own = None
            if (count := self.counts[part.start]) < total:
                own = streams.permutation(self.seeds[part], "subset", 0, total)[:, :count].sort(1).values
            subsets.append((part, own))
        return subsets

    def _epoch_order(self, epoch: int) -> list[torch.Tensor]:
        """For each segment of equally many images: (runs, length) image indices in the order of this epoch."""
        orders = []
        for part, own in self.subsets:
            order = streams.permutation(self.seeds[part], "order", epoch, self.counts[part.start])
            order = order[:, : self.lengths[part.start]]
            orders.append(order if own is None else own.gather(1, order))
        return orders

    def train_epoch(self, epoch: int) -> None:
        """One pass of every run over its own training images, in its own order; the last batch may be smaller, if it
        is not left out."""
        orders = self._epoch_order(epoch)
        self.running.zero_()
        for step, start in enumerate(range(0, self.lengths[0], self.batch_size)):
            batches = [order[:, start : start + self.batch_size] for order in orders if start < order.shape[1]]
            width = batches[0].shape[1]
            sizes = torch.cat([batch.new_full((len(batch), 1), batch.shape[1]) for batch in batches])
            chosen = torch.cat([F.pad(batch, (0, width - batch.shape[1])) for batch in batches])
            self.train_step(chosen, sizes, epoch * _STEPS_PER_EPOCH_LIMIT + step)

    def train_step(self, chosen: torch.Tensor, sizes: torch.Tensor, step: int) -> None:
        """One optimizer step of the first runs, each on its own batch.

        Args:
            chosen: (active runs, batch) indices of training images; behind a run's own batch the rest is padding.
            sizes: (active runs, 1) images in each run's batch.
            step: numbers the step for dropout.
        """
        active = len(chosen)
        gradients = []
        for start in range(0, active, self.together):
            part = slice(start, min(active, start + self.together))
            own, correct = self._gradient(part, chosen[part], sizes[part], step)
            gradients.append(own)
            self.running[part] += correct
        gradient = torch.cat(gradients)
        for part, updater in self.updaters:
            if part.start < active:
                updater.step(gradient[part])

    def _gradient(
        self, part: slice, chosen: torch.Tensor, sizes: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients (runs, N) of some consecutive runs, each of the mean loss on its own batch, and how many images of
        it are recognised (runs,)."""
        masks = None
        if bool((self.dropout[part] > 0).any()):
            masks = RunDropout(self.seeds[part], self.dropout[part], step)
        return gradient(
            self.network,
            self.weights[part],
            self.train_images,
            self.train_labels,
            chosen,
            sizes,
            RunActivations(self.activations.names[part]),
            self.formulation,
            masks,
        )

    def checkpoint(self, epoch: int) -> Checkpoint:
        """Weights and scores of all runs, in the order in which the runs were given."""
        back = np.argsort(self.order)
        train_scores = [
            measure(
                self.network,
                self.weights[part],
                self.train_images,
                self.train_labels,
                RunActivations(self.activations.names[part]),
                own,
            )
            for part, own in self.subsets
        ]
        test_scores = measure(self.network, self.weights, self.test_images, self.test_labels, self.activations)
        return Checkpoint(
            epoch,
            self.weights.cpu().numpy()[back],
            Scores.concatenate(train_scores).take(back),
            test_scores.take(back),
            self.running.cpu().numpy()[back],
            np.array(self.lengths)[back] * (epoch > 0),
        )


def _images_of(run: Run, total: int) -> tuple[int, int]:
    """How many of the training images a run sees in an epoch, and how many are its own.

    Raises:
        ZoobenchError: none, since what it has are fewer than a batch and incomplete ones are left out.
    """
    count, batch = max(1, round(run.hyperparameters.train_fraction * total)), run.hyperparameters.batch_size
    if not run.training.drop_last:
        return count, count
    if count < batch:
        raise ZoobenchError(
            f"{run.run_id} has {count} training images, fewer than a batch of {batch}, and its recipe drops batches "
            "that are not full; give it more images or a smaller batch"
        )
    return count - count % batch, count


def _update_of(run: Run) -> tuple[Optimizer, bool, float, bool]:
    """What runs that are updated in one call share: optimizer, decoupled decay, factor of L2, and decay of biases."""
    training = run.training
    optimizer = training.optimizers.named(run.hyperparameters.optimizer)
    return optimizer, training.decoupled_decay, training.l2_factor, training.decay_biases


def _sort_key(run: Run) -> tuple[object, ...]:
    return run.hyperparameters.optimizer, *map(str, _update_of(run)), run.hyperparameters.activation
