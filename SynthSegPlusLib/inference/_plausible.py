"""What to beware of in a result: volumes that no head has, and borders that the scan does not show."""

from __future__ import annotations

from collections.abc import Iterable

from SynthSegPlusLib.contract import Finding, MeasuresTable
from SynthSegPlusLib.labels import structures

SMALLEST_HEAD_MM3 = 0.7e6
"""Below every head that the networks are meant for. Intracranial volume is 1469 (SD 102) ml in men and 1289 (SD 111)
ml in women (Matsumae et al., J Neurosurg 1996), 1000-1150 ml at two years and 600-900 ml in the first months (Sgouros
et al., J Neurosurg 1999): 0.7 l is five standard deviations below the mean of women, and a young infant's."""

LARGEST_HEAD_MM3 = 2.4e6
"""Nine standard deviations above the mean of men in the same study: room for the largest heads, a hydrocephalus, and
the ten to thirty per cent by which a segmentation may overestimate."""

CHANCE_MM3 = 1000.0
"""Less than this (a thousandth of a brain) is what noise leaves."""

LEAST_SHARE_OF_SIDES = 0.5
"""Smaller over larger side. Healthy hemispheres differ by a few per cent; half is a lost hemisphere, a very large
lesion or operation, or, most often, a segmentation that took one side for the other."""

COMPARED = {2: "cerebral white matter", 3: "cerebral cortex", 8: "cerebellum cortex"}
"""Left labels of the large structures that are alike on both sides; ventricles are not."""

CUT_CODES = ("field-of-view-cut", "thin")

_LOOK = "Look at the label map before using any of its numbers."


def implausible(measures: MeasuresTable, seen: Iterable[Finding], cropped: bool = False) -> tuple[Finding, ...]:
    """Findings about a finished segmentation.

    Parameters
    ----------
    measures
        Volumes of the structures, mm3; parcels do not count. Without extracerebral CSF (labels 1.0) their sum is the
        brain's, about a tenth less than the intracranial volume.
    seen
        Findings about the scan: of a head that is cut, a small volume is what is to be expected.
    cropped
        Whether a patch was processed on purpose.
    """
    volumes = {label: volume for label, volume in measures.volumes().items() if label in structures("2.0")}
    total = sum(volumes.values())
    if total < CHANCE_MM3:
        return (_empty(total),)
    cut = cropped or any(finding.code in CUT_CODES for finding in seen)
    return (*_size(total, cut), *_sides(volumes, cut))


def unseen(border_seen: bool | None) -> tuple[Finding, ...]:
    """What to know where a scan does not show the border between hippocampi and horns (False)."""
    if border_seen is not False:
        return ()
    return (Finding(
        "hippocampus-border-unseen", "warning",
        "Hippocampi and the fluid beside them cannot be told apart in this scan: the volumes of hippocampi and "
        "inferior lateral ventricles are expected, not measured.",
        "Take these volumes from a scan of another contrast or with less noise.",
    ),)  # fmt: skip


def _empty(total: float) -> Finding:
    return Finding(
        "empty-segmentation",
        "warning",
        f"Nothing was found: all structures together have {total:.0f} mm3.",
        "Check that the scan shows a head and is the right way up, and try the robust mode.",
    )


def _size(total: float, cut: bool) -> tuple[Finding, ...]:
    litres = f"The intracranial volume is {total / 1e6:.2f} l"
    low, high = SMALLEST_HEAD_MM3 / 1e6, LARGEST_HEAD_MM3 / 1e6
    if total < SMALLEST_HEAD_MM3 and cut:
        return (Finding(
            "intracranial-volume-of-a-part", "warning",
            f"{litres}, less than a head's, and the scan shows only a part of one.",
            "Do not compare it, or shares of it, with whole heads; look whether a brain is inside at all.",
        ),)  # fmt: skip
    if not SMALLEST_HEAD_MM3 <= total <= LARGEST_HEAD_MM3:
        return (Finding(
            "intracranial-volume-implausible", "warning",
            f"{litres}; heads have {low:.1f} to {high:.1f} l.", f"{_LOOK} Check the voxel sizes of the scan too.",
        ),)  # fmt: skip
    return ()


def _sides(volumes: dict[int, float], cut: bool) -> tuple[Finding, ...]:
    table = structures("2.0")
    for label, name in COMPARED.items():
        left, right = volumes.get(label, 0.0), volumes.get(table[label].partner, 0.0)
        if min(left, right) < LEAST_SHARE_OF_SIDES * max(left, right):
            why = " The field of view is cut, which may be the reason." if cut else ""
            return (Finding(
                "sides-differ", "warning",
                f"The {name} has {left / 1000:.0f} ml on the left and {right / 1000:.0f} ml on the right.",
                f"{_LOOK}{why}",
            ),)  # fmt: skip
    return ()
