"""Scoring predictions: tasks, metrics, protocols, intervals, results. Needs neither torch nor transformers."""
