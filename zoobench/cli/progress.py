"""Progress displays: bars on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from ..building.build import Progress as BuildProgress

ERRORS = Console(stderr=True)


@contextlib.contextmanager
def build_bar(zoo_id: str) -> Iterator[Callable[[BuildProgress], None]]:
    """A bar over all epochs of all runs, with runs and models per second; yields the callback for ``build``."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=ERRORS, disable=not ERRORS.is_terminal) as bars:
        bar = bars.add_task(zoo_id, total=None, state="loading images")

        def update(progress: BuildProgress) -> None:
            done = progress.run_epochs_done
            epochs = progress.run_epochs / progress.runs
            speed = (done - progress.run_epochs_resumed) / epochs / (time.monotonic() - started)
            state = f"runs {progress.runs_done}/{progress.runs} · {speed:.3g} models/s"
            bars.update(bar, total=progress.run_epochs, completed=done, state=state)

        yield update


@contextlib.contextmanager
def bar(text: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over a known amount of ``unit``; yields the function that is told (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERRORS, disable=not ERRORS.is_terminal) as bars:
        task = bars.add_task(text, total=0)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextlib.contextmanager
def spinner(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner with changing text; yields the function that changes it."""
    if not ERRORS.is_terminal:
        yield lambda step: None
        return
    with ERRORS.status(text) as status:
        yield lambda step: status.update(f"{text}: {step}")
