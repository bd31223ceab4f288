"""Skill in classification of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchClassSkill(base.HarnessMetric):
    metric = "class_skill"
