"""Spearman's rank correlation of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchSpearman(base.HarnessMetric):
    metric = "spearman"
    paper = """\
@article{spearman1904proof,
  title = {The Proof and Measurement of Association between Two Things},
  author = {Spearman, Charles},
  journal = {The American Journal of Psychology},
  volume = {15},
  number = {1},
  pages = {72--101},
  year = {1904}
}"""
