"""Fully-connected ReLU networks on a feature set."""

from .dnn import DNNPredictor

__all__ = ["DNNPredictor"]
