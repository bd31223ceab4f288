"""Training speed: one population against a plain per-model PyTorch loop, in one run.

    python benchmarks/population.py [--seconds 5] [--threads 2]

Prints model-steps per second (one optimizer step of one model at the recipe's batch size) and images per second, for
the population and for the loop that anybody would write: an ``nn.Module`` and a ``torch.optim.Adam`` per model. For
CNNs it also prints both formulations of the convolutions by batch size, from which ``nets.conv_formulation`` takes
its threshold.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import torch
from torch import nn

from zoobench import streams
from zoobench.images import Images
from zoobench.initialisers import initial_weights
from zoobench.layout import layout_of
from zoobench.nets import ConvFormulation, conv_formulation, module
from zoobench.population import Population
from zoobench.runs import Run, runs_of
from zoobench.zoos import resolve
from zoobench.zoos.spec import Network

IMAGE_SHAPES = {"tetris-zoo/seed": (1, 4, 4), "mnist-zoo/seed": (1, 28, 28)}
IMAGES = 2000


def rate(step: Callable[[], None], seconds: float) -> float:
    """Calls of ``step`` per second, after a warm-up of a tenth of the time."""
    for limit in (seconds / 10, seconds):
        calls, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < limit:
            step()
            calls += 1
    return calls / elapsed


def population_rate(
    network: Network, runs: list[Run], shape: tuple[int, ...], batch: int, conv: ConvFormulation | None, seconds: float
) -> float:
    """Model-steps per second of a population."""
    pixels, labels = (part.numpy() for part in random_images(shape))
    images = Images(pixels, labels, pixels[:1], labels[:1], sha256="", origin="random")
    device = torch.device("cpu")
    population = Population(network, runs, images, device, conv or conv_formulation(device, batch))
    order = streams.permutation(population.seeds, "order", 1, IMAGES)
    sizes = torch.full((len(runs), 1), batch)
    starts = itertools.cycle(range(0, IMAGES - batch + 1, batch))

    def step() -> None:
        start = next(starts)
        population.train_step(order[:, start : start + batch], sizes, step=0)

    return len(runs) * rate(step, seconds)


def loop_rate(network: Network, runs: list[Run], shape: tuple[int, ...], batch: int, seconds: float) -> float:
    """Model-steps per second of a plain loop over models."""
    images, labels = random_images(shape)
    start = initial_weights(network, runs, torch.device("cpu")).numpy()
    models = [module(network, "tanh", row) for row in start]
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-3) for model in models]
    count = 0

    def step() -> None:
        nonlocal count
        model, optimizer = models[count % len(models)], optimizers[count % len(models)]
        chosen = torch.randint(0, IMAGES, (batch,))
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        count += 1

    return rate(step, seconds)


def random_images(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Speed does not depend on what the pixels show."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(IMAGES, *shape, generator=generator), torch.randint(0, 4, (IMAGES,), generator=generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="measuring time per figure")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads")
    print(f"{'zoo':20} {'batch':>5} {'runs':>5} {'way':18} {'model-steps/s':>14} {'images/s':>12} {'vs loop':>8}")
    for name, more_batches in (("tetris-zoo/seed", ()), ("mnist-zoo/seed", (16, 32, 128))):
        zoo = resolve(name)
        network, shape = zoo.spec.network, IMAGE_SHAPES[name]
        runs = runs_of(zoo)[: zoo.size.chunk]
        is_cnn = layout_of(network).size > 100
        for batch in (zoo.size.recipe.fixed.batch_size, *more_batches):
            loop = loop_rate(network, runs, shape, batch, arguments.seconds)
            ways: list[tuple[str, ConvFormulation | None]] = (
                [("grouped", "grouped"), ("per_run", "per_run")] if is_cnn else [("population", None)]
            )
            rows = [("loop", loop)]
            for label, conv in ways:
                rows.append((label, population_rate(network, runs, shape, batch, conv, arguments.seconds)))
            for label, speed in rows:
                size = f"{name:20} {batch:5} {len(runs):5}"
                print(f"{size} {label:18} {speed:14,.0f} {speed * batch:12,.0f} {speed / loop:7.1f}x", flush=True)


if __name__ == "__main__":
    main()
