"""Data files of the label tables (CSV)."""
