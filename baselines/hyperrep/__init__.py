"""Hyper-representations: the self-supervised transformer of Schürholt et al. 2021, with linear probes."""

from .hyperrep import ConstantRepresentationWarning, HyperRepPredictor, reconstruction_r2, represent
from .model import HyperRepConfig, HyperRepModel

__all__ = [
    "ConstantRepresentationWarning",
    "HyperRepConfig",
    "HyperRepModel",
    "HyperRepPredictor",
    "reconstruction_r2",
    "represent",
]
