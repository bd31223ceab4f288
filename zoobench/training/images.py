"""Image sources: drawn tetrominoes, Hub image data sets, or the same data sets in a folder.

Whatever the source, images come out grey, scaled and in a canonical order: sorted by a hash of their pixels and
label. So a subset of "the first n images", and with it every network trained on them, does not depend on the source's
row order.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from ..errors import ZoobenchError
from ..files import whole
from ..zoos.spec import HubImages, Preprocessing, Scale, TetrisImages, ZooSpec

IMAGES_VARIABLE = "ZOOBENCH_IMAGES"
_CACHE_VERSION = 1
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
    levels, labels = [], []
    for label, (_, cells) in enumerate(source.shapes):
        image = np.full((4, 4), source.background)
        rows, columns = zip(*cells, strict=True)
        image[rows, columns] += source.contrast
        noisy = image + rng.normal(0.0, source.noise_std, (count_per_class, 4, 4))
        levels.append(np.round(noisy.clip(0, 1) * 255) / 255)
        labels.append(np.full(count_per_class, label))
    return np.concatenate(levels).astype(np.float32), np.concatenate(labels).astype(np.int64)


# Who draws the images of a declaration: grey levels in [0, 1] and labels of one part.
DRAWERS: Mapping[type, Callable[[Any, str], tuple[np.ndarray, np.ndarray]]] = {TetrisImages: draw_tetris}


@contextlib.contextmanager
def _bars_on_a_terminal_only() -> Iterator[None]:
    """``datasets`` draws its progress bars into files, too."""
    import datasets

    if sys.stderr.isatty() or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


def _read_hub_part(source: HubImages, part: str, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels (n, height, width) float32 in [0, 1] and labels of one part, in canonical order, memory-mapped.

    Images are decoded once per machine; the cache is keyed by what ``datasets`` has loaded.
    """
    import datasets

    with _bars_on_a_terminal_only():
        if folder is not None:
            files = sorted((folder / source.folder).glob(f"{part}-*.parquet"))
            if not files:
                raise ZoobenchError(f"no images in {folder / source.folder}: expected {part}-*.parquet there")
            table = datasets.load_dataset("parquet", data_files=[str(file) for file in files], split="train")
        else:
            table = datasets.load_dataset(source.hub_id, source.hub_config, split=part)
    missing = {source.image_column, source.label_column} - set(table.column_names)
    if missing:
        raise ZoobenchError(
            f"images {source.folder!r} lack the column {sorted(missing)[0]!r}; found {table.column_names}"
        )
    loaded = [Path(entry["filename"]) for entry in table.cache_files]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in loaded]
    key = hashlib.sha256(repr((_CACHE_VERSION, stats)).encode()).hexdigest()[:16]
    cached = [_cache_folder() / f"{source.folder}-{part}-{key}-{kind}.npy" for kind in ("levels", "labels")]
    if not all(path.exists() for path in cached):
        # Parquet files written without the metadata of `datasets` hold images as plain structs of bytes.
        table = table.cast_column(source.image_column, datasets.Image())
        for path, array in zip(cached, _canonical(*_decode(source, table)), strict=True):
            _save(path, array)
    levels, labels = (np.load(path, mmap_mode="r") for path in cached)
    return levels, labels


def _decode(source: HubImages, table: Any) -> tuple[np.ndarray, np.ndarray]:
    levels = np.stack([np.asarray(image, dtype=np.float32) for image in table[source.image_column]]) / 255
    if levels.ndim == 4:
        levels = levels.mean(axis=3, dtype=np.float32)
    return levels, np.asarray(table[source.label_column], dtype=np.int64)


def _canonical(levels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort by a hash of pixels and label."""
    pixels = np.ascontiguousarray(levels, dtype="<f4")
    digests = [
        hashlib.blake2b(image.tobytes() + bytes([label]), digest_size=16).digest()
        for image, label in zip(pixels, labels.tolist(), strict=True)
    ]
    order = sorted(range(len(labels)), key=digests.__getitem__)
    return pixels[order], labels[order]


def _cache_folder() -> Path:
    folder = platformdirs.user_cache_path("zoobench") / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _save(path: Path, array: np.ndarray) -> None:
    with whole(path) as fresh:
        np.save(fresh, array)


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
        parts = _load_hub_images(source, size, Path(chosen) if chosen else None)
        origin = f"folder {source.folder}" if chosen else f"Hub {source.hub_id}"
    else:
        parts = [DRAWERS[type(source)](source, part) for part in _PARTS]
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


def _load_hub_images(source: HubImages, size: Scale, folder: Path | None) -> list[tuple[np.ndarray, np.ndarray]]:
    if folder is not None and not (folder / source.folder).is_dir():
        raise ZoobenchError(f"no folder {source.folder!r} in {folder}; --images takes a folder that has one")
    parts = []
    for part, count in (("train", size.train_images), ("test", size.test_images)):
        try:
            levels, labels = _read_hub_part(source, part, folder)
        except (OSError, ValueError) as error:  # what datasets raises for an unreachable Hub or an unreadable file
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
    cut = levels[:, : rows * block, : columns * block]
    return cut.reshape(count, rows, block, columns, block).mean(axis=(2, 4))


def _preprocess(levels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    scaled = (levels - np.float32(preprocessing.mean)) / np.float32(preprocessing.std)
    return np.ascontiguousarray(scaled[:, None], dtype=np.float32)
