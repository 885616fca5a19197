"""Speed of training: `python -m Testing.benchmarks.train_step --help`."""
