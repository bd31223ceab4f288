"""Linear predictors: the ridge probe of Schürholt 2021 and the logit-linear model of Unterthiner 2020."""

from .linear import LinearPredictor

__all__ = ["LinearPredictor"]
