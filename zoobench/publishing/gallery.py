"""A picture of the images that a zoo's networks were trained on, for its card."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import note_once
from ..files import whole
from ..training.images import Images
from ..zoos.spec import Preprocessing

_TILE = 56
_GAP = 4


def image_gallery(images: Images, preprocessing: Preprocessing, path: Path, per_class: int = 10) -> None:
    """Write a PNG with one row per class: the class mean, then ``per_class`` training images.

    Where it cannot be drawn it is left out, and that is said.
    """
    try:
        _draw(images, preprocessing, path, per_class)
    except Exception as error:
        note_once(f"the picture {path.name} is left out", error)


def _draw(images: Images, preprocessing: Preprocessing, path: Path, per_class: int) -> None:
    from PIL import Image

    labels = images.train_labels
    grey = images.train_images[:, 0] * preprocessing.std + preprocessing.mean
    rows = []
    for label in range(int(labels.max()) + 1):
        of_class = grey[labels == label]
        tiles = [_tile(image) for image in (of_class.mean(axis=0), *of_class[:per_class])]
        tiles += [np.full((_TILE, _TILE), 255, np.uint8)] * (per_class + 1 - len(tiles))
        rows.append(np.hstack([np.pad(tile, _GAP, constant_values=255) for tile in tiles]))
    with whole(path) as fresh:
        Image.fromarray(np.vstack(rows)).save(fresh, format="PNG", optimize=True)


def _tile(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    levels = np.round(image.clip(0, 1) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(levels).resize((_TILE, _TILE), Image.Resampling.NEAREST))
