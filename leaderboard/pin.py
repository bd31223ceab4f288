"""Pinning: a leaderboard keeps the labels and reference predictions that its submissions are scored against."""

from __future__ import annotations

from pathlib import Path

from zoobench.data import hub
from zoobench.data.folder import DatasetFolder
from zoobench.data.manifest import SCHEMA_VERSION, Manifest
from zoobench.errors import ZoobenchError
from zoobench.files import locked, write_atomically
from zoobench.zoos import Zoo

from .targets import LABELS, reading


def pin(board: Path, zoo: Zoo) -> Path:
    """Copy what scoring a zoo needs into ``board/labels/<repo>``, beside the other zoos of the repo; no weights.

    Returns:
        the folder.

    Raises:
        ZoobenchError: the zoo cannot be found, or the folder cannot be written.
    """
    with reading(f"the labels of {zoo.id}"):
        config, files = hub.scoring_files(zoo)
        contents = {path: source.read_bytes() for path, (source, _) in files.items()}
    folder = DatasetFolder(board / LABELS / zoo.repo)
    try:
        with locked(folder.path):
            pinned = folder.manifest.configs if folder.is_there else {}
            for path, content in contents.items():
                write_atomically(folder.locate(path), content)
            folder.write_manifest(
                Manifest(
                    schema_version=SCHEMA_VERSION,
                    repo=zoo.repo,
                    scale=zoo.scale,
                    configs={**pinned, zoo.spec.config: config},
                )
            )
    except OSError as error:
        raise ZoobenchError(f"cannot write to {error.filename or folder}: {error.strerror or error}") from error
    return folder.path
