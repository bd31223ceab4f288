"""Skill, R² where it is above 0, of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchSkill(base.HarnessMetric):
    metric = "skill"
