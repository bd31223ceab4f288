"""Make ``load_dataset("zoobench/...")`` work on this machine without a Hub: serve once, load once.

``datasets`` keeps what it has loaded in its cache and falls back to that when the Hub cannot be reached (after its
retries; with ``HF_HUB_OFFLINE=1`` at once). It takes what was loaded last, and by a name without a config only where
one config was loaded of that commit: so the default config is loaded last, of a commit of its own. The loading runs
in a process of its own, since the endpoint is read at import.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..data.folder import DatasetFolder, Places
from ..data.manifest import Manifest
from ..errors import ZoobenchError
from ..files import beside
from ..zoos import resolve
from ..zoos.splits import SPLITS
from . import installed
from .serve import dataset_folders, running

_LOAD = """
import json, sys
import datasets
datasets.config.USE_PARQUET_EXPORT = False  # a service of the real Hub
folders = []
for name in sys.argv[2:]:
    builder = datasets.load_dataset_builder(sys.argv[1], name)
    builder.download_and_prepare()
    folders.append(str(builder.cache_dir))
print(json.dumps(folders))
"""


def install(directory: Path) -> dict[str, list[str]]:
    """Load every config of every dataset folder in ``directory`` into the cache of ``datasets``.

    Returns:
        Hub id -> configs.

    Raises:
        ZoobenchError: no dataset folder there, or some could not be loaded; the others are.
    """
    done, failed = {}, []
    for hub_id, path in dataset_folders(directory).items():
        try:
            done[hub_id] = _install(hub_id, DatasetFolder(path))
        except (ZoobenchError, OSError) as error:
            failed.append(f"cannot load {hub_id} from {path}: {error}")
    if failed:
        raise ZoobenchError("; ".join(failed) + (f"; installed: {', '.join(done)}" if done else ""))
    return done


def _install(hub_id: str, folder: DatasetFolder) -> list[str]:
    configs = folder.manifest.configs
    for name, entry in configs.items():
        for split in SPLITS:
            for file in Places(name).row_files(split, entry.files):
                folder.checked(file.path, entry)
    default = _default(folder.manifest)
    others, alone = ([name for name in configs if (name == default) is last] for last in (False, True))
    for names, mark in ((others, ""), (alone, "default")):
        if names:
            for name, loaded in zip(names, _load(hub_id, folder.path, names, mark), strict=True):
                installed.note(loaded, name, configs[name])
                installed.make_latest(hub_id, loaded)
    if not alone and default and (latest := installed.latest(hub_id, default)):
        installed.make_latest(hub_id, latest)
    return list(configs)


def _default(manifest: Manifest) -> str:
    """The config that a name without one means."""
    try:
        return resolve(manifest.repo).spec.config
    except ZoobenchError:
        return ""


def _load(hub_id: str, folder: Path, names: Sequence[str], mark: str) -> list[Path]:
    """Load configs of a dataset folder; returns the folders in the cache of ``datasets`` where they are from then on.

    ``mark`` goes into the commit id.
    """
    # What the client downloads it needs no more when it has loaded it.
    with running(folder, mark) as endpoint, beside(installed.cache() / "downloads") as downloads:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _LOAD, hub_id, *names],
            env=_environment(endpoint) | {"HF_HUB_CACHE": str(downloads)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if done.returncode:
        raise ZoobenchError((done.stderr.strip().splitlines() or ["no output"])[-1])
    return [Path(folder) for folder in json.loads(done.stdout.splitlines()[-1])]


def _environment(endpoint: str) -> dict[str, str]:
    """This process's environment, but for what would lead elsewhere: proxies, switches, and modules that lie about."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "PYTHONHOME" or not (name.startswith(("PYTHON", "SSL_CERT_")) or name.lower().endswith("_proxy"))
    }
    here = Path.cwd().resolve()
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    elsewhere = [path for path in paths if Path(path).resolve() != here]
    return kept | {
        "NO_PROXY": "*",
        "PYTHONPATH": os.pathsep.join(elsewhere),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    }


def describe(installed: dict[str, list[str]]) -> str:
    """One line per installed config: the call that loads it."""
    return "\n".join(
        f"load_dataset({json.dumps(hub_id)}, {json.dumps(config)})"
        for hub_id, configs in installed.items()
        for config in configs
    )
