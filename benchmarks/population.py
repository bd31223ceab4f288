"""Training speed: one population against a plain per-model PyTorch loop.

    python -m benchmarks.bench population
    python -m benchmarks.population [--seconds 4] [--cores 2] [ZOO:BATCH ...]    # every formulation

Images per second, forward, backward and optimizer step, for the runs of one chunk:

- ``loop``: what anybody would write, an ``nn.Module`` and a ``torch.optim`` optimizer per model, one model after the
  other, PyTorch's threads on all cores;
- ``loops``: as many such loops side by side as there are cores, one thread each;
- ``grouped`` / ``per_run`` / ``lanes``: populations side by side, one chunk and one thread per core, as ``zoobench
  build`` trains on CPU, by each formulation. ``*`` marks the one that
  ``formulation.formulation_for`` picks; its thresholds come from this table.

The second command takes the runs' own activations, dropout rates and optimizers; the first has ReLU and Adam for all.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoobench.training import streams
from zoobench.training.formulation import Formulation, conv_multiply_adds, formulation_for
from zoobench.training.images import Images
from zoobench.training.initialisers import initial_weights
from zoobench.training.nets import module
from zoobench.training.population import Population
from zoobench.zoos import Zoo, resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.runs import Run, runs_of
from zoobench.zoos.spec import Conv, Linear, Network

from .measured import Measurement, apart, matmul_flops, taking_turns

SIDES = {"tetris-zoo": 4, "cnn-zoo-2-lite": 14}
CASES = (
    "tetris-zoo/seed:4",
    "mnist-zoo/seed:4",
    "mnist-zoo/seed:10",
    "mnist-zoo/seed:32",
    "small-cnn-zoo/mnist:8",
    "small-cnn-zoo/mnist:16",
    "small-cnn-zoo/mnist:32",
    "small-cnn-zoo/mnist:512",
    "cnn-zoo-2-lite/mnist:4",
    "cnn-zoo-2-lite/mnist:16",
    "cnn-zoo-2/mnist:128",
)
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
IMAGES = 2048
RUNS = 32
Step = Callable[[], int]
CPU = torch.device("cpu")


def rate(make: Callable[[], Step], copies: int, threads: int, seconds: float) -> float:
    """Images per second of steps, so many side by side, each in its own Python thread with ``threads`` of PyTorch.

    A step returns how many images it has trained on. What runs before all have made their first step is not counted.
    """
    counts = [0] * copies
    ready = threading.Barrier(copies)
    times = [(0.0, 0.0)] * copies

    def work(number: int) -> None:
        torch.set_num_threads(threads)
        try:
            step = make()
            step()
        except BaseException:
            ready.abort()
            raise
        ready.wait()
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            counts[number] += step()
        times[number] = start, time.perf_counter()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(1, copies)]
    for worker in workers:
        worker.start()
    # In the main thread, too: PyTorch's own threads belong to it.
    work(0)
    for worker in workers:
        worker.join()
    return sum(count / (end - start) for count, (start, end) in zip(counts, times, strict=True))


def random_images(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Speed does not depend on what the pixels show."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(IMAGES, 1, side, side, generator=generator), torch.randint(0, 4, (IMAGES,), generator=generator)


def activations_of(runs: list[Run]) -> list[str]:
    return [run.hyperparameters.activation for run in runs]


def population_step(network: Network, runs: list[Run], side: int, formulation: Formulation) -> Step:
    pixels, labels = (part.numpy() for part in random_images(side))
    images = Images(pixels, labels, pixels[:1], labels[:1], sha256="", origin="random")
    population = Population(network, runs, images, CPU, formulation)
    batch = population.batch_size
    order = streams.permutation(population.seeds, "order", 1, IMAGES)
    sizes = torch.full((len(runs), 1), batch)
    steps = itertools.count()

    def step() -> int:
        number = next(steps)
        start = number * batch % (IMAGES - batch + 1)
        population.train_step(order[:, start : start + batch], sizes, number)
        return len(runs) * batch

    return step


def loop_step(network: Network, runs: list[Run], side: int) -> Step:
    images, labels = random_images(side)
    batch = runs[0].hyperparameters.batch_size
    starts = initial_weights(network, runs, CPU).numpy()
    models = []
    for run, row in zip(runs, starts, strict=True):
        values = run.hyperparameters
        model = module(network, values.activation, row, values.dropout)
        settings: dict[str, Any] = {"lr": values.learning_rate, "weight_decay": values.weight_decay}
        if values.optimizer == "sgd":
            settings["momentum"] = run.training.optimizers.sgd.momentum
        models.append((model, OPTIMIZERS[values.optimizer](model.parameters(), **settings)))
    turns = itertools.cycle(models)

    def step() -> int:
        model, optimizer = next(turns)
        chosen = torch.randint(0, IMAGES, (batch,))
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return batch

    return step


def chunk_of(zoo: Zoo, batch: int, **same: object) -> list[Run]:
    """Runs of a zoo with a batch size, all images and further hyperparameters in common."""
    changes: dict[str, Any] = {"batch_size": batch, "train_fraction": 1.0, **same}
    return [
        dataclasses.replace(run, hyperparameters=dataclasses.replace(run.hyperparameters, **changes))
        for run in runs_of(zoo)[: zoo.size.chunk if zoo.repo == "tetris-zoo" else RUNS]
    ]


def operations(network: Network, side: int) -> int:
    """Floating-point operations of training on one image: two per multiply-add, for outputs and both gradients."""
    dense = sum(layer.inputs * layer.outputs for layer in network.layers if isinstance(layer, Linear))
    return 3 * 2 * (conv_multiply_adds(network, (1, side, side)) + dense)


@dataclass(frozen=True)
class Case:
    """What to measure, the ratio to reach, and the one below which CI fails."""

    zoo: str
    batch: int
    goal: float
    guard: float


MEASURED = (
    Case("tetris-zoo/seed", 4, 200, 30),
    Case("tetris-zoo/seed", 32, 200, 30),
    Case("mnist-zoo/seed", 10, 6, 2),
    Case("mnist-zoo/seed", 64, 3, 1),
    Case("small-cnn-zoo/mnist", 32, 5, 2),
    Case("small-cnn-zoo/mnist", 64, 4, 1.5),
    Case("small-cnn-zoo/mnist", 512, 1, 0.8),
    Case("cnn-zoo-2/mnist", 128, 1.2, 0.7),
)


def measurements(quick: bool) -> Iterator[Measurement]:
    """Populations on two cores. ``quick`` leaves large batches, and with them the largest network, out."""
    flops = matmul_flops(2)
    for case in MEASURED:
        if quick and case.batch > 32:
            continue
        zoo = resolve(case.zoo)
        network, side = zoo.spec.network, SIDES.get(zoo.repo, 28)
        adam = {"optimizer": "adam", "dropout": 0.0, "learning_rate": 1e-3, "weight_decay": 0.0}
        runs = chunk_of(zoo, case.batch, **adam, **({} if zoo.repo == "tetris-zoo" else {"activation": "relu"}))
        formulation = formulation_for(network, (1, side, side), case.batch, activations_of(runs), CPU)
        seconds = 0.7 if quick else 3.0
        with apart(rate) as way:
            rates = taking_turns(
                {
                    "ours": way(functools.partial(population_step, network, runs, side, formulation), 2, 1, seconds),
                    "loop": way(functools.partial(loop_step, network, runs, side), 1, 2, seconds),
                },
                1 if quick else 3,
            )
        weights = layout_of(network).size
        yield Measurement(
            f"`{zoo.id}` ({weights:,} weights), batch {case.batch}, {len(runs):,} runs",
            "images/s",
            rates["ours"],
            "PyTorch loop, a model at a time",
            rates["loop"],
            "float32 matmul",
            flops / operations(network, side),
            ratio_goal=case.goal,
            guard=case.guard,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="ZOO:BATCH")
    parser.add_argument("--seconds", type=float, default=4.0, help="measuring time per figure")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    cores, seconds = arguments.cores, arguments.seconds
    print(f"torch {torch.__version__}, {cores} cores, images per second")
    print(f"{'zoo':22} {'side':>4} {'batch':>5} {'runs':>4} {'way':9} {'images/s':>11} {'vs loop':>8} {'vs loops':>8}")
    for case in arguments.cases:
        name, _, batch = case.partition(":")
        zoo = resolve(name)
        network, side = zoo.spec.network, SIDES.get(zoo.repo, 28)
        runs = chunk_of(zoo, int(batch))
        convolutions = any(isinstance(layer, Conv) for layer in network.layers)
        ways: tuple[Formulation, ...] = ("grouped", "per_run", "lanes") if convolutions else ("grouped", "lanes")
        picked = formulation_for(network, (1, side, side), int(batch), activations_of(runs), CPU)
        make_loop = functools.partial(loop_step, network, runs, side)
        with apart(rate) as way:
            loop, loops = way(make_loop, 1, cores, seconds)(), way(make_loop, cores, 1, seconds)()
            speeds = {"loop": loop, "loops": loops}
            for formulation in ways:
                label = formulation + ("*" if formulation == picked else "")
                make = functools.partial(population_step, network, runs, side, formulation)
                speeds[label] = way(make, cores, 1, seconds)()
        for label, speed in speeds.items():
            setting = f"{zoo.id:22} {side:4} {int(batch):5} {len(runs):4}"
            print(f"{setting} {label:9} {speed:11,.0f} {speed / loop:7.1f}x {speed / loops:7.1f}x", flush=True)


if __name__ == "__main__":
    main()
