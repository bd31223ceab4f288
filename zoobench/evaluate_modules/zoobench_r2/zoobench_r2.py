"""R² of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchR2(base.HarnessMetric):
    metric = "r2"
