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

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..data import manifest, shards
from ..data.contents import rows_sha256
from ..data.folder import CARD, MANIFEST, PICTURES, DatasetFolder, Places, below
from ..errors import ZoobenchError, note_once
from ..files import beside, locked, write_atomically
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
    check: Callable[[DatasetFolder], None] = lambda folder: None,
) -> DatasetFolder:
    """Write a config of the dataset folder ``out/<repo>``.

    Args:
        zoo: whose rows they are.
        out: parent of the dataset folder.
        work: a folder on the same disk for what is not ready yet.
        parts: parquet files of rows; all rows of a run are in one of them.
        about: fields of the manifest entry that the rows do not tell: where they come from, and what was dropped.
        add: writes more files at their places in the folder that it is given: pictures for the card, named protocols.
        check: raises if what the dataset folder holds must stay.

    Returns:
        the dataset folder.

    Raises:
        ZoobenchError: see ``check_target``.
    """
    spec, fresh = zoo.spec, DatasetFolder(work / "fresh")
    shutil.rmtree(fresh.path, ignore_errors=True)
    keys = [pq.read_table(part, columns=["run_id", "epoch", "seed"]) for part in parts]
    runs = pa.concat_tables(keys).group_by("run_id").aggregate([("seed", "min")]).sort_by("run_id").to_pylist()
    split_of_run = {run["run_id"]: split_of(spec, run["run_id"], run["seed_min"]) for run in runs}
    counts = list(split_of_run.values())
    rows = shards.write_splits(fresh, spec.config, parts, split_of_run)
    row_files = sorted(fresh.locate(Places(spec.config).rows).glob("*.parquet"))
    write_references(zoo, fresh)
    _draw_pictures(zoo, row_files, fresh.locate(PICTURES))
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
        rows_sha256=rows_sha256(fresh, spec.config),
        files=[manifest.file_entry(fresh.path, path) for path in sorted(fresh.path.rglob("*")) if path.is_file()],
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _VERSIONS_OF},
        built=datetime.datetime.now(datetime.UTC).date().isoformat(),
        **about,
    )
    with locked(out / zoo.repo):
        target = check_target(zoo, out)
        check(target)
        _install(fresh, target, zoo, entry)
    installed.note_if_outdated(target, spec.config)
    return target


def _draw_pictures(zoo: Zoo, row_files: Sequence[Path], folder: Path) -> None:
    """Pictures are the least: whatever keeps them from being drawn keeps no zoo from being written."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        from ..weightspace import plots

        plots.write_pictures(plots.view(zoo.id, zoo.spec.images.classes, row_files), folder, zoo.spec.config)
    except Exception as error:
        note_once(f"pictures of {zoo.id} are left out", error)


def check_target(zoo: Zoo, out: Path) -> DatasetFolder:
    """The dataset folder ``out/<repo>``, into which a config of a zoo may be written; it need not be there.

    Raises:
        ZoobenchError: what is there is no dataset folder, one of something else, or cannot be read.
    """
    folder = DatasetFolder(out / zoo.repo)
    if folder.is_there:
        if (held := folder.manifest.repo) != zoo.repo:
            raise ZoobenchError(f"{folder} holds {held}, not {zoo.repo}; give another --out")
    elif folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise ZoobenchError(f"{folder} is there and is no dataset folder: it has no {MANIFEST}; give another --out")
    for place in (CARD, PICTURES, *Places(zoo.spec.config).folders):
        folder.locate(place)
    return folder


def _install(fresh: DatasetFolder, folder: DatasetFolder, zoo: Zoo, entry: manifest.ConfigManifest) -> None:
    """Move the prepared files into the dataset folder, then write its manifest and card.

    A folder that is new appears whole. In one that is there each place is exchanged by renaming.
    """
    configs = dict(folder.manifest.configs) if folder.is_there else {}
    old = configs.get(zoo.spec.config)
    configs[zoo.spec.config] = entry
    described = manifest.Manifest(
        schema_version=manifest.SCHEMA_VERSION, repo=zoo.repo, scale=zoo.scale, configs=dict(sorted(configs.items()))
    )
    if not folder.is_there:
        _describe(fresh, described)
        fresh.path.replace(folder.path)
        return
    with beside(folder.path) as removed:
        for number, place in enumerate(Places(zoo.spec.config).folders):
            source, target = fresh.locate(place), folder.locate(place)
            if target.exists():
                target.rename(removed / str(number))
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
        folder.locate(PICTURES).mkdir(exist_ok=True)
        for path in below(PICTURES, entry.files):
            fresh.locate(path).replace(folder.locate(path))
        for path in set(below(PICTURES, old.files if old else ())) - set(below(PICTURES, entry.files)):
            folder.locate(path).unlink(missing_ok=True)
        _describe(folder, described)


def _describe(folder: DatasetFolder, described: manifest.Manifest) -> None:
    folder.write_manifest(described)
    write_atomically(folder.locate(CARD), card.render(described).encode())
