"""Reference predictors, one folder per method, found through the entry-point group ``zoobench.baselines``."""
