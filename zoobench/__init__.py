"""zoobench: model zoos as Hub datasets, and one scorer for predictors trained on them."""

from __future__ import annotations

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """``zoobench.load_zoo``, loaded when it is asked for, so that ``import zoobench`` stays light."""
    if name == "load_zoo":
        from .hub import load_zoo

        return load_zoo
    raise AttributeError(f"module 'zoobench' has no attribute {name!r}")
