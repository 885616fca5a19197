"""Colour tables: one of anatomy for the scene, one of quality for each result.

Label values are FreeSurfer's and reach 2035, so the tables are sparse: an entry without a name is undefined.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer

from SynthSegPlusLib.contract.measures import MeasuresTable, Verdict
from SynthSegPlusLib.labels import Label, parcels, structures
from SynthSegPlusLib.scene._batch import NodeBatch

Colour = tuple[int, int, int]

NUMBER_OF_COLOURS = 2036
"""One more than the largest label value, ctx-rh-insula."""

# Blue and vermilion of Okabe and Ito's palette, which every kind of colour vision tells apart; each runs from
# pale beside the threshold to strong at its end, so that the break between the hues is the verdict.
PASS_AT_THRESHOLD: Colour = (150, 200, 235)
PASS_AT_ONE: Colour = (0, 90, 165)
FAIL_AT_THRESHOLD: Colour = (245, 165, 105)
FAIL_AT_ZERO: Colour = (185, 60, 0)
NOT_SCORED: Colour = (150, 150, 150)

ANATOMY_NAME = "SynthSegPlus anatomy"
KIND = "SynthSegPlus.Colours"


def allLabels() -> tuple[Label, ...]:
    """Every structure and parcel, without the background."""
    return structures("2.0").select() + parcels().select()


def labelOf(value: int) -> Label | None:
    """The structure or parcel of a label value; None where neither table has it."""
    for table in (structures("2.0"), parcels()):
        if value in table:
            return table[value]
    return None


def shade(score: float | None, threshold: float) -> Colour:
    """Colour (0..255) of a predicted Dice score judged at a threshold; grey where there is no score."""
    verdict = Verdict.of(score, threshold)
    if verdict is Verdict.NOT_SCORED:
        return NOT_SCORED
    assert score is not None
    if verdict is Verdict.PASS:
        return _between(PASS_AT_THRESHOLD, PASS_AT_ONE, (score - threshold) / max(1.0 - threshold, 1e-6))
    return _between(FAIL_AT_THRESHOLD, FAIL_AT_ZERO, (threshold - score) / max(threshold, 1e-6))


def anatomyTable(batch: NodeBatch) -> Any:
    """The scene's table of anatomical names and colours, made when the scene has none."""
    for index in range(batch.scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")):
        node = batch.scene.GetNthNodeByClass(index, "vtkMRMLColorTableNode")
        if node.GetAttribute(KIND) == "anatomy":
            return node
    entries = [(label.value, label.title, label.colour) for label in allLabels()]
    return _table(batch, ANATOMY_NAME, "anatomy", entries)


def qualityTable(batch: NodeBatch, name: str, measures: MeasuresTable, threshold: float) -> Any:
    """A table that colours each label by the score of its region; the names say region, score and verdict."""
    node = _table(batch, name, "quality", [])
    fillQualityTable(node, measures, threshold)
    return node


def fillQualityTable(node: Any, measures: MeasuresTable, threshold: float) -> None:
    """Set the colours and names of a quality table. Labels that the measures lack are not scored."""
    scores = {row.label: (row.qc_region, row.qc_score) for row in measures}
    entries = []
    for label in allLabels():
        # A parcel that was not measured still lies in the cortex, whose score judges it.
        region, score = scores.get(label.value) or scores.get(label.cortex or -1, ("", None))
        verdict = Verdict.of(score, threshold)
        said = verdict.value if verdict is Verdict.NOT_SCORED else f"{region} {score:.2f} {verdict.value}"
        entries.append((label.value, f"{label.title}: {said}", shade(score, threshold)))
    _fill(node, entries)


def _table(batch: NodeBatch, name: str, kind: str, entries: Iterable[tuple[int, str, Colour]]) -> Any:
    node = batch.add("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetNumberOfColors(NUMBER_OF_COLOURS)
    node.GetLookupTable().SetTableRange(0, NUMBER_OF_COLOURS - 1)
    node.SetAttribute(KIND, kind)
    # The colour logic puts its own tables under "Discrete"; this one is listed with those of other segmenters.
    node.SetAttribute("Category", "Segmentation")
    _fill(node, entries)
    return node


def _fill(node: Any, entries: Iterable[tuple[int, str, Colour]]) -> None:
    with slicer.util.NodeModify(node):
        node.SetColor(0, "Background", 0.0, 0.0, 0.0, 0.0)
        for value, name, colour in entries:
            red, green, blue = (part / 255.0 for part in colour)
            node.SetColor(value, name, red, green, blue, 1.0)


def _between(start: Colour, end: Colour, fraction: float) -> Colour:
    fraction = min(max(fraction, 0.0), 1.0)
    red, green, blue = (round(a + (b - a) * fraction) for a, b in zip(start, end, strict=True))
    return red, green, blue
