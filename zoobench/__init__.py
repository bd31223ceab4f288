"""zoobench: model zoos as Hub datasets, and one scorer for predictors trained on them."""

from __future__ import annotations

__version__ = "0.1.0"
