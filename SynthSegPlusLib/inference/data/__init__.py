"""Descriptions of model sets that come without one."""
