"""Readers of released zoos: one script per published release, behind ``zoobench import``.

===================== ================================= ========================
release               reader                            of the datasets
===================== ================================= ========================
Unterthiner et al.    ``small_cnn_release``             small-cnn-zoo
Schürholt et al.      ``schurholt_release``             tetris-zoo, mnist-zoo
Liu                   ``comvex_release``                cnn-zoo-2
===================== ================================= ========================

A dataset that is built instead needs no script: ``zoobench build REPO`` trains all zoos of a repo by their declarations
(``zoobench.zoos``) and writes the same folder that a reader writes.
"""
