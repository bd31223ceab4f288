"""Compact vectors from weight matrices: ComVeX of Liu, and the fully-connected networks beside it."""

import sys

from transformers.utils import logging

from .comvex import ComVeXPredictor
from .model import ComVeXConfig, ComVeXModel

if not sys.stderr.isatty():
    logging.disable_progress_bar()

__all__ = ["ComVeXConfig", "ComVeXModel", "ComVeXPredictor"]
