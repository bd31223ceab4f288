"""Mean squared error of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchMse(base.HarnessMetric):
    metric = "mse"
