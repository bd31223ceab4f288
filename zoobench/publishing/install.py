"""Make ``load_dataset("zoobench/...")`` work on this machine without a Hub: serve once, load once.

``datasets`` keeps what it has loaded in its cache and falls back to that when the Hub cannot be reached (after its
retries; with ``HF_HUB_OFFLINE=1`` at once). The loading runs in a process of its own, since the endpoint is read at
import.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ..data.folder import DatasetFolder
from ..errors import ZoobenchError
from .serve import dataset_folders, running

_LOAD = """
import sys
from datasets import load_dataset
for name in sys.argv[2:]:
    load_dataset(sys.argv[1], name)
"""


def install(directory: Path) -> dict[str, list[str]]:
    """Load every config of every dataset folder in ``directory`` into the cache of ``datasets``.

    Returns:
        Hub id -> configs.

    Raises:
        ZoobenchError: no dataset folder there, or loading failed.
    """
    installed = {}
    with running(directory) as endpoint:
        environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}
        environment["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
        for hub_id, folder in dataset_folders(directory).items():
            configs = list(DatasetFolder(folder).manifest.configs)
            command = [sys.executable, "-c", _LOAD, hub_id, *configs]
            done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no output"])[-1]
                raise ZoobenchError(f"cannot load {hub_id} from {folder}: {last}")
            installed[hub_id] = configs
    return installed


def describe(installed: dict[str, list[str]]) -> str:
    """One line per installed config: the call that loads it."""
    return "\n".join(
        f"load_dataset({json.dumps(hub_id)}, {json.dumps(config)})"
        for hub_id, configs in installed.items()
        for config in configs
    )
