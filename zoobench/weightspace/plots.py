"""Pictures of a zoo, as the papers show theirs: one function per picture, listed in ``PICTURES``.

They are drawn from a ``View``: the labels of all rows, and the weights of a random sample of them. ``PICTURES`` go on
the dataset card; ``zoobench plot zoo`` writes them, and ``MORE_PICTURES``, for any zoo.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..data import schema, tables
from .figures import Axes, Figure, FixedLocator, NullLocator, own_style, save
from .projections import plane, scatter_by, umap_plane

SAMPLE_ROWS = 2000
_CURVES = 40


class PictureWarning(UserWarning):
    """A picture that could not be drawn, of something that is whole without it."""


@dataclass(frozen=True)
class View:
    """What pictures of a zoo are drawn from.

    Attributes:
        title: the zoo's id.
        classes: how many classes the images have; chance is one in so many.
        labels: every column but the weights, all rows.
        sample: the same columns of the sampled rows.
        weights: (sampled rows, N) float32.
    """

    title: str
    classes: int
    labels: pd.DataFrame
    sample: pd.DataFrame
    weights: np.ndarray

    @property
    def final(self) -> pd.DataFrame:
        """The last checkpoint of every run."""
        return self.labels[self.labels["epoch"] == self.labels["epoch"].max()]


def view(title: str, classes: int, files: Sequence[Path], limit: int = SAMPLE_ROWS) -> View:
    """Read what pictures need from the row files of a zoo, one row group in memory at a time.

    Args:
        title: the zoo's id.
        classes: how many classes its images have.
        files: parquet files of rows, of all splits.
        limit: how many rows to sample, all equally likely; the same ones each time.

    Raises:
        ZoobenchError: a file cannot be read, or lacks a column.
    """
    total = sum(tables.count_rows(path) for path in files)
    chosen = np.sort(np.random.RandomState(0).choice(total, min(limit, total), replace=False))
    labels, sampled, start = [], [], 0
    for path in files:
        with tables.reading(path), pq.ParquetFile(path) as parquet:
            needed = [name for name in schema.rows(1).names if name not in schema.OPTIONAL]
            tables.check_columns(path, parquet.schema_arrow, needed)
            labels.append(parquet.read(columns=[name for name in needed if name != "weights"]))
            for group in range(parquet.num_row_groups):
                end = start + parquet.metadata.row_group(group).num_rows
                if len(rows := chosen[(chosen >= start) & (chosen < end)] - start):
                    sampled.append(parquet.read_row_group(group).take(rows))
                start = end
    sample = pa.concat_tables(sampled)
    weights = sample["weights"].combine_chunks().flatten().to_numpy().reshape(len(sample), -1)
    return View(
        title, classes, pa.concat_tables(labels).to_pandas(), sample.drop_columns("weights").to_pandas(), weights
    )


def accuracy(view: View) -> Figure:
    """Distribution of test accuracy: the last checkpoint of each run, and all checkpoints."""
    figure, axes = _figure(view, 1)
    bins = np.linspace(0, 1, 51).tolist()
    for rows, label, style in (
        (view.final, f"last checkpoint (epoch {view.final['epoch'].iloc[0]})", {"alpha": 0.7}),
        (view.labels, "all checkpoints", {"histtype": "step", "color": "black"}),
    ):
        share = np.full(len(rows), 1 / len(rows))
        axes[0].hist(rows["test_accuracy"], bins=bins, weights=share, label=label, **style)
    axes[0].axvline(1 / view.classes, color="grey", linestyle=":", label="chance")
    axes[0].set(xlabel="test accuracy", ylabel="share of networks", xlim=(0, 1))
    axes[0].legend(frameon=False)
    return figure


def train_test(view: View) -> Figure | None:
    """Train against test accuracy of the sampled rows, coloured by epoch; none without train accuracies."""
    if view.sample["train_accuracy"].isna().all():
        return None
    figure, axes = _figure(view, 1)
    order = view.sample.sort_values("epoch", kind="stable")
    points = axes[0].scatter(order["train_accuracy"], order["test_accuracy"], c=order["epoch"], s=5)
    axes[0].plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes[0].set(xlabel="train accuracy", ylabel="test accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
    figure.colorbar(points, label="epoch")
    return figure


def weights(view: View) -> Figure:
    """Sampled weight vectors in two dimensions, coloured by test accuracy and by initialiser (or epoch)."""
    return _by_two(view, "PCA", plane(view.weights)[0])


def weights_umap(view: View) -> Figure:
    """The same by UMAP; needs ``umap-learn``."""
    return _by_two(view, "UMAP", umap_plane(view.weights))


def _by_two(view: View, method: str, points: np.ndarray) -> Figure:
    figure, (left, right) = _figure(view, 2)
    points = points - np.median(points, axis=0)
    scatter_by(left, points, view.sample["test_accuracy"])
    if view.sample["init"].nunique() > 1:
        scatter_by(right, points, view.sample["init"])
    else:
        scatter_by(right, points, view.sample["epoch"], cmap="plasma")
    for panel in (left, right):
        panel.set(xlabel=f"{method} 1", ylabel=f"{method} 2")
        _signed_log_if_wide(panel, points.T)
    return figure


def learning_curves(view: View) -> Figure:
    """Test accuracy over epochs: median and quantile bands over runs, and some single runs."""
    figure, axes = _figure(view, 1)
    by_epoch = view.labels.pivot(index="epoch", columns="run_id", values="test_accuracy")
    quantile = {q: by_epoch.quantile(q, axis=1) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
    for low, high, label in ((0.05, 0.95, "5 to 95 % of runs"), (0.25, 0.75, "25 to 75 %")):
        axes[0].fill_between(by_epoch.index, quantile[low], quantile[high], alpha=0.25, color="C0", label=label)
    step = max(1, by_epoch.shape[1] // _CURVES)
    axes[0].plot(by_epoch.index, by_epoch.iloc[:, ::step], color="black", linewidth=0.3, alpha=0.6)
    axes[0].plot(by_epoch.index, quantile[0.5], color="C0", label="median")
    axes[0].set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1))
    axes[0].legend(frameon=False, loc="upper left", fontsize="small")
    return figure


PICTURES: Mapping[str, Callable[[View], Figure | None]] = {
    "accuracy": accuracy,
    "train-test": train_test,
    "weights": weights,
    "learning-curves": learning_curves,
}
# Too slow for every build, and not every machine has it.
MORE_PICTURES: Mapping[str, Callable[[View], Figure | None]] = (
    {"weights-umap": weights_umap} if importlib.util.find_spec("umap") else {}
)


def write_pictures(
    view: View, folder: Path, prefix: str, pictures: Mapping[str, Callable[[View], Figure | None]] = PICTURES
) -> list[Path]:
    """Write pictures as ``folder/<prefix>-<picture>.png``; what cannot be drawn is left out, with one warning."""
    folder.mkdir(parents=True, exist_ok=True)
    paths, missing = draw_each(view, folder, prefix, pictures)
    if missing:
        why = next(iter(missing.values()))
        warnings.warn(
            f"pictures of {view.title} are left out: {', '.join(missing)} ({why})", PictureWarning, stacklevel=2
        )
    return paths


def draw_each(
    view: View, folder: Path, prefix: str, pictures: Mapping[str, Callable[[View], Figure | None]]
) -> tuple[list[Path], dict[str, str]]:
    """The pictures that were written, and what kept the others from it, by name: drawing raises nothing."""
    paths, missing = [], {}
    for name, picture in pictures.items():
        path = folder / f"{prefix}-{name}.png"
        try:
            with own_style():
                figure = picture(view)
            if figure:
                save(figure, path)
                paths.append(path)
        except Exception as error:
            missing[name] = (getattr(error, "strerror", None) or f"{type(error).__name__}: {error}").split("\n")[0]
    return paths, missing


def _figure(view: View, panels: int) -> tuple[Figure, list[Axes]]:
    # A Figure without pyplot: no global state, no display.
    figure = Figure(figsize=(4.6 * panels, 3.4), layout="constrained")
    figure.suptitle(view.title, fontsize="medium")
    return figure, list(np.atleast_1d(figure.subplots(1, panels)))


def _signed_log_if_wide(axes: Axes, points: np.ndarray) -> None:
    """Runs with a high learning rate can be a thousand times further out than most. The median row is at 0."""
    distance = np.abs(points)
    if distance.max() <= 30 * np.median(distance):
        return
    for axis, set_scale, far in (
        (axes.xaxis, axes.set_xscale, distance[0]),
        (axes.yaxis, axes.set_yscale, distance[1]),
    ):
        middle = float(np.median(far)) or 1.0
        low, top = np.ceil(np.log10(middle)), np.floor(np.log10(max(far.max(), 10 * middle)))
        decades = 10.0 ** np.arange(top, low, -max(1, (top - low) // 2))
        set_scale("symlog", linthresh=middle)
        axis.set_major_locator(FixedLocator([*-decades, 0, *decades]))
        axis.set_minor_locator(NullLocator())
