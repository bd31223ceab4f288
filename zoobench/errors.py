"""Errors that a user can act on: one line that names the thing, the value and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZoobenchError(Exception):
    """Bad input or an environment that lacks something. The CLI prints the message and exits with code 2."""


def closest(value: str, options: Iterable[str]) -> str | None:
    """The option that a typing error may have meant."""
    return next(iter(difflib.get_close_matches(value, list(options), n=1, cutoff=0.6)), None)


def did_you_mean(value: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest option, or the full list when nothing is close."""
    names = list(options)
    close = closest(value, names)
    if close:
        return f"; did you mean {close!r}?"
    return f"; choose from: {', '.join(names)}" if names else ""
