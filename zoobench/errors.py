"""Errors that a user can act on: one line that names the thing, the value and the way out; and notes, said once."""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")
_said: set[str] = set()


def shown(text: str, allowed: str = "") -> str:
    """Foreign text as it may go to a terminal or a log: what cannot be printed, but for ``allowed``, is escaped.

    A terminal obeys control characters, and those that turn the direction of writing make a line say what it does not.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in allowed else c.encode("unicode_escape").decode() for c in text)


class ZoobenchError(Exception):
    """Bad input or an environment that lacks something. The CLI prints the message and exits with code 2."""

    def __str__(self) -> str:
        """One line, whatever names and values it repeats."""
        return shown(super().__str__())


def note_once(what: str, why: object = None) -> None:
    """Warn of what a user should know and need not act on, once in a process: that a cache cannot be used, say.

    Never raises, whatever is asked for warnings: the work goes on. ``why`` is said with it the first time.
    """
    if what not in _said:
        _said.add(what)
        with contextlib.suppress(Warning):
            warnings.warn(shown(what if why is None else f"{what}: {why}"), stacklevel=3)


def closest(value: str, options: Iterable[str]) -> str | None:
    """The option that a typing error may have meant."""
    return next(iter(difflib.get_close_matches(str(value), map(str, options), n=1, cutoff=0.6)), None)


def did_you_mean(value: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest option, or the full list when nothing is close."""
    names = list(options)
    close = closest(value, names)
    if close:
        return f"; did you mean {close!r}?"
    return f"; choose from: {', '.join(names)}" if names else ""


def check_known(what: str, name: str, options: Iterable[str]) -> None:
    """Refuse a name that is none of the options; ``what`` says in one word what they are ("task", "scale").

    Raises:
        ZoobenchError: unknown name.
    """
    names = list(options)
    if name not in names:
        raise ZoobenchError(f"unknown {what} {name!r}{did_you_mean(name, names)}")


def look_up(what: str, name: str, options: Mapping[str, T]) -> T:
    """What a registry holds under a name; ``what`` says in one word what it registers.

    Raises:
        ZoobenchError: unknown name.
    """
    check_known(what, name, options)
    return options[name]
