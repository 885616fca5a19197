"""Speed and memory of the engine: `python -m Testing.benchmarks.inference --help`."""
