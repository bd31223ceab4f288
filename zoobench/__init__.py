"""zoobench: model zoos as Hub datasets, and one scorer for predictors trained on them."""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_HOMES = {"load_zoo": "data.hub", "evaluate": "scoring.harness"}


def __getattr__(name: str) -> object:
    """``zoobench.load_zoo`` and ``evaluate``, loaded when asked for, so that ``import zoobench`` stays light."""
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module 'zoobench' has no attribute {name!r}")
