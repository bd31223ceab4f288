"""Figures that look and work the same everywhere: no pyplot, no display, and no setting of the user's.

Matplotlib takes a backend, a style and more from the environment, and fails to be imported with those of a notebook.
All rooms that draw take its classes from here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend

__all__ = ["Axes", "Figure", "FixedLocator", "NullLocator", "own_style", "save"]

_DPI = 110


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Draw in matplotlib's defaults, whatever style is set; what was set is set again afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, in ``own_style`` too: text is laid out only now."""
    FigureCanvasAgg(figure)
    with own_style():
        figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})
