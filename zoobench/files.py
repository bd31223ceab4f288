"""Files on disk: written whole or not at all, and known by their sha256."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_SUFFIX = ".tmp"
_ABANDONED_AFTER = 3600


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write in the place of ``path``: it takes its name when the ``with`` block has ended without an error.

    Readers see the old file or the new one, whoever else writes at the same time. Folders that are missing are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file in a folder of its own has the permissions that the user's files have; a temporary file would not.
    with tempfile.TemporaryDirectory(_SUFFIX, f".{path.name}.", path.parent) as folder:
        fresh = Path(folder) / path.name
        yield fresh
        with fresh.open("rb") as handle:
            os.fsync(handle.fileno())
        fresh.replace(path)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all (see ``whole``)."""
    with whole(path) as fresh:
        fresh.write_bytes(content)


def remove_abandoned(folder: Path) -> None:
    """Remove from a folder what writers that were killed have left there: files that were begun over an hour ago."""
    for left in folder.glob(f".*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(left, ignore_errors=True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
