"""Results that no head has are named; those of real heads are not."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest

from SynthSegPlusLib.contract import Finding, MeasuresTable, StructureMeasure
from SynthSegPlusLib.inference import ModelSet, Segmenter, _plausible, segmenter
from SynthSegPlusLib.inference._plausible import COMPARED, LARGEST_HEAD_MM3, SMALLEST_HEAD_MM3, implausible
from SynthSegPlusLib.labels import parcels, structures
from Testing.inference.tiny import scan

CUT = Finding("field-of-view-cut", "warning", "It is cut.")
# A head in ml: white matter, cortex and cerebellar cortex of both sides, the rest in the fluid.
HEAD = {2: 230, 41: 235, 3: 260, 42: 255, 8: 55, 47: 56, 24: 300}


def measures(litres: float | None = None, **changed: float) -> MeasuresTable:
    """The head above with labels changed (ml), scaled to an intracranial volume, with parcels that must not count."""
    volumes = {**HEAD, **{int(name[1:]): value for name, value in changed.items()}}
    factor = 1000.0 if litres is None else litres * 1e6 / sum(volumes.values())
    rows = [StructureMeasure(label, str(label), "none", volume * factor, math.nan) for label, volume in volumes.items()]
    rows += [StructureMeasure(label.value, label.name, "left", 1e6, math.nan) for label in parcels().select()]
    return MeasuresTable(tuple(rows))


def codes(*arguments, **more):
    return [finding.code for finding in implausible(*arguments, **more)]


@pytest.mark.parametrize("litres", [0.75, 1.0, 1.4, 1.97, 2.35])
def test_heads_of_every_age_are_no_finding(litres):
    assert codes(measures(litres), []) == []


@pytest.mark.parametrize("litres", [0.05, 0.3, 0.69, 2.41, 5.0])
def test_a_volume_that_no_head_has_is_named_with_its_value(litres):
    (found,) = implausible(measures(litres), [])
    assert found.code == "intracranial-volume-implausible"
    assert found.severity == "warning"
    assert f"{litres:.2f} l" in found.message
    assert found.advice


def test_the_limits_are_where_they_are_said_to_be():
    for limit, outside in ((SMALLEST_HEAD_MM3, -1e3), (LARGEST_HEAD_MM3, 1e3)):
        assert codes(measures((limit - outside) / 1e6), []) == []
        assert codes(measures((limit + outside) / 1e6), []) == ["intracranial-volume-implausible"]


@pytest.mark.parametrize(("seen", "cropped"), [([CUT], False), ([Finding("thin", "warning", "")], False), ([], True)])
def test_a_part_of_a_head_may_be_small_but_is_not_called_a_whole_one(seen, cropped):
    assert codes(measures(0.4), seen, cropped) == ["intracranial-volume-of-a-part"]
    assert codes(measures(1.4), seen, cropped) == []
    assert codes(measures(2.6), seen, cropped) == ["intracranial-volume-implausible"]


@pytest.mark.parametrize("label", sorted(COMPARED))
@pytest.mark.parametrize("lost", ["left", "right"])
def test_a_large_structure_that_one_side_lacks_is_named_with_both_volumes(label, lost):
    side = label if lost == "left" else structures("2.0")[label].partner
    changed = {f"_{side}": 0.4 * HEAD[side]}
    (found,) = implausible(measures(**changed), [])
    assert found.code == "sides-differ"
    assert COMPARED[label] in found.message
    assert f"{0.4 * HEAD[side]:.0f} ml on the {lost}" in found.message
    assert "cut" in implausible(measures(**changed), [CUT])[0].advice


def test_sides_that_differ_by_a_third_are_a_patient_and_no_finding():
    assert codes(measures(_2=0.66 * HEAD[41]), []) == []


def test_nothing_at_all_is_named_alone():
    assert codes(measures(0.0), []) == ["empty-segmentation"]
    assert codes(measures(0.0009), [CUT]) == ["empty-segmentation"]


def test_the_old_table_without_fluid_is_judged_by_its_brain():
    rows = tuple(row for row in measures(1.4) if row.label != 24)
    assert codes(MeasuresTable(rows), []) == []
    assert codes(MeasuresTable(()), []) == ["empty-segmentation"]


def test_what_is_found_reaches_the_result_and_its_record(tiny):
    result = Segmenter(ModelSet.load(tiny), mode="fast", device="cpu").segment(scan())
    found = [finding.code for finding in result.findings]
    assert found[-1] == "intracranial-volume-of-a-part"  # the tests' head is a toy, and thin
    assert [finding["code"] for finding in result.record["findings"]] == found
    assert result.icv_mm3 < SMALLEST_HEAD_MM3


def test_a_scan_is_judged_once_and_by_its_own_findings(tiny, monkeypatch):
    seen = types.SimpleNamespace(calls=[])

    def watch(table, findings, cropped):
        seen.calls.append(([finding.code for finding in findings], cropped))
        return _plausible.implausible(table, findings, cropped)

    monkeypatch.setattr(segmenter, "implausible", watch)
    Segmenter(ModelSet.load(tiny), mode="fast", device="cpu", crop=(16, 16, 16)).segment(scan())
    assert len(seen.calls) == 1
    assert "thin" in seen.calls[0][0]
    assert seen.calls[0][1] is True


def test_shares_are_of_numbers_not_of_nothing():
    empty_side = measures(_8=0.0, _47=0.0)
    assert codes(empty_side, []) == []
    assert np.isfinite(sum(row.volume_mm3 for row in empty_side))
