"""sha256 of files of any size, each read once: a file is known again by what the system says of it.

What a large file hashed to is kept in the user's cache, where there is one that can be written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import time
from pathlib import Path

from ..caches import cache_folder
from ..files import sha256_of, write_atomically

# Smaller files are hashed faster than they are looked up.
_KEPT_FROM_BYTES = 16_000_000

_Stamp = tuple[int, int, int, int, int]
_known: dict[_Stamp, str] = {}


def digest_of(path: Path, anew: bool = False) -> str:
    """The sha256 of a file: its own, or that of its bytes when it was the same file, of the same size and times.

    Args:
        path: of the file.
        anew: read it, whatever is known.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    stamp, start = _stamp(path), time.time_ns()
    if not anew and (known := _known.get(stamp) or _kept(path, stamp)):
        _known[stamp] = known
        return known
    digest = sha256_of(path)
    if _settled(stamp, start) and _stamp(path) == stamp:
        _known[stamp] = digest
        if stamp[2] >= _KEPT_FROM_BYTES:
            with contextlib.suppress(OSError):
                write_atomically(_place(path), json.dumps([*stamp, digest]).encode())
    return digest


def _stamp(path: Path) -> _Stamp:
    """Device, inode, size and times. That of the last change cannot be set back, as that of the last writing can."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _settled(stamp: _Stamp, now: int) -> bool:
    """Whether a change from now on would have another time: clocks of file systems tick in steps."""
    changed = max(stamp[3:])
    step = 2_000_000_000 if changed % 1_000_000_000 == 0 else 100_000_000
    return changed + step < now


def _place(path: Path) -> Path:
    """Where the sha256 of a large file is kept: one place for each path, so that what is old is replaced."""
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
    return cache_folder("digests") / f"{name[:32]}.json"


def _kept(path: Path, stamp: _Stamp) -> str | None:
    if stamp[2] < _KEPT_FROM_BYTES:
        return None
    with contextlib.suppress(OSError, ValueError, TypeError):
        *there, digest = json.loads(_place(path).read_bytes())
        if tuple(there) == stamp and len(bytes.fromhex(digest)) == hashlib.sha256().digest_size:
            return str(digest)
    return None
