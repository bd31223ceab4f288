"""Accuracy of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchAccuracy(base.HarnessMetric):
    metric = "accuracy"
