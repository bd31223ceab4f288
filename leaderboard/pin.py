"""Pinning: a leaderboard keeps the labels and reference predictions that its submissions are scored against."""

from __future__ import annotations

from pathlib import Path

from zoobench.data import hub
from zoobench.data.manifest import FILE_NAME, SCHEMA_VERSION, Manifest, read_manifest, write_manifest
from zoobench.errors import ZoobenchError
from zoobench.files import write_atomically
from zoobench.zoos import Zoo

from .score import LABELS


def pin(board: Path, zoo: Zoo) -> Path:
    """Copy what scoring a zoo needs into ``board/labels/<repo>``, beside the other zoos of the repo; no weights.

    Returns:
        the folder.

    Raises:
        ZoobenchError: the zoo cannot be found, or the folder cannot be written.
    """
    config, files = hub.scoring_files(zoo)
    folder = board / LABELS / zoo.repo
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, (source, _) in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / path, source.read_bytes())
        pinned = read_manifest(folder).configs if (folder / FILE_NAME).is_file() else {}
        whole = Manifest(
            schema_version=SCHEMA_VERSION, repo=zoo.repo, scale=zoo.scale, configs={**pinned, zoo.spec.config: config}
        )
        write_manifest(folder, whole)
    except OSError as error:
        raise ZoobenchError(f"cannot write to {error.filename or folder}: {error.strerror or error}") from error
    return folder
