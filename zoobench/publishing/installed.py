"""What ``install`` has put into the cache of ``datasets``, noted beside it: a build can tell that it is another."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..data.folder import DatasetFolder, Places
from ..data.manifest import ConfigManifest
from ..errors import note_once
from ..files import write_atomically
from ..zoos import HUB_NAMESPACE
from ..zoos.splits import SPLITS

_NOTE = "zoobench.json"


def rows_sha256(config: str, entry: ConfigManifest) -> str:
    """One sha256 over those of all files of rows."""
    listed = [file for split in SPLITS for file in Places(config).row_files(split, entry.files)]
    return hashlib.sha256("".join(f"{file.path} {file.sha256}\n" for file in listed).encode()).hexdigest()


def note(loaded: Path, config: str, entry: ConfigManifest) -> None:
    """Note in a folder of the cache which rows it holds."""
    write_atomically(loaded / _NOTE, json.dumps({"rows_sha256": rows_sha256(config, entry)}).encode())


def latest(hub_id: str, config: str) -> Path | None:
    """The folder of the cache that ``load_dataset`` takes where the Hub is out of reach."""
    return max(_loaded(hub_id, config), key=_changed, default=None)


def make_latest(hub_id: str, loaded: Path) -> None:
    """Have ``load_dataset`` take this folder of the cache."""
    others = [_changed(folder) for folder in _loaded(hub_id, "*") if folder != loaded]
    now = max([time.time_ns(), *(changed + 1_000_000 for changed in others)])
    os.utime(loaded, ns=(now, now))


def note_if_outdated(folder: DatasetFolder, config: str) -> None:
    """Say so, with both sha256, where ``load_dataset`` gives other rows of a config than its dataset folder holds."""
    hub_id, entry = f"{HUB_NAMESPACE}/{folder.path.name}", folder.config(config)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        loaded = latest(hub_id, config)
        there = json.loads((loaded / _NOTE).read_bytes())["rows_sha256"] if loaded else None
        here = rows_sha256(config, entry)
        if isinstance(there, str) and there != here:
            note_once(
                f'load_dataset("{hub_id}", "{config}") still gives the rows that were installed before (sha256 '
                f"{there[:12]}…), not these (sha256 {here[:12]}…); to have these: zoobench install {folder}"
            )


def cache() -> Path:
    """Where ``datasets`` keeps what it has loaded."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return Path(os.path.expanduser(os.environ.get("HF_DATASETS_CACHE") or f"{home}/datasets"))


def _loaded(hub_id: str, config: str) -> Iterator[Path]:
    """The folders of a dataset in the cache: ``<config>/<version>/<commit>``."""
    place = cache() / hub_id.replace("/", "___")
    return (path for path in place.glob(f"{config}/*/*") if path.is_dir())


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns
