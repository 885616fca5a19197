"""Tests of the engine, and the tiny model set that they use."""
