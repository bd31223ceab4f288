"""Writing a config of a dataset folder: rows become splits, labels, references, pictures, a manifest entry, a card.

What is prepared lies in a hidden work folder until it is whole; then it is moved into the dataset folder, whose other
configs stay. Building a zoo and importing a release end here both.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..data import manifest, shards
from ..data.folder import CARD, PICTURES, DatasetFolder, Places
from ..files import write_atomically
from ..weightspace import plots
from ..zoos import Zoo
from ..zoos.layout import layout_of
from ..zoos.splits import SPLITS, split_of
from . import card, installed
from .references import write_references

_VERSIONS_OF = ("zoobench", "torch", "numpy", "pyarrow", "datasets")


def write_config(
    zoo: Zoo,
    out: Path,
    work: Path,
    parts: Sequence[Path],
    about: dict[str, Any],
    add: Callable[[DatasetFolder], None] | None = None,
) -> DatasetFolder:
    """Write a config of the dataset folder ``out/<repo>``.

    Args:
        zoo: whose rows they are.
        out: parent of the dataset folder.
        work: a folder on the same disk for what is not ready yet.
        parts: parquet files of rows; all rows of a run are in one of them.
        about: fields of the manifest entry that the rows do not tell: where they come from, and what was dropped.
        add: writes more files at their places in the folder that it is given: pictures for the card, named protocols.

    Returns:
        the dataset folder.
    """
    spec, fresh = zoo.spec, DatasetFolder(work / "fresh")
    shutil.rmtree(fresh.path, ignore_errors=True)
    keys = [pq.read_table(part, columns=["run_id", "epoch"]) for part in parts]
    runs = sorted({run for table in keys for run in table["run_id"].unique().to_pylist()})
    split_of_run = {run_id: split_of(spec, run_id) for run_id in runs}
    counts = list(split_of_run.values())
    rows = shards.write_splits(fresh, spec.config, parts, split_of_run)
    row_files = sorted(fresh.locate(Places(spec.config).rows).glob("*.parquet"))
    write_references(zoo, fresh)
    plots.write_pictures(plots.view(zoo.id, spec.images.classes, row_files), fresh.locate(PICTURES), spec.config)
    if add:
        add(fresh)
    entry = manifest.ConfigManifest(
        zoo=zoo.id,
        scale=zoo.scale,
        network=manifest.to_json(spec.network.layers),
        layout=layout_of(spec.network).to_json(),
        preprocessing=dataclasses.asdict(spec.preprocessing),
        checkpoints=sorted({epoch for table in keys for epoch in pc.unique(table["epoch"]).to_pylist()}),
        runs=len(runs),
        rows=sum(rows.values()),
        splits={split: manifest.SplitCount(runs=counts.count(split), rows=rows[split]) for split in SPLITS},
        files=[manifest.file_entry(fresh.path, path) for path in sorted(fresh.path.rglob("*")) if path.is_file()],
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _VERSIONS_OF},
        built=datetime.datetime.now(datetime.UTC).date().isoformat(),
        **about,
    )
    folder = _install(fresh, DatasetFolder(out / zoo.repo), zoo, entry)
    installed.note_if_outdated(folder, spec.config)
    return folder


def _install(fresh: DatasetFolder, folder: DatasetFolder, zoo: Zoo, entry: manifest.ConfigManifest) -> DatasetFolder:
    """Move the prepared files into the dataset folder, then write its manifest and card."""
    configs = dict(folder.manifest.configs) if folder.is_there else {}
    if old := configs.get(zoo.spec.config):
        for gone in old.files:
            folder.locate(gone.path).unlink(missing_ok=True)
    configs[zoo.spec.config] = entry
    folder.locate(PICTURES).mkdir(parents=True, exist_ok=True)
    for place in Places(zoo.spec.config).folders:
        source, target = fresh.locate(place), folder.locate(place)
        if target.exists():
            shutil.rmtree(target)
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
    for picture in fresh.locate(PICTURES).iterdir():
        picture.replace(folder.locate(PICTURES) / picture.name)
    whole = manifest.Manifest(
        schema_version=manifest.SCHEMA_VERSION, repo=zoo.repo, scale=zoo.scale, configs=dict(sorted(configs.items()))
    )
    folder.write_manifest(whole)
    write_atomically(folder.locate(CARD), card.render(whole).encode())
    return folder
