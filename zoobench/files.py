"""Files on disk: written whole or not at all, by one writer per folder, and known by their sha256.

What a killed process leaves behind is told from what a living one works on by a lock that the system drops at its
death. Where a file system has no locks, what is an hour old counts as left behind.
"""

from __future__ import annotations

import contextlib
import datetime
import glob
import hashlib
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import lock_descriptor

from .errors import ZoobenchError

_SUFFIX = ".tmp"
_ABANDONED_AFTER = 3600
_LONGEST_NAME = 100
# What the system made of a process's open files: it may be a regular file, and still must not be replaced.
_DESCRIPTORS = re.compile(r"/dev/(std(in|out|err)|fd/.*)|/proc/.*")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write in the place of ``path``: it takes its name when the ``with`` block has ended without an error.

    Readers see the old file or the new one, whoever else writes at the same time. Folders that are missing are made.
    What is no regular file (a device, a pipe, ``/dev/stdout``) is written into, and a link is followed.
    """
    if written_through(path):
        with tempfile.TemporaryDirectory() as temporary:
            fresh = Path(temporary) / path.name
            yield fresh
            with fresh.open("rb") as source, open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as target:
                shutil.copyfileobj(source, target)
        return
    path = path.resolve() if path.is_symlink() else path
    # A file in a folder of its own has the permissions that the user's files have; a temporary file would not.
    with beside(path) as folder:
        fresh = folder / path.name
        yield fresh
        with fresh.open("rb") as handle:
            os.fsync(handle.fileno())
        fresh.replace(path)


def written_through(path: Path) -> bool:
    """Whether a path names a device, a pipe or an open file, which a file must not replace."""
    if _DESCRIPTORS.fullmatch(os.path.abspath(path)):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all (see ``whole``)."""
    with whole(path) as fresh:
        fresh.write_bytes(content)


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A new folder on the disk of ``path``, which need not be there, for what is not ready yet; gone afterwards.

    Folders that are missing above are made. What killed processes left beside ``path`` is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent, path.name)
    with _claimed(path.parent, f".{path.name[:_LONGEST_NAME]}.") as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it; killed in the middle, nothing of it is there under its name."""
    if folder.is_symlink() or folder.exists():
        with beside(folder) as temporary:
            folder.rename(temporary / "removed")


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove from a folder what writers that were killed have left there: of files of that name, or of all."""
    pattern = ".*" if name is None else f".{glob.escape(name[:_LONGEST_NAME])}.*"
    for left in folder.glob(f"{pattern}{_SUFFIX}"):
        with contextlib.suppress(OSError), _opened(left, os.O_RDONLY) as held:
            if _abandoned(left, held):
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _claimed(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder that nobody takes for abandoned."""
    while True:
        folder = Path(tempfile.mkdtemp(_SUFFIX, prefix, parent))
        with contextlib.ExitStack() as stack:
            # Nobody can open a folder on Windows.
            with contextlib.suppress(OSError):
                held = stack.enter_context(_opened(folder, os.O_RDONLY))
                lock_descriptor(held)
            # Another process may have found it before it was claimed.
            if folder.exists():
                yield folder
                return


def _abandoned(folder: Path, held: int) -> bool:
    try:
        return lock_descriptor(held, blocking=False)
    except OSError:
        return time.time() - folder.stat().st_mtime > _ABANDONED_AFTER


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Be the one who writes a folder (or file), until the ``with`` block ends or the process does.

    ``path`` need not be there. ``.NAME.lock`` beside it says who holds the lock.

    Args:
        path: what is written.
        wait: until another writer has ended.

    Raises:
        ZoobenchError: another process writes it, and is not waited for.
    """
    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    while True:
        with _opened(lock, os.O_RDWR | os.O_CREAT) as held:
            try:
                mine = lock_descriptor(held, blocking=wait)
            except OSError:
                # A file system without locks: writers must know of each other.
                mine = True
            if not mine:
                raise ZoobenchError(
                    f"{path} is being written by {_holder(lock)}; wait until it has ended, or name another folder"
                )
            if not _is_at(held, lock):
                continue
            os.ftruncate(held, 0)
            os.write(held, _me().encode(errors="replace"))
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    lock.unlink()
            return


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file still has its name: who held its lock before may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _me() -> str:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:4]]) if sys.argv else "python"
    since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    return f"process {os.getpid()} on {platform.node()} ({command}) since {since}"


def _holder(lock: Path) -> str:
    with contextlib.suppress(OSError):
        return lock.read_bytes()[:300].decode(errors="replace") or "another process"
    return "another process"


def sha256_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
