"""Gradient-boosted trees on weights or weight statistics (Unterthiner 2020)."""

from .gbm import GBMPredictor

__all__ = ["GBMPredictor"]
