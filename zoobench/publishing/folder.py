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
from ..files import write_atomically
from ..weightspace import plots
from ..zoos import Zoo
from ..zoos.layout import layout_of
from ..zoos.splits import SPLITS, split_of
from . import card
from .references import write_references

_VERSIONS_OF = ("zoobench", "torch", "numpy", "pyarrow", "datasets")


def write_config(
    zoo: Zoo,
    out: Path,
    work: Path,
    parts: Sequence[Path],
    about: dict[str, Any],
    add: Callable[[Path], None] | None = None,
) -> Path:
    """Write a config of the dataset folder ``out/<repo>``.

    Args:
        zoo: whose rows they are.
        out: parent of the dataset folder.
        work: a folder on the same disk for what is not ready yet.
        parts: parquet files of rows; all rows of a run are in one of them.
        about: fields of the manifest entry that the rows do not tell: where they come from, and what was dropped.
        add: writes more files: pictures for the card as ``pictures/<config>-*.png``, named protocols as
            ``protocols/<config>/<name>.parquet``, below the folder it is given.

    Returns:
        the dataset folder.
    """
    spec, fresh = zoo.spec, work / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    keys = [pq.read_table(part, columns=["run_id", "epoch"]) for part in parts]
    runs = sorted({run for table in keys for run in table["run_id"].unique().to_pylist()})
    split_of_run = {run_id: split_of(spec, run_id) for run_id in runs}
    counts = list(split_of_run.values())
    rows = shards.write_splits(fresh, spec.config, parts, split_of_run)
    row_files = sorted((fresh / spec.config).glob("*.parquet"))
    write_references(zoo, fresh)
    plots.draw(plots.view(zoo.id, spec.images.classes, row_files), fresh / "pictures", spec.config)
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
        files=[manifest.file_entry(fresh, path) for path in sorted(fresh.rglob("*")) if path.is_file()],
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _VERSIONS_OF},
        built=datetime.datetime.now(datetime.UTC).date().isoformat(),
        **about,
    )
    return _install(fresh, out / zoo.repo, zoo, entry)


def _install(fresh: Path, folder: Path, zoo: Zoo, entry: manifest.ConfigManifest) -> Path:
    """Move the prepared files into the dataset folder, then write its manifest and card."""
    folder.mkdir(parents=True, exist_ok=True)
    configs = {}
    if (folder / manifest.FILE_NAME).exists():
        configs = dict(manifest.read_manifest(folder).configs)
    if old := configs.get(zoo.spec.config):
        for gone in old.files:
            (folder / gone.path).unlink(missing_ok=True)
    configs[zoo.spec.config] = entry
    for place in manifest.places(zoo.spec.config):
        target = folder / place
        if target.exists():
            shutil.rmtree(target)
        if (fresh / place).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(fresh / place, target)
    (folder / "pictures").mkdir(exist_ok=True)
    for picture in (fresh / "pictures").iterdir():
        picture.replace(folder / "pictures" / picture.name)
    whole = manifest.Manifest(
        schema_version=manifest.SCHEMA_VERSION, repo=zoo.repo, scale=zoo.scale, configs=dict(sorted(configs.items()))
    )
    manifest.write_manifest(folder, whole)
    write_atomically(folder / "README.md", card.render(whole).encode())
    return folder
