"""The page: one self-contained HTML file, drawn in the browser, without external requests."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoobench.errors import ZoobenchError
from zoobench.files import write_atomically

from .payload import embedded, payload
from .scored import ScoredSubmission

_TEMPLATES = "templates"
# In the order in which they run.
_SCRIPTS = ("dom.js", "state.js", "scores.js", "table.js", "plots.js", "panel.js", "page.js")
# What the Hub reads of a static Space.
_SPACE = """\
---
title: zoobench leaderboard
emoji: 🏆
colorFrom: blue
colorTo: gray
sdk: static
app_file: index.html
pinned: false
---

The leaderboard of zoobench: every score was recomputed from a submission's predictions. Made by
`zoobench leaderboard page --space DIR`.
"""


def render(submissions: Sequence[ScoredSubmission]) -> str:
    """The page for a set of scored submissions; texts of submissions are data in it, never markup."""
    environment = Environment(
        loader=PackageLoader("zoobench_leaderboard", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = files("zoobench_leaderboard") / _TEMPLATES
    return environment.get_template("page.html.j2").render(
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script="\n".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        payload=embedded(payload(submissions)),
    )


def write_page(submissions: Sequence[ScoredSubmission], path: Path) -> None:
    """Write the page.

    Raises:
        ZoobenchError: the file cannot be written.
    """
    _write(path, render(submissions))


def write_space(submissions: Sequence[ScoredSubmission], folder: Path) -> None:
    """Write the page and what makes a folder a static Space of the Hub.

    Raises:
        ZoobenchError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZoobenchError(f"cannot make folder {folder}: {error.strerror or error}") from error
    _write(folder / "README.md", _SPACE)
    _write(folder / "index.html", render(submissions))


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ZoobenchError(f"cannot write {path}: {error.strerror or error}") from error
