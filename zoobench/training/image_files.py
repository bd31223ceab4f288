"""Image data sets of the Hub, or the same parquet files in a folder: grey levels and labels, in a canonical order.

Images are decoded once per machine and kept in the user's cache, under the hash of the files that hold them. What is
kept there is used if it is whole, and made again if it is not; where nothing can be kept, images stay in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .. import exact
from ..caches import cache_folder
from ..errors import ZoobenchError, note_once
from ..files import sha256_of, whole
from ..zoos.spec import HubImages

_CACHE_VERSION = 2
_DIGEST_BYTES = 32


def read_part(source: HubImages, part: str, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels (n, height, width) float32 in [0, 1] and labels (n,) int64, sorted by a hash of pixels and label.

    Args:
        source: the data set.
        part: "train" or "test".
        folder: the folder that has one of the data set's name; ``None`` for the Hub.

    Raises:
        ZoobenchError: there are no files, or not of images and labels that the declaration means.
        OSError, ValueError, pyarrow.ArrowException: the Hub is not in reach, or a file cannot be read.
    """
    if folder is None:
        with contextlib.ExitStack() as stack:
            table = _from_hub(source, part, stack)
            files = [Path(entry["filename"]) for entry in table.cache_files]
            return _decoded_once(source, part, files, lambda: table.data.table)
    files = sorted((folder / source.folder).glob(f"{part}-*.parquet"))
    if not files:
        raise ZoobenchError(f"no images in {folder / source.folder}: expected {part}-*.parquet there")
    return _decoded_once(source, part, files, lambda: _read(source, files))


def _read(source: HubImages, files: Sequence[Path]) -> pa.Table:
    columns = [source.image_column, source.label_column]
    tables = []
    for file in files:
        with pq.ParquetFile(file) as parquet:
            _check_columns(source, parquet.schema_arrow.names)
            tables.append(parquet.read(columns=columns).replace_schema_metadata(None))
    return pa.concat_tables(tables, promote_options="permissive")


@contextlib.contextmanager
def _bars_on_a_terminal_only() -> Iterator[None]:
    """``datasets`` draws its progress bars into files, too."""
    import datasets

    if (sys.stderr and sys.stderr.isatty()) or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


def _from_hub(source: HubImages, part: str, stack: contextlib.ExitStack) -> Any:
    """The data set as ``datasets`` gives it; from a cache that goes with ``stack`` where the user's cannot be used."""
    import datasets

    def load(cache: str | None = None) -> Any:
        return datasets.load_dataset(source.hub_id, source.hub_config, split=part, cache_dir=cache)

    with _bars_on_a_terminal_only():
        try:
            return load()
        except ConnectionError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            cache = stack.enter_context(tempfile.TemporaryDirectory(prefix="zoobench-"))
            # What was downloaded may be of use where what was made of it is not.
            for downloads in (contextlib.nullcontext(), _downloads_in(f"{cache}/hub")):
                with contextlib.suppress(OSError, ValueError, pa.ArrowException), downloads:
                    table = load(cache)
                    note_once("the caches of the Hub's libraries cannot be used", error)
                    return table
            raise


@contextlib.contextmanager
def _downloads_in(folder: str) -> Iterator[None]:
    """``datasets`` has no parameter for where ``huggingface_hub`` keeps what it downloads, and looks for a token."""
    from huggingface_hub import constants

    changed = {"HF_HUB_CACHE": folder}
    if not Path(constants.HF_HOME).is_dir():
        changed["HF_TOKEN_PATH"] = changed["HF_STORED_TOKENS_PATH"] = f"{folder}/token"
    before = {name: getattr(constants, name) for name in changed}
    try:
        vars(constants).update(changed)
        yield
    finally:
        vars(constants).update(before)


def _decoded_once(
    source: HubImages, part: str, files: Sequence[Path], read: Callable[[], pa.Table]
) -> tuple[np.ndarray, np.ndarray]:
    """Levels and labels from the cache, memory-mapped, or of the table that ``read`` gives."""
    key = hashlib.sha256(repr((_CACHE_VERSION, source, [sha256_of(file) for file in files])).encode()).hexdigest()[:32]
    try:
        place = cache_folder("images") / f"{source.folder}-{part}-{key}"
        paths = [place.with_name(f"{place.name}-{kind}.npy") for kind in ("levels", "labels")]
        if kept := _kept(paths):
            return kept
    except OSError as error:
        note_once("decoded images are not kept", error)
        paths = []
    found = _canonical(*_decode(source, read()))
    try:
        for path, array in zip(paths, found, strict=False):
            _keep(path, array)
    except OSError as error:
        note_once("decoded images are not kept", error)
    return found


def _keep(path: Path, array: np.ndarray) -> None:
    """Write a ``.npy`` file and, behind it, the sha256 by which its wholeness is known."""
    with whole(path) as fresh, fresh.open("w+b") as file:
        np.save(file, array, allow_pickle=False)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").digest()
        file.write(digest)


def _kept(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray] | None:
    """Levels and labels, if both are there and whole."""
    if not all(path.is_file() for path in paths):
        return None
    try:
        levels, labels = map(_mapped, paths)
    except (OSError, ValueError):
        return None
    fit = levels.ndim == 3 and levels.dtype == np.float32 and labels.dtype == np.int64
    return (levels, labels) if fit and labels.shape == levels.shape[:1] else None


def _mapped(path: Path) -> np.ndarray:
    content = np.memmap(path, np.uint8, "r")
    if hashlib.sha256(content[:-_DIGEST_BYTES].data).digest() != content[-_DIGEST_BYTES:].tobytes():
        raise ValueError(f"{path} is not whole")
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _check_columns(source: HubImages, names: Sequence[str]) -> None:
    missing = sorted({source.image_column, source.label_column} - set(names))
    if missing:
        raise ZoobenchError(f"images {source.folder!r} lack the column {missing[0]!r}; found {list(names)}")


def _decode(source: HubImages, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    _check_columns(source, table.column_names)
    images, labels = table[source.image_column], table[source.label_column]
    if pa.types.is_struct(images.type) and images.type.get_field_index("bytes") >= 0:
        images = pc.struct_field(images, "bytes")
    if not (pa.types.is_binary(images.type) or pa.types.is_large_binary(images.type)) or images.null_count:
        raise ZoobenchError(f"images {source.folder!r}: {source.image_column!r} does not hold the bytes of every image")
    if not pa.types.is_integer(labels.type) or labels.null_count:
        raise ZoobenchError(f"images {source.folder!r}: {source.label_column!r} does not hold a number for every image")
    numbers = labels.to_numpy().astype(np.int64)
    wrong = numbers[(numbers < 0) | (numbers >= source.classes)]
    if len(wrong):
        raise ZoobenchError(f"images {source.folder!r} have the label {wrong[0]}; expected 0 to {source.classes - 1}")
    levels = np.stack([_pixels(source, number, image.as_py()) for number, image in enumerate(images)]) / 255
    if levels.ndim == 4:
        levels = exact.total(levels, 3) / np.float32(levels.shape[3])
    return levels, numbers


def _pixels(source: HubImages, number: int, encoded: bytes) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
        return np.asarray(image.convert("L") if source.luma else image, dtype=np.float32)
    except Exception as error:  # PIL's readers raise whatever they run into
        raise ZoobenchError(f"image {number} of {source.folder!r} cannot be decoded: {error}") from error


def _canonical(levels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort by a hash of pixels and label."""
    pixels = np.ascontiguousarray(levels, dtype="<f4")
    digests = [
        hashlib.blake2b(image.tobytes() + bytes([label]), digest_size=16).digest()
        for image, label in zip(pixels, labels.tolist(), strict=True)
    ]
    order = sorted(range(len(labels)), key=digests.__getitem__)
    return pixels[order], labels[order]
