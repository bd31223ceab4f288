"""Compact vectors from weight matrices: ComVeX of Liu, and the fully-connected networks beside it."""

from .comvex import ComVeXPredictor
from .model import ComVeXConfig, ComVeXModel

__all__ = ["ComVeXConfig", "ComVeXModel", "ComVeXPredictor"]
