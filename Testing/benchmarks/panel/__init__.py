"""How long Slicer's window is held up by a run: `python -m Testing.benchmarks.panel --help`."""
