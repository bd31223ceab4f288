"""The nearest train network: what a predictor reaches by memory alone."""

from .nearest import NearestPredictor

__all__ = ["NearestPredictor"]
