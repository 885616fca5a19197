"""Accuracy benchmark: `python -m Testing.benchmarks.accuracy --help`."""
