"""Recipes that train every network of the cascade from label maps."""
