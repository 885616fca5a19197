"""Segments on demand: names, colours, codes, surfaces; and the terminology file."""

from __future__ import annotations

import json

import numpy as np
import slicer
import vtk

from SynthSegPlusLib import scene
from Testing.slicer.helpers import add_result, add_scan, add_transform, edit_segment


def tag(segment):
    value = vtk.reference("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), value)
    return str(value)


def segments(node):
    inside = node.GetSegmentation()
    found = (inside.GetNthSegment(index) for index in range(inside.GetNumberOfSegments()))
    return {segment.GetLabelValue(): segment for segment in found}


def test_segments_have_the_titles_colours_and_codes_of_their_labels(slicer_host, tmp_path):
    result = add_result(tmp_path)
    found = segments(scene.makeSegmentation(result, "parcellation"))
    present = set(np.unique(scene.arrayAndAffine(result.parcellation)[0])) - {0}
    assert set(found) == present
    for value, segment in found.items():
        label = scene.labelOf(value)
        assert segment.GetName() == label.title
        np.testing.assert_allclose(segment.GetColor(), np.array(label.colour) / 255, atol=1e-6)
    assert tag(found[17]) == (
        "Segmentation category and type - SynthSegPlus~SCT^123037004^Anatomical Structure"
        "~SCT^5366008^Hippocampus~SCT^7771000^Left~~^^~^^")
    assert "Brain Stem~^^~" in tag(found[16])


def test_a_parcel_without_a_code_of_its_own_is_coded_as_cortex_of_its_side():
    uncoded = [label for label in scene.allLabels() if label.cortex is not None and label.snomed is None]
    for label in uncoded:
        side = {"left": "7771000^Left", "right": "24028007^Right"}[label.hemisphere]
        assert f"SCT^40146001^Cerebral cortex~SCT^{side}" in scene.terminologyTag(label)
    assert "SCT^36169008^Insula~SCT^7771000^Left" in scene.terminologyTag(scene.labelOf(1035))


def test_segments_are_coloured_by_anatomy_even_while_the_views_show_quality(slicer_host, tmp_path):
    result = add_result(tmp_path)
    scene.colourBy(result, "quality")
    found = segments(scene.makeSegmentation(result))
    np.testing.assert_allclose(found[3].GetColor(), np.array(scene.labelOf(3).colour) / 255, atol=1e-6)


def test_each_label_map_keeps_its_own_segments_until_they_are_deleted(slicer_host, tmp_path):
    result = add_result(tmp_path)
    assert scene.segmentsOf(result, "segmentation") is scene.segmentsOf(result, "parcellation") is None
    structures = scene.makeSegmentation(result)
    parcels = scene.makeSegmentation(result, "parcellation")
    again = scene.resultOf(result.summary)
    assert scene.segmentsOf(again, "segmentation") is structures
    assert scene.segmentsOf(again, "parcellation") is parcels
    slicer.mrmlScene.RemoveNode(parcels)
    assert scene.segmentsOf(result, "parcellation") is None
    assert scene.segmentsOf(result, "segmentation") is structures


def test_without_parcels_their_segments_are_those_of_the_segmentation(slicer_host, tmp_path):
    result = add_result(tmp_path, parcellation=False)
    made = scene.makeSegmentation(result, "parcellation")
    assert scene.segmentsOf(result, "parcellation") is scene.segmentsOf(result, "segmentation") is made


def test_surfaces_lie_where_the_labels_lie(slicer_host, tmp_path):
    node = add_scan(affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    add_transform(node)
    result = add_result(tmp_path, node)
    made = scene.makeSegmentation(result)
    scene.showSurfaces(made)
    assert made.GetTransformNodeID() == node.GetTransformNodeID()
    surface = segments(made)[17].GetRepresentation("Closed surface")
    labels, affine = scene.arrayAndAffine(result.segmentation)
    centre = affine[:3, :3] @ np.argwhere(labels == 17).mean(axis=0) + affine[:3, 3]
    bounds = np.array(surface.GetBounds()).reshape(3, 2)
    np.testing.assert_allclose(bounds.mean(axis=1), centre, atol=1.0)


def test_the_fluid_around_the_brain_stays_hidden_in_3d_when_its_segment_was_edited(slicer_host, tmp_path):
    result = add_result(tmp_path)
    made = scene.makeSegmentation(result)
    edit_segment(result.segmentation, made, 24, (slice(0, 4), slice(0, 3), slice(0, 2)))
    scene.showSurfaces(made)
    shown, segmentation = made.GetDisplayNode(), made.GetSegmentation()
    hidden = [segmentation.GetNthSegment(index).GetName() for index in range(segmentation.GetNumberOfSegments())
              if not shown.GetSegmentVisibility3D(segmentation.GetNthSegmentID(index))]
    assert hidden == [scene.labelOf(24).title]


def test_the_terminology_file_is_what_the_label_tables_say(root):
    path = root / "SynthSegPlus" / "Resources" / "Terminologies" / "SynthSegPlus.term.json"
    document = scene.terminologyDocument()
    assert json.loads(path.read_text(encoding="utf-8")) == document, (
        f"write json.dumps(SynthSegPlusLib.scene.terminologyDocument(), indent=1) to {path.name}")


def test_slicer_reads_the_terminology_and_finds_a_structure_in_it(slicer_host, root):
    logic = slicer.modules.terminologies.logic()
    path = root / "SynthSegPlus" / "Resources" / "Terminologies" / "SynthSegPlus.term.json"
    assert logic.LoadTerminologyFromFile(str(path)) == scene.CONTEXT
    entry = slicer.vtkSlicerTerminologyEntry()
    assert logic.DeserializeTerminologyEntry(scene.terminologyTag(scene.labelOf(53)), entry)
    assert entry.GetTypeObject().GetCodeMeaning() == "Hippocampus"
    assert entry.GetTypeModifierObject().GetCodeMeaning() == "Right"
