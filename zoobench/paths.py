"""Paths that a file names, of files beside it. Whoever wrote that file is a stranger: they may lead anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from .errors import ZoobenchError

_FORBIDDEN = {"", ".", ".."}


def _plain(text: str) -> str:
    """A relative path in its normal form, with ``/`` between its parts.

    Raises:
        ValueError: it is none.
    """
    if not text.isprintable() or "\\" in text or ":" in text or any(part in _FORBIDDEN for part in text.split("/")):
        raise ValueError(f"{text[:100]!r} is no path inside the folder")
    return text


# A relative path as it may stand in a manifest.
InsidePath = Annotated[str, AfterValidator(_plain)]


def inside(folder: Path, path: str) -> Path:
    """Where a file below a folder lies, or will lie.

    Raises:
        ZoobenchError: the path leads out of the folder, or over a link, which could lead anywhere.
    """
    try:
        parts = _plain(path).split("/")
    except ValueError as error:
        raise ZoobenchError(f"{error} {folder}") from error
    place = folder
    for part in parts:
        place = place / part
        if place.is_symlink():
            raise ZoobenchError(
                f"{place} is a link; here are files, not links: put a copy of what it names in its place"
            )
    return place
