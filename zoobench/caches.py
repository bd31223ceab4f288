"""Where the user's caches lie. They are optional: whoever keeps something there works without it, too."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def cache_folder(kind: str) -> Path:
    """The folder of one kind of cached things, e.g. ``"images"``; it need not be there, nor be made.

    Raises:
        OSError: this user has no home, so that nothing says where it would be.
    """
    try:
        folder = platformdirs.user_cache_path("zoobench") / kind
    except RuntimeError:
        folder = Path("~")
    if not folder.is_absolute():
        raise FileNotFoundError("no folder for caches: neither HOME nor XDG_CACHE_HOME is an absolute path")
    return folder
