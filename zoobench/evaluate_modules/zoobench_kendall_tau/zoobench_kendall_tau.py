"""Kendall's tau-b of zoobench's harness, for ``evaluate.load``."""

from zoobench.evaluate_modules import base


class ZoobenchKendallTau(base.HarnessMetric):
    metric = "kendall_tau"
    paper = """\
@article{kendall1945treatment,
  title = {The Treatment of Ties in Ranking Problems},
  author = {Kendall, Maurice G.},
  journal = {Biometrika},
  volume = {33},
  number = {3},
  pages = {239--251},
  year = {1945}
}"""
