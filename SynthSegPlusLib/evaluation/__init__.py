"""Measures of accuracy: overlap, surface distances, QC classification, agreement of volumes, intervals.

numpy and scipy only; pure functions of arrays.
"""

from SynthSegPlusLib.evaluation.agreement import Agreement, agreement, bootstrap_interval, coefficient_of_variation
from SynthSegPlusLib.evaluation.classification import Classification, area_under_curve, classify
from SynthSegPlusLib.evaluation.overlap import dice, dice_of_labels, grouped
from SynthSegPlusLib.evaluation.surface import SurfaceDistances, surface_distances

__all__ = [
    "Agreement",
    "Classification",
    "SurfaceDistances",
    "agreement",
    "area_under_curve",
    "bootstrap_interval",
    "classify",
    "coefficient_of_variation",
    "dice",
    "dice_of_labels",
    "grouped",
    "surface_distances",
]
