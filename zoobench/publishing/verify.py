"""Integrity of a dataset folder: files, rows, splits, and networks that still do what their rows say.

Every check adds plain sentences to a list of problems; an empty list means that the folder is what its manifest
describes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .. import zoos
from ..data import schema
from ..data.folder import DatasetFolder, Places
from ..data.manifest import ConfigManifest
from ..files import sha256_of
from ..zoos.splits import SPLITS, split_of

_LOSS_TOLERANCE = 1e-4
# Other libraries, decoders and grey conversions measured a release; a wrong weight layout costs far more than this.
_RELEASE_TOLERANCE = 0.01


def verify(
    folder: Path, configs: list[str] | None = None, sample: int = 8, images_folder: Path | None = None
) -> list[str]:
    """Check a dataset folder.

    Args:
        folder: the dataset folder.
        configs: which configs; ``None`` for all.
        sample: how many networks of each config to rebuild and measure again; 0 needs neither torch nor images.
        images_folder: where the images are, if not on the Hub.

    Returns:
        what is wrong, one sentence each.

    Raises:
        ZoobenchError: no manifest, an unknown config, or the images for the sample cannot be had.
    """
    dataset = DatasetFolder(folder)
    problems: list[str] = []
    for name in configs or list(dataset.manifest.configs):
        config, places = dataset.config(name), Places(name)
        broken = list(_files(dataset, places, config))
        problems += broken
        problems += _layout(config)
        try:
            rows = {split: _read(dataset, places.shards(split)) for split in SPLITS}
            labels = {split: pq.read_table(dataset.locate(places.labels_of(split))) for split in SPLITS}
        except (OSError, pa.ArrowException) as error:
            problems.append(f"{name}: cannot be read: {str(error).splitlines()[0]}")
            continue
        problems += _rows(name, config, rows, labels)
        if sample and not broken:
            problems += _networks(config, rows, sample, images_folder)
    return problems


def _files(folder: DatasetFolder, places: Places, config: ConfigManifest) -> Iterator[str]:
    """Every listed file is there with its size and sha256, and no other parquet file is."""
    listed = {entry.path for entry in config.files}
    for entry in config.files:
        path = folder.locate(entry.path)
        if not path.is_file():
            yield f"{entry.path}: missing"
        elif path.stat().st_size != entry.size:
            yield f"{entry.path}: {path.stat().st_size:,} bytes, the manifest says {entry.size:,}"
        elif sha256_of(path) != entry.sha256:
            yield f"{entry.path}: its sha256 is not the manifest's; the file has changed"
    for place in places.folders:
        for path in sorted(folder.locate(place).glob("*")):
            if (found := f"{place}/{path.name}") not in listed:
                yield f"{found}: not in the manifest"


def _layout(config: ConfigManifest) -> Iterator[str]:
    end = 0
    for tensor in config.weight_layout().tensors:
        if tensor.offset != end:
            yield f"{config.zoo}: layout of {tensor.name} starts at {tensor.offset}, the tensor before it ends at {end}"
        end = tensor.offset + tensor.size


def _read(folder: DatasetFolder, shards: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, memory_map=True) for path in sorted(folder.path.glob(shards))])


def _rows(name: str, config: ConfigManifest, rows: dict[str, pa.Table], labels: dict[str, pa.Table]) -> Iterator[str]:
    """Schema, counts, ids, splits, finite weights, and labels that repeat the rows."""
    spec = zoos.resolve(config.zoo).spec
    expected = schema.rows(config.weight_layout().size)
    ids: list[pa.ChunkedArray] = []
    seen: dict[str, str] = {}
    for split, table in rows.items():
        where = f"{name}/{split}"
        if not table.schema.equals(expected):
            yield f"{where}: columns are not those of the schema"
            continue
        if table.num_rows != config.splits[split].rows:
            yield f"{where}: {table.num_rows:,} rows, the manifest says {config.splits[split].rows:,}"
        ids.append(table["example_id"])
        if not table["example_id"].equals(schema.example_ids(table["run_id"], table["epoch"])):
            yield f"{where}: an example_id is not run_id/epoch"
        for run in table["run_id"].unique().to_pylist():
            if seen.setdefault(run, split) != split:
                yield f"{where}: run {run} is also in {seen[run]}"
            if split_of(spec, run) != split:
                yield f"{where}: run {run} belongs in {split_of(spec, run)}"
        for chunk in table["weights"].chunks:
            finite = np.isfinite(chunk.flatten().to_numpy())
            if not finite.all():
                row = int(np.argmin(finite)) // config.weight_layout().size
                yield f"{where}: weights are not finite, first in the row {row:,} of a chunk"
        if not labels[split].equals(table.drop_columns("weights")):
            yield f"{Places(name).labels_of(split)}: not the rows without their weights"
    if ids and len(pa.chunked_array([c for column in ids for c in column.chunks]).unique()) != sum(map(len, ids)):
        yield f"{name}: example ids are not unique"
    if sum(table.num_rows for table in rows.values()) != config.rows:
        yield f"{name}: the splits do not add up to the {config.rows:,} rows of the manifest"


def _networks(
    config: ConfigManifest, rows: dict[str, pa.Table], sample: int, images_folder: Path | None
) -> Iterator[str]:
    """Rebuild sampled networks with plain PyTorch modules and measure them on the images again.

    Of an imported config, test accuracies are measured, where the images are public and the activation is known.
    """
    from ..training.images import load_images

    zoo = zoos.resolve(config.zoo)
    if config.images is None and zoo.spec.images.drawn:
        return
    # A release was measured on all test images; what this zoo's own recipe uses may be fewer.
    size = zoo.size if config.images else dataclasses.replace(zoo.size, train_images=None, test_images=None)
    images = load_images(zoo.spec, size, images_folder)
    if config.images and images.sha256 != config.images.sha256:
        yield f"{config.zoo}: the images found here are not those that the manifest names; no network was measured"
        return
    expected = schema.rows(config.weight_layout().size)
    everything = pa.concat_tables([table for table in rows.values() if table.schema.equals(expected)])
    chosen = np.random.RandomState(0).permutation(everything.num_rows)[:sample]
    for row in np.sort(chosen).tolist():
        stored = everything.slice(row, 1).to_pylist()[0]
        if stored["activation"] is not None:
            yield from _remeasure(zoo, images, stored, imported=config.images is None)


def _remeasure(zoo: zoos.Zoo, images: Any, stored: dict[str, Any], imported: bool) -> Iterator[str]:
    import torch

    from ..training.nets import module

    network = module(zoo.spec.network, stored["activation"], np.array(stored["weights"], dtype=np.float32)).eval()
    parts = {"test": (images.test_images, images.test_labels)}
    if stored["train_fraction"] == 1 and not imported:
        parts["train"] = (images.train_images, images.train_labels)
    for part, (pixels, labels) in parts.items():
        with torch.no_grad():
            logits = torch.cat([network(batch) for batch in torch.from_numpy(pixels).split(1000)])
        truth = torch.from_numpy(labels)
        accuracy = (logits.argmax(1) == truth).double().mean().item()
        loss = torch.nn.functional.cross_entropy(logits.double(), truth).item()
        # One image whose two best logits agree up to rounding may fall either way.
        tolerance = _RELEASE_TOLERANCE if imported else 1.01 / len(truth)
        if abs(accuracy - stored[f"{part}_accuracy"]) > tolerance:
            yield f"{stored['example_id']}: {part}_accuracy {stored[f'{part}_accuracy']:.4f}, measured {accuracy:.4f}"
        if imported:
            continue
        if not math.isclose(loss, stored[f"{part}_loss"], rel_tol=_LOSS_TOLERANCE, abs_tol=_LOSS_TOLERANCE):
            yield f"{stored['example_id']}: {part}_loss {stored[f'{part}_loss']:.6g}, measured {loss:.6g}"
