"""C files to loaded libraries: compiled for this very processor, and kept in the user's cache.

A library is kept under the hash of the sources, the compiler and the processor, and under its own, which is looked at
before it is loaded: a part of a file would end the process. Loading is running, so nothing is loaded that somebody else
may have written. Where nothing can be kept, it is compiled into a folder that goes once it is loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ..caches import cache_folder
from ..errors import note_once
from ..files import sha256_of, whole

NATIVE = "-march=native"
_SECONDS = {"version": 30, "compile": 300}
_MOST_BYTES_SAID = 1 << 20
# Lines of /proc/cpuinfo that `-march=native` may depend on; others tell how fast and how warm a core is just now.
_ABOUT_PROCESSORS = (
    *("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "features", "isa", "uarch", "cpu"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "machine"),
)
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CompilerError(Exception):
    """There is no compiler, or none that works."""


def load(source: Path, flags: Sequence[str]) -> ctypes.CDLL:
    """A C file, which may include others of its folder, as a library.

    Raises:
        CompilerError: it cannot be compiled here.
        OSError: what was compiled can neither be kept nor loaded.
    """
    compiler = _compiler()
    name = f"{source.stem}-{_key(source, compiler, flags)}"
    folder = None
    try:
        private = _private(cache_folder("native"))
        if kept := _kept(private, name):
            return ctypes.CDLL(str(kept))
        folder = private
    except OSError as error:
        _not_kept(error)
    with tempfile.TemporaryDirectory(prefix="zoobench-") as work:
        made = Path(work) / f"{name}.so"
        _compile(compiler, flags, source, made)
        if not made.is_file():
            raise CompilerError(f"{compiler[0]} wrote nothing")
        if folder:
            path = folder / f"{name}-{sha256_of(made)}.so"
            try:
                return ctypes.CDLL(str(_keep(made, path)))
            except OSError as error:
                _not_kept(error)
                with contextlib.suppress(OSError):
                    path.unlink()
        return ctypes.CDLL(str(made))


def _not_kept(error: OSError) -> None:
    note_once("compiled code is not kept, so that each process compiles it", error)


def _compiler() -> list[str]:
    """What ``CC`` says, which may have arguments, or ``cc``; without either, the one of the package ziglang."""
    chosen = os.environ.get("CC", "")
    try:
        words = shlex.split(chosen) or ["cc"]
    except ValueError as error:
        raise CompilerError(f"CC={chosen!r}: {error}") from error
    program = shutil.which(words[0])
    if program is None and not chosen and importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    if program is None:
        raise CompilerError(f"no C compiler {words[0]!r}; install one, or: pip install ziglang")
    return [program, *words[1:]]


def _compile(compiler: Sequence[str], flags: Sequence[str], source: Path, made: Path) -> None:
    """Some compilers do not know this very processor by that name: theirs is the code for all of its kind."""
    for some in (flags, [flag for flag in flags if flag != NATIVE]):
        try:
            _run([*compiler, *some, "-o", str(made), str(source), "-lm"], _SECONDS["compile"])
            return
        except CompilerError:
            if NATIVE not in some:
                raise


def _key(source: Path, compiler: Sequence[str], flags: Sequence[str]) -> str:
    """What the compiled code depends on."""
    sources = b"".join(path.read_bytes() for path in sorted(source.parent.glob("*.c")))
    version = _run([*compiler, "--version"], _SECONDS["version"])
    parts = (sources, "\0".join([*compiler, *flags]).encode(errors="surrogateescape"), version, _processor().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def _run(command: Sequence[str], seconds: float) -> bytes:
    """What a command prints; one that waits, or goes on printing, is killed with all that it has started.

    Raises:
        CompilerError: it fails or does not end.
    """
    try:
        with tempfile.TemporaryFile() as said:
            # In a session of its own, where all that it starts can be killed; its messages in no language.
            environment = os.environ | {"LC_ALL": "C"}
            with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment, start_new_session=True
            ) as running:
                try:
                    code = _wait(running, command[0], said.fileno(), time.monotonic() + seconds)
                except BaseException:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(running.pid, signal.SIGKILL)
                    raise
            said.seek(0)
            printed = said.read(_MOST_BYTES_SAID)
    except (OSError, ValueError) as error:
        raise CompilerError(f"cannot run {command[0]}: {error}") from error
    if code:
        lines = printed.decode(errors="replace").strip().splitlines() or [f"exit code {code}"]
        raise CompilerError(f"{command[0]} fails: {next((line for line in lines if 'error:' in line), lines[0])}")
    return printed


def _wait(running: subprocess.Popen[bytes], name: str, said: int, deadline: float) -> int:
    while True:
        try:
            return running.wait(0.2)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline or os.fstat(said).st_size > _MOST_BYTES_SAID:
                raise CompilerError(f"{name} does not come to an end") from None


def _private(folder: Path) -> Path:
    """Make a folder that only this user may write to. What lies in one that others could write to is removed.

    Raises:
        OSError: it cannot be made, or it is somebody else's, or a link.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a folder of this user's own")
    if about.st_mode & _OTHERS_MAY_WRITE:
        folder.chmod(0o700)
        for path in folder.iterdir():
            _remove(path)
    return folder


def _kept(folder: Path, name: str) -> Path | None:
    """The library of that name, if it is there, whole and this user's own; what is not is removed."""
    for path in sorted(folder.glob(f"{name}-*.so")):
        about = path.lstat()
        own = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & _OTHERS_MAY_WRITE
        if own and path.stem == f"{name}-{sha256_of(path)}":
            return path
        _remove(path)
    return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _keep(made: Path, path: Path) -> Path:
    with whole(path) as fresh:
        shutil.copyfile(made, fresh)
        fresh.chmod(0o600)
    return path


def _processor() -> str:
    """What ``-march=native`` depends on; a cache folder may be shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    about = sorted({line for line in lines if line.partition(":")[0].strip() in _ABOUT_PROCESSORS})
    return "\n".join([platform.machine(), *(about or [platform.processor(), platform.node()])])
