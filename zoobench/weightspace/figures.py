"""Figures that look and work the same everywhere: no pyplot, no display, and no setting of the user's.

Matplotlib takes a backend, a style and more from the environment, and fails to be imported with those of a notebook.
All rooms that draw take its classes from here.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from ..files import whole

_LARGEST_SETTINGS = 1 << 20


def _import() -> None:
    """Import matplotlib without the environment's backend and the user's files of settings; then set what these say.

    It fails at a file that is no text, and waits for one that is a pipe. It looks for one in the current folder first,
    which no variable keeps it from. What it logs of settings and folders that it cannot use is no concern of ours.
    """
    backend, exists = os.environ.pop("MPLBACKEND", None), os.path.exists
    chosen = os.environ.get("MATPLOTLIBRC")

    def seen(path: Any) -> bool:
        folder, name = os.path.split(path) if isinstance(path, str) else ("", "")
        return exists(path) and path != chosen and (name != "matplotlibrc" or folder.endswith("mpl-data"))

    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with mock.patch("os.path.exists", seen):
            importlib.import_module("matplotlib.backends.backend_agg")
        with contextlib.suppress(Exception):
            _set_what_the_user_says()
    finally:
        logger.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _set_what_the_user_says() -> None:
    import matplotlib

    path = matplotlib.matplotlib_fname()
    about = os.stat(path)
    if stat.S_ISREG(about.st_mode) and about.st_size <= _LARGEST_SETTINGS:
        matplotlib.rcParams.update(matplotlib.rc_params_from_file(path, use_default_template=False))


if "matplotlib" not in sys.modules:
    _import()

import matplotlib  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import FixedLocator, NullLocator  # noqa: E402

__all__ = ["Axes", "Figure", "FixedLocator", "NullLocator", "own_style", "save"]

_DPI = 110


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Draw in matplotlib's defaults, whatever style is set; what was set is set again afterwards.

    By hand, since ``rcdefaults`` reads all of the user's style files first.
    """
    with matplotlib.rc_context():
        matplotlib.rcParams.update({k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"})
        yield


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole, in ``own_style`` too: text is laid out only now."""
    FigureCanvasAgg(figure)
    with own_style(), whole(Path(path)) as fresh:
        figure.savefig(fresh, format="png", dpi=_DPI, metadata={"Software": None})
