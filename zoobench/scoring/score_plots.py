"""Pictures of scores: predictions against targets, and train x test matrices.

As Figures 4 and 6 and Table 3 of Unterthiner 2020. Files are named after zoo, protocol and task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import ZoobenchError
from ..weightspace.figures import Axes, Figure, own_style, save
from . import metrics
from .joining import Joined
from .results import Matrix, Result, TaskResult, ZooResult, number

_SIDE = 3.0
_COLUMNS = 4
_ROWS_AS_POINTS = 3000


def draw_scores(result: Result, joined: Sequence[tuple[ZooResult, Joined]], folder: Path) -> list[Path]:
    """Write all pictures of a result into a folder.

    Args:
        result: what was scored.
        joined: its zoos, each beside the predictions (of the first seed, where there are several).
        folder: made if needed.

    Raises:
        ZoobenchError: the folder cannot be written, or something cannot be drawn.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with own_style():
            return [_written(figure, folder, name) for name, figure in _pictures(result, joined)]
    except OSError as error:
        raise ZoobenchError(f"cannot write pictures to {folder}: {error.strerror or error}") from error
    except Exception as error:
        # Whatever drawing runs into, the scores are sound.
        raise ZoobenchError(f"cannot draw pictures in {folder}: {type(error).__name__}: {error}") from error


def _written(figure: Figure, folder: Path, name: str) -> Path:
    path = folder / f"{name.replace('/', '-')}.png"
    save(figure, path)
    return path


def _pictures(result: Result, joined: Sequence[tuple[ZooResult, Joined]]) -> Iterator[tuple[str, Figure]]:
    """Each picture after its name."""
    for part, data in joined:
        trained = "" if part.trained_on == part.zoo else f"-trained-on-{part.trained_on}"
        yield f"{part.zoo}{trained}-{part.stamp.protocol}", predicted_against_true(part, data)
    for matrix in result.matrices():
        yield f"matrix-{matrix.task}-{matrix.protocol}", heat_map(matrix)
        cells = {(p.trained_on, p.zoo): (p, data) for p, data in joined if p.stamp.protocol == matrix.protocol}
        yield f"transfer-{matrix.task}-{matrix.protocol}", transfer(matrix, cells)


def predicted_against_true(part: ZooResult, joined: Joined) -> Figure:
    """One panel per task: predictions over targets, or the confusion matrix."""
    count = len(part.tasks)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(_SIDE * columns, _SIDE * rows), layout="constrained")
    trained = "" if part.trained_on == part.zoo else f", trained on {part.trained_on}"
    figure.suptitle(f"{part.zoo}{trained}, protocol {part.stamp.protocol}", fontsize="medium")
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel().tolist()
    for panel, (name, task) in zip(panels, part.tasks.items(), strict=False):
        if task.confusion:
            _confusion(panel, task)
        else:
            _scatter(panel, name, joined, task)
        main = task.scores[task.main_metric]
        panel.set_title(f"{name}: {metrics.BY_NAME[task.main_metric].label} {_value(main.value)}", fontsize="small")
    for panel in panels[count:]:
        panel.axis("off")
    return figure


def heat_map(matrix: Matrix) -> Figure:
    """The matrix as numbers on colours; rows are what was trained on."""
    label = metrics.BY_NAME[matrix.metric].label
    values = np.array([[np.nan if s is None or s.value is None else s.value for s in row] for row in matrix.scores])
    size = (3.5 + 1.3 * len(matrix.zoos), 1.6 + 0.8 * len(matrix.trained_on))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(values, vmin=min(0.0, np.nanmin(values)) if np.isfinite(values).any() else 0, vmax=1)
    for set_ticks, names in ((axes.set_xticks, matrix.zoos), (axes.set_yticks, matrix.trained_on)):
        set_ticks(range(len(names)), [name.replace("/", "/\n") for name in names], fontsize="small")
    axes.set(xlabel="tested on", ylabel="trained on")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black")
    axes.set_title(f"{label} of {matrix.task}, protocol {matrix.protocol}", fontsize="medium")
    figure.colorbar(shown, label=label)
    return figure


def transfer(matrix: Matrix, cells: dict[tuple[str, str], tuple[ZooResult, Joined]]) -> Figure:
    """Predictions over targets for every pair of the matrix, with its tau (Figure 6 of Unterthiner 2020)."""
    rows, columns = len(matrix.trained_on), len(matrix.zoos)
    figure = Figure(figsize=(_SIDE * columns, _SIDE * rows), layout="constrained")
    label = metrics.BY_NAME[matrix.metric].label
    figure.suptitle(f"{matrix.task}, protocol {matrix.protocol}, and its {label}", fontsize="medium")
    panels = figure.subplots(rows, columns, squeeze=False)
    for (i, j), panel in np.ndenumerate(panels):
        trained_on, zoo, score = matrix.trained_on[i], matrix.zoos[j], matrix.scores[i][j]
        if score is None:
            panel.axis("off")
            continue
        part, joined = cells[trained_on, zoo]
        if part.tasks[matrix.task].confusion:
            _confusion(panel, part.tasks[matrix.task])
        else:
            _scatter(panel, matrix.task, joined, part.tasks[matrix.task])
        panel.set_title(f"{label} {_value(score.value)}", fontsize="small")
        panel.set_xlabel(f"true\ntested on {zoo}" if i == rows - 1 else "true", fontsize="x-small")
        panel.set_ylabel(f"trained on {trained_on}\npredicted" if j == 0 else "predicted", fontsize="x-small")
    return figure


def _scatter(panel: Axes, name: str, joined: Joined, task: TaskResult) -> None:
    sample = joined.samples[name]
    if len(sample.target) > _ROWS_AS_POINTS:
        panel.hexbin(sample.target, sample.prediction, gridsize=40, bins="log", mincnt=1)
    else:
        panel.scatter(sample.target, sample.prediction, s=4, alpha=0.5, linewidths=0)
    ends = [float(sample.target.min()), float(sample.target.max())]
    panel.plot(ends, ends, color="grey", linestyle=":")
    unit = "" if task.unit == "1" else f" ({task.unit})"
    panel.set(xlabel=f"true{unit}", ylabel=f"predicted{unit}")


def _confusion(panel: Axes, task: TaskResult) -> None:
    assert task.confusion
    counts = np.array(task.confusion.counts)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    panel.imshow(share, vmin=0, vmax=1, cmap="Blues")
    ticks = range(len(counts))
    panel.set_xticks(ticks, task.confusion.classes, rotation=45, ha="right", fontsize="x-small")
    panel.set_yticks(ticks, task.confusion.classes, fontsize="x-small")
    for (row, column), value in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.5 else "black"
        panel.text(column, row, f"{value:,}", ha="center", va="center", fontsize="x-small", color=colour)
    panel.set(xlabel="predicted", ylabel="true")


def _value(value: float | None) -> str:
    return "–" if value is None else number(value)
