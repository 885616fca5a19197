"""What the doors and the engine say to each other. Standard library and numpy only."""

from SynthSegPlusLib.contract.errors import (
    BackendError,
    Cancelled,
    InputError,
    MemoryShortage,
    ModelError,
    OptionsError,
    OutputError,
    SynthSegPlusError,
    WorkerError,
)
from SynthSegPlusLib.contract.findings import Advice, Finding
from SynthSegPlusLib.contract.measures import MeasuresTable, QualityReport, RegionScore, StructureMeasure, Verdict
from SynthSegPlusLib.contract.options import MODE_MEANINGS, QC_THRESHOLD, SegmentOptions

__all__ = [
    "MODE_MEANINGS", "QC_THRESHOLD", "Advice", "BackendError", "Cancelled", "Finding", "InputError", "MeasuresTable",
    "MemoryShortage", "ModelError", "OptionsError", "OutputError", "QualityReport", "RegionScore", "SegmentOptions",
    "StructureMeasure", "SynthSegPlusError", "Verdict", "WorkerError",
]
