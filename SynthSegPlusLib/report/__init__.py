"""Pictures of a result, and its volumes as a table of text."""

from SynthSegPlusLib.report.picture import Subject, draw_pictures, qc_path, write_pictures
from SynthSegPlusLib.report.text import volumes_table

__all__ = ["Subject", "draw_pictures", "qc_path", "volumes_table", "write_pictures"]
