"""Speed and memory of the networks: `python -m Testing.benchmarks.inference --help`."""
