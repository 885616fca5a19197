"""Coded terms of structures: the tag of a segment, and the document that Slicer's terminology selector reads."""

from __future__ import annotations

from typing import Any

from SynthSegPlusLib.labels import Label, Terminology, parcels, structures

CONTEXT = "Segmentation category and type - SynthSegPlus"
"""Name of the terminology in Resources/Terminologies."""
CATEGORY = ("SCT", "123037004", "Anatomical Structure")


def termOf(label: Label) -> Terminology | None:
    """The coded term of a label. A parcel without a code of its own is what it is part of: cerebral cortex."""
    if label.snomed is None and label.cortex is not None:
        return structures("2.0")[label.cortex].snomed
    return label.snomed


def terminologyTag(label: Label) -> str:
    """Slicer's terminology entry of a label: context, category, type, side; empty where no code is known."""
    term = termOf(label)
    if term is None:
        return ""
    side = ("SCT", *term.laterality) if term.laterality else ("", "", "")
    parts = ["^".join(part) for part in (CATEGORY, (term.scheme, term.code, term.meaning), side)]
    return "~".join([CONTEXT, *parts, "", "^^", "^^"])


def terminologyDocument() -> dict[str, Any]:
    """The terminology of all labels in the form of DICOM's segment context schema, each term once with its sides."""
    types: dict[tuple[str, str], dict[str, Any]] = {}
    for label in structures("2.0").select() + parcels().select():
        term = label.snomed
        if term is None:
            continue
        entry = types.setdefault((term.scheme, term.code), {
            "recommendedDisplayRGBValue": list(label.colour), **_code(term.scheme, term.code, term.meaning)})
        if term.laterality:
            entry.setdefault("Modifier", []).append(
                {"recommendedDisplayRGBValue": list(label.colour), **_code("SCT", *term.laterality)})
    category = {**_code(*CATEGORY), "showAnatomy": False, "Type": list(types.values())}
    return {
        "SegmentationCategoryTypeContextName": CONTEXT,
        "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/segment-context-schema.json#",
        "SegmentationCodes": {"Category": [category]},
    }


def _code(scheme: str, value: str, meaning: str) -> dict[str, str]:
    return {"CodingSchemeDesignator": scheme, "CodeValue": value, "CodeMeaning": meaning}
