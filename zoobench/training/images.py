"""Image sources: drawn tetrominoes, Hub image data sets, or the same data sets in a folder.

Whatever the source, images come out grey, scaled and in a canonical order: sorted by a hash of their pixels and
label. So a subset of "the first n images", and with it every network trained on them, does not depend on the source's
row order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .. import exact
from ..errors import ZoobenchError
from ..zoos.spec import HubImages, Preprocessing, Scale, TetrisImages, ZooSpec
from .image_files import read_part

IMAGES_VARIABLE = "ZOOBENCH_IMAGES"
_PARTS = ("train", "test")


@dataclass(frozen=True)
class Images:
    """Preprocessed images (n, 1, height, width) float32 and labels (n,) int64.

    ``sha256`` covers pixels and labels of both parts, in order; ``origin`` says where they came from.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    sha256: str
    origin: str


def draw_tetris(source: TetrisImages, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw one part ("train" or "test") of the Tetris images.

    Returns:
        grey levels (classes * images per class, 4, 4) float32 in [0, 1], multiples of 1/255, and labels int64.
    """
    # RandomState's streams are frozen by NumPy's policy (NEP 19); Generator's are not.
    rng = np.random.RandomState([source.seed, _PARTS.index(part)])
    count_per_class = {"train": source.train_per_class, "test": source.test_per_class}[part]
    noise_std = {"train": source.train_noise_std, "test": source.test_noise_std}[part]
    levels, labels = [], []
    for label, (_, cells) in enumerate(source.shapes):
        image = np.full((4, 4), source.background)
        rows, columns = zip(*cells, strict=True)
        image[rows, columns] += source.contrast
        noisy = image + noise_std * exact.normal(rng.random_sample((count_per_class, 4, 4)))
        levels.append(np.rint(noisy.clip(0, 1) * 255) / 255)
        labels.append(np.full(count_per_class, label))
    return np.concatenate(levels).astype(np.float32), np.concatenate(labels).astype(np.int64)


# Who draws the images of a declaration: grey levels in [0, 1] and labels of one part.
DRAWERS: Mapping[type, Callable[[Any, str], tuple[np.ndarray, np.ndarray]]] = {TetrisImages: draw_tetris}


def load_images(spec: ZooSpec, size: Scale, folder: str | os.PathLike[str] | None = None) -> Images:
    """Load the images of a zoo, preprocessed, as many as its scale uses.

    Args:
        spec: the zoo; ``spec.images`` is the source.
        size: how many training and test images are used.
        folder: a folder with one sub-folder of parquet files per image data set; default ``ZOOBENCH_IMAGES``, then
            the Hub.

    Raises:
        ZoobenchError: the images are neither in the folder nor on the Hub, or there are too few.
    """
    source = spec.images
    if isinstance(source, HubImages):
        chosen = folder or os.environ.get(IMAGES_VARIABLE)
        parts = _load_hub_images(source, size, _at_home(Path(chosen)) if chosen else None)
        origin = f"folder {source.folder}" if chosen else f"Hub {source.hub_id}"
    else:
        drawn = [DRAWERS[type(source)](source, part) for part in _PARTS]
        parts = [_first(*both, count) for both, count in zip(drawn, (size.train_images, size.test_images), strict=True)]
        origin = "drawn by zoobench"
    digest = hashlib.sha256()
    for levels, labels in parts:
        digest.update(np.ascontiguousarray(levels, dtype="<f4").tobytes())
        digest.update(labels.astype("<i8").tobytes())
    (train_levels, train_labels), (test_levels, test_labels) = parts
    return Images(
        _preprocess(train_levels, spec.preprocessing),
        train_labels,
        _preprocess(test_levels, spec.preprocessing),
        test_labels,
        digest.hexdigest(),
        origin,
    )


def _first(levels: np.ndarray, labels: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The first drawn images of each class, ``count`` in all; ``None`` for all that there are."""
    if count is None:
        return levels, labels
    each = count // len(np.unique(labels))
    kept = np.concatenate([np.flatnonzero(labels == label)[:each] for label in np.unique(labels)])
    if len(kept) != count:
        raise ZoobenchError(f"{len(labels)} images are drawn, equally many of each class; {count} cannot be taken")
    return levels[kept], labels[kept]


def _at_home(path: Path) -> Path:
    """With the home that a leading ``~`` stands for, which nothing has replaced in a variable."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _load_hub_images(source: HubImages, size: Scale, folder: Path | None) -> list[tuple[np.ndarray, np.ndarray]]:
    if folder is not None and not (folder / source.folder).is_dir():
        raise ZoobenchError(f"no folder {source.folder!r} in {folder}; --images takes a folder that has one")
    parts = []
    for part, count in (("train", size.train_images), ("test", size.test_images)):
        try:
            levels, labels = read_part(source, part, folder)
        except (OSError, ValueError, pa.ArrowException) as error:
            where = f"folder {folder}" if folder else f"Hub data set {source.hub_id!r}"
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ZoobenchError(
                f"cannot load images {source.folder!r} from {where} ({reason}); pass --images FOLDER (or set "
                f"{IMAGES_VARIABLE}) with {source.folder}/train-*.parquet and test-*.parquet, or give access to the Hub"
            ) from error
        if count and len(labels) < count:
            raise ZoobenchError(f"images {source.folder!r} have {len(labels)} in {part!r}, the recipe needs {count}")
        parts.append((_shrink(np.array(levels[:count]), size.image_shrink), np.array(labels[:count])))
    return parts


def _shrink(levels: np.ndarray, block: int) -> np.ndarray:
    """(n, height, width) -> (n, height / block, width / block): the mean of each block; what is left over is cut."""
    if block == 1:
        return levels
    count, height, width = levels.shape
    rows, columns = height // block, width // block
    cut = levels[:, : rows * block, : columns * block].astype(np.float64)
    sums = exact.total(exact.total(cut.reshape(count, rows, block, columns, block), 4), 2)
    return (sums / block**2).astype(np.float32)


def _preprocess(levels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    scaled = (levels - np.float32(preprocessing.mean)) / np.float32(preprocessing.std)
    return np.ascontiguousarray(scaled[:, None], dtype=np.float32)
