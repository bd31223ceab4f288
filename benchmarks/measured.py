"""What the benchmarks share: rates of ways that take turns, so that a busy machine is busy for all of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measurement:
    """One line of the table in docs/benchmarks.md.

    Attributes:
        what: is done.
        unit: of the rates, per second.
        ours: rates, one per round.
        alternative: what it is compared with; "" for nothing.
        theirs: its rates in the same rounds.
        limit: what bounds the rate on this machine.
        bound: that rate, measured in the same run; NaN if it has none.
        ratio_goal, rate_goal: the least ratio and rate to reach, or ``None``.
        guard: the ratio, or without an alternative the share of the bound, below which CI fails: far enough down for a
            noisy machine.
    """

    what: str
    unit: str
    ours: Sequence[float]
    alternative: str = ""
    theirs: Sequence[float] = ()
    limit: str = ""
    bound: float = float("nan")
    ratio_goal: float | None = None
    rate_goal: float | None = None
    guard: float = 0.0

    @property
    def rate(self) -> float:
        return statistics.median(self.ours)

    @property
    def ratios(self) -> list[float]:
        """Of each round, ascending."""
        return sorted(one / other for one, other in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def reached(self) -> bool:
        enough = self.ratio_goal is None or self.ratio >= self.ratio_goal
        return enough and (self.rate_goal is None or self.rate >= self.rate_goal)

    @property
    def guarded(self) -> float:
        """What the guard is about."""
        return self.ratio if self.theirs else self.rate / self.bound

    def cells(self) -> list[str]:
        """What, ours, alternative, its rate, ratio with the range over rounds, limit, share of it, goal, reached."""
        ratio = f"{self.ratio:.3g}× [{self.ratios[0]:.3g}, {self.ratios[-1]:.3g}]" if self.theirs else "–"
        goals = [f"{self.ratio_goal:g}×"] if self.ratio_goal is not None else []
        goals += [f"{short(self.rate_goal)} {self.unit}"] if self.rate_goal is not None else []
        bounded = not np.isnan(self.bound)
        return [
            self.what,
            f"{short(self.rate)} {self.unit}",
            self.alternative or "–",
            f"{short(statistics.median(self.theirs))}" if self.theirs else "–",
            ratio,
            f"{self.limit}: {short(self.bound)}" if bounded else "–",
            f"{self.rate / self.bound:.0%}" if bounded else "–",
            ", ".join(goals) or "–",
            ("yes" if self.reached else "**no**") if goals else "–",
        ]


HEAD = ["what", "ours", "alternative", "its rate", "ratio [rounds]", "physical limit", "of it", "to reach", "reached"]


def short(rate: float) -> str:
    """Three digits, in thousands or millions where that is shorter."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if rate >= size:
            return f"{rate / (1e3 if suffix == ' k' else size):.3g}{suffix}"
    return f"{rate:.3g}"


def taking_turns(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Rates of ways, each called once per round for its rate; a round before them, which is not counted, warms up."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, measure in ways.items():
            rate = measure()
            if turn:
                rates[name].append(rate)
    return rates


def rate_of(work: Callable[[], object], count: float) -> Callable[[], float]:
    """A way whose rate is ``count`` per call."""

    def measure() -> float:
        start = time.perf_counter()
        work()
        return count / (time.perf_counter() - start)

    return measure


@contextlib.contextmanager
def apart(function: Callable[..., float]) -> Iterator[Callable[..., Callable[[], float]]]:
    """Ways that are measured in a process of their own each, so that no threads of others are about.

    ``way(*arguments)`` gives a way for ``taking_turns``; function and arguments are pickled.
    """
    with contextlib.ExitStack() as open_pools:

        def way(*arguments: object) -> Callable[[], float]:
            pool = open_pools.enter_context(multiprocessing.get_context("spawn").Pool(1))
            return lambda: pool.apply(function, arguments)

        yield way


def matmul_flops(threads: int) -> float:
    """Floating-point operations per second of float32 matrix products, by PyTorch or NumPy: the best of ten each."""
    import torch
    from threadpoolctl import threadpool_limits

    size = 1536
    left = torch.randn(size, size)
    as_array = left.numpy()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        ways = (rate_of(lambda: left @ left, 2 * size**3), rate_of(lambda: as_array @ as_array, 2 * size**3))
        found = max(way() for way in ways for _ in range(10))
    torch.set_num_threads(before)
    return found


def copy_bytes() -> float:
    """Bytes per second that NumPy copies from memory to memory on one core: the best of ten."""
    source = np.ones(1 << 26, np.float32)
    target = np.empty_like(source)
    return max(rate_of(lambda: np.copyto(target, source), source.nbytes)() for _ in range(10))
