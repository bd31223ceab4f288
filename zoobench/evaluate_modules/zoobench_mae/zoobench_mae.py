"""Mean absolute error of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchMae(base.HarnessMetric):
    metric = "mae"
