"""Macro-F1 of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchMacroF1(base.HarnessMetric):
    metric = "macro_f1"
