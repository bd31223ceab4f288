"""Standard output and error that a verb can always write to, and foreign text on them.

A reader that has gone, a full disk or a narrow encoding must never cost the work that a verb has done: writing does not
raise. What is lost to anything but a closed pipe is said once, at the end. Control characters in what verbs print are
shown as text; Rich, whose own they are, writes past that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import typer

from ..errors import shown


class _Shielded:
    """A text stream whose ``write`` and ``flush`` never raise; ``fault`` is what they ran into first."""

    # Click would write into it past this object, in an encoding of its own choice.
    buffer = None

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.fault: Exception | None = None

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        self._try(lambda: self._stream.write(text.encode(encoding, "replace").decode(encoding)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:
            self.fault = self.fault or error
            # Python writes what is left when it ends, and would complain.
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Foreign:
    """Standard output, whose lines may hold text that is not ours."""

    buffer = None

    def __init__(self, stream: _Shielded) -> None:
        # The name under which Rich looks for the stream to write to.
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(shown(text, "\n\t"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def open_standard_files() -> None:
    """Open those that were closed before this process began, on nothing.

    Else the next file that is opened has their number, and what a library prints is written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Run a verb with standard output and error that it can always write to.

    Exits with code 2, and says why, if output was lost; a pipe that was closed is no loss.
    """
    before = sys.stdout, sys.stderr
    # A stream that was closed before this process began is None.
    out, err = (None if stream is None else _Shielded(stream) for stream in before)
    sys.stdout = cast(Any, out and _Foreign(out))
    sys.stderr = cast(Any, err)
    try:
        yield
    except SystemExit as stop:
        if out is not None:
            out.flush()
        if stop.code not in (None, 0) or out is None or _harmless(out.fault):
            raise
        typer.echo(
            f"error: cannot write to standard output: {getattr(out.fault, 'strerror', None) or out.fault}", err=True
        )
        sys.exit(2)
    finally:
        sys.stdout, sys.stderr = before


def _harmless(fault: Exception | None) -> bool:
    return fault is None or (isinstance(fault, OSError) and fault.errno == errno.EPIPE)
