"""The forecast of memory: posteriors that are written count, and a large field of view costs only what it must."""

from __future__ import annotations

from dataclasses import replace

import pytest

from SynthSegPlusLib.commands._engine import Choice
from SynthSegPlusLib.commands._estimate import Grids, forecast, operations, work_of
from SynthSegPlusLib.contract import SegmentOptions
from SynthSegPlusLib.inference import ModelSet


def memory(grids, model_set, **options):
    return forecast(grids, Choice(model_set, SegmentOptions(mode="fast", **options)), 1e9)[1]


@pytest.mark.parametrize(("grid", "voxels"), [("1mm", 300 * 300 * 200), ("native", 600 * 600 * 400)])
def test_posteriors_that_are_written_count_on_the_grid_of_the_results(grid, voxels):
    grids, model_set = Grids((152, 152, 104), (300, 300, 200), (600, 600, 400)), ModelSet.find("starter_2mm")
    written, kept = voxels * 33 * 4, 0.4 * 300 * 300 * 200 * 33 * 4
    needed = memory(grids, model_set, grid=grid, posteriors=True)
    assert needed > memory(grids, model_set, grid=grid)
    assert written + kept < needed < written + kept + 2.5e9


def test_what_is_kept_of_a_large_field_of_view_is_the_box_about_the_brain():
    model_set = replace(ModelSet.find("starter_2mm"), field_of_view_mm=(160, 192, 160))
    small, large = (Grids((80, 96, 80), output) for output in [(240, 240, 240), (400, 400, 200)])
    more = memory(large, model_set) - memory(small, model_set)
    assert more / (400 * 400 * 200 - 240**3) < 30  # bytes per voxel: its maps, not its posteriors


def test_the_first_look_at_a_large_field_of_view_counts():
    model_set = ModelSet.find("starter_2mm")
    framed = replace(model_set, field_of_view_mm=(160, 192, 160))
    grids = Grids((80, 96, 80), (600, 600, 600))
    assert memory(grids, framed) > memory(grids, model_set, crop=160)


def test_a_refiner_counts_at_1_mm():
    model_set = ModelSet.find("starter_cascade_2mm")
    plain = replace(model_set, postprocessing=replace(model_set.postprocessing, refinement=0.0))
    grids = Grids((80, 96, 80), (200, 220, 200))
    work = [work_of(grids, Choice(one, SegmentOptions(mode="fast"))) for one in (plain, model_set)]
    refiner = model_set.require("refiner").network
    assert work[1] - work[0] == pytest.approx(operations(refiner, (160, 192, 160)))
    shown = 160 * 192 * 160 * (refiner.in_channels + len(model_set.table)) * 2
    more = memory(grids, model_set) - memory(grids, plain)
    assert more > 0.3 * shown  # S, which needs more than the refiner's network alone, is no longer held
    assert memory(grids, model_set) > shown + 0.4 * 160 * 192 * 160 * 33 * 4
