"""The networks of a set with a field of view are shown a box of that size about the brain, wherever it is."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract import MemoryShortage, ModelError, SegmentOptions
from SynthSegPlusLib.inference import ModelSet, Segmenter, _memory, _pool
from SynthSegPlusLib.inference._memory import needed_memory
from SynthSegPlusLib.inference._window import BrainBox, brain_box
from SynthSegPlusLib.networks import choose_backend
from SynthSegPlusLib.volume import Volume, conform
from Testing.inference.tiny import write_tiny_set

VIEW = (160, 192, 160)


def ball(shape, middle, radius):
    """bool [X, Y, Z]"""
    grid = np.moveaxis(np.indices(shape), 0, -1)
    return ((grid - np.array(middle)) ** 2).sum(-1) <= radius**2


def affine(voxel=2.0, origin=(-90.0, -126.0, -72.0)):
    found = np.diag([voxel] * 3 + [1.0])
    found[:3, 3] = origin
    return found


def box_of(brain, tissue=None, placed=None, inner=None):
    """The box of a brain in a scan that fills its grid."""
    whole = tuple(slice(0, side) for side in brain.shape)
    placed = affine() if placed is None else placed
    return brain_box(brain, brain if tissue is None else tissue, placed, VIEW, inner or whole)


def block(shape, middle, half_mm):
    """bool [X, Y, Z]: voxels of 2 mm whose middles are no further than this from the middle, along each axis."""
    grid = np.moveaxis(np.indices(shape), 0, -1)
    return (np.abs((grid - np.array(middle)) * 2.0) <= np.array(half_mm)).all(-1)


def test_the_middle_of_a_brain_is_found_in_millimetres_and_stray_voxels_do_not_move_it():
    brain = ball((64, 80, 90), (30, 41, 60), 25)
    expected = (-90 + 2 * 30, -126 + 2 * 41, -72 + 2 * 60)
    assert box_of(brain).centre == pytest.approx(expected, abs=1e-6)
    brain[2:5, 2:5, 2:5] = True  # another component
    brain[30, 41, 20:36] = True  # a thread towards the neck
    assert box_of(brain).centre == pytest.approx(expected, abs=2.0)


def test_a_mirrored_scan_has_the_mirrored_box():
    brain = block((110, 120, 100), (48, 60, 50), (75, 91, 60)) | block((110, 120, 100), (52, 60, 50), (70, 40, 40))
    there, mirrored = box_of(brain), box_of(brain[::-1])
    assert (there.centre[0] + 90) / 2 + (mirrored.centre[0] + 90) / 2 == pytest.approx(109, abs=1e-6)
    assert there.view_mm == mirrored.view_mm != VIEW


def test_no_brain_or_one_that_is_larger_than_the_view_leaves_the_whole_scan():
    assert box_of(np.zeros((40, 40, 40), bool)) is None
    assert box_of(ball((40, 40, 40), (20, 20, 20), 5)) is None  # 4 ml
    assert box_of(np.ones((100, 100, 100), bool)) is None
    assert box_of(ball((64, 80, 90), (30, 41, 60), 25), np.zeros((64, 80, 90), bool)) is None  # fluid alone


BRAINS = [
    ((60, 80, 60), VIEW),  # mm; none of its sides comes nearer than 6 mm to the box
    ((60, 91, 60), (160, 194, 160)),
    ((75, 80, 60), (162, 192, 160)),
    ((60, 95, 77), (160, 202, 166)),
]


@pytest.mark.parametrize(("half", "sides"), BRAINS)
def test_a_brain_that_reaches_the_box_gets_a_larger_one(half, sides):
    middle = np.array([48, 60, 50])
    brain = block((100, 120, 100), middle, half)
    brain[48, 60, :20] = True  # a thread
    found = box_of(brain)
    assert found.view_mm == sides
    assert found.centre == pytest.approx(tuple(affine()[:3, 3] + 2 * middle), abs=1e-6)


@pytest.mark.parametrize(("half", "sides"), BRAINS)
def test_a_tilted_head_gets_the_same_box(half, sides):
    turned = affine()
    angle = np.deg2rad(25)
    turned[:3, :3] = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]] @ turned[:3, :3]
    assert box_of(block((100, 120, 100), (48, 60, 50), half), placed=turned).view_mm == sides


def test_fluid_that_goes_down_into_the_neck_asks_for_no_larger_box():
    tissue = block((100, 120, 100), (48, 60, 56), (60, 80, 60))
    fluid = block((100, 120, 100), (48, 60, 20), (4, 4, 40))
    assert box_of(tissue | fluid, tissue).view_mm == VIEW
    assert box_of(tissue | fluid).view_mm != VIEW


def test_a_box_does_not_grow_beyond_the_scan():
    middle, half = (48, 60, 50), (76, 94, 60)  # ends 77 and 95 mm from its middle
    brain = block((100, 120, 100), middle, half)
    grown = box_of(brain)
    assert grown.view_mm == (166, 202, 160)
    tight = (slice(48 - 38, 48 + 39), slice(60 - 47, 60 + 49), slice(0, 100))  # one plane more in front
    assert box_of(brain, inner=tight).view_mm == (160, 194, 160)


def test_a_box_does_not_follow_what_is_no_brain():
    brain = ball((200, 120, 100), (90, 60, 50), 36)
    brain[:, 57:63, 48:52] = True  # a bar that ends in the air on both sides
    assert box_of(brain).view_mm == (160 + 32, 192, 160)


def scan(middle, shape=(120, 130, 110)):
    data = np.where(ball(shape, middle, 30), 100.0, 0.0).astype(np.float32)
    return Volume(data + np.random.default_rng(0).normal(20, 1, shape).astype(np.float32), np.eye(4), "ball")


@pytest.fixture
def tiny(tmp_path):
    choose_backend(device="cpu")
    return lambda **changes: ModelSet.load(write_tiny_set(tmp_path / f"set{len(changes)}", **changes))


@pytest.mark.parametrize(("mode", "label"), [("fast", 24), ("robust", None)])
def test_the_first_network_tells_tissue_from_the_fluid_around(tiny, monkeypatch, mode, label):
    from SynthSegPlusLib.inference import segmenter as module

    seen = []
    monkeypatch.setattr(module, "brain_box", lambda *about: seen.append(about))
    Segmenter(tiny(field_of_view_mm=[64, 80, 64]), mode=mode).segment(scan((60, 65, 55)))
    ((foreground, tissue, placed, view, inner),) = seen
    assert view == (64, 80, 64)
    assert foreground.shape == tissue.shape
    assert not (tissue & ~foreground).any()
    assert (label is None) == np.array_equal(tissue, foreground)
    assert [side.stop - side.start for side in inner] == [120, 130, 110]


@pytest.mark.parametrize("mode", ["fast", "robust"])
def test_networks_are_shown_the_larger_box(tiny, monkeypatch, mode):
    from SynthSegPlusLib.inference import segmenter as module

    monkeypatch.setattr(module, "brain_box", lambda *_: BrainBox((60.0, 65.0, 55.0), (64, 90, 64)))
    result = Segmenter(tiny(field_of_view_mm=[64, 80, 64]), mode=mode).segment(scan((60, 65, 55)))
    assert result.record["grid"]["working"] == [64, 96, 64]


@pytest.mark.parametrize(("mode", "first"), [("fast", "segmenter"), ("robust", "tissue")])
def test_the_box_follows_the_brain_that_the_first_network_finds(tiny, monkeypatch, mode, first):
    from SynthSegPlusLib.inference import segmenter as module

    seen = []

    def box(foreground, tissue, affine, view, inner):
        seen.append((foreground.shape, view))
        return BrainBox((70.0, 64.0, 50.0), view)

    monkeypatch.setattr(module, "brain_box", box)
    view = [64, 80, 64]
    result = Segmenter(tiny(field_of_view_mm=view), mode=mode).segment(scan((60, 65, 55)))
    whole = Segmenter(tiny(), mode=mode).segment(scan((60, 65, 55)))
    assert seen == [(tuple(whole.record["grid"]["working"]), (64, 80, 64))]
    assert result.record["grid"]["working"] == view
    assert result.labels.shape == whole.labels.shape
    outside = np.ones(result.labels.shape, bool)
    outside[70 - 32 : 70 + 33, 64 - 40 : 64 + 41, 50 - 32 : 50 + 33] = False
    assert not result.labels.data[outside].any()
    assert whole.labels.data[outside].any()


def test_a_large_field_of_view_needs_the_memory_of_the_box_and_of_the_first_look(tiny, monkeypatch):
    from SynthSegPlusLib.inference import segmenter as module

    models, volume = tiny(field_of_view_mm=[64, 80, 64]), scan((60, 65, 55))
    grids = [conform(volume, crop=crop, multiple=8, minimum=0) for crop in (None, (64, 80, 64))]
    whole, box = (needed_memory(models, ("segmenter",), SegmentOptions(mode="fast"), grid) for grid in grids)
    assert box < 0.8 * whole
    monkeypatch.setattr(module, "brain_box", lambda *_: BrainBox((70.0, 64.0, 50.0), (64, 80, 64)))
    monkeypatch.setattr(_memory, "free_memory", lambda: (box + whole) // 2)
    result = Segmenter(models, mode="fast", device="cpu").segment(volume)
    assert result.record["grid"]["working"] == [64, 80, 64]
    monkeypatch.setattr(module, "brain_box", lambda *_: None)
    with pytest.raises(MemoryShortage, match="for 120 x 136 x 112 voxels"):  # no brain was found: the whole scan
        Segmenter(models, mode="fast", device="cpu").segment(volume)


def test_a_scan_that_is_too_large_for_the_first_look_is_refused_before_it(tiny, monkeypatch):
    monkeypatch.setattr(_memory, "free_memory", lambda: 1_000_000)
    monkeypatch.setattr(_pool, "load_network", lambda *_: pytest.fail("looked for the brain"))
    with pytest.raises(MemoryShortage, match="for 120 x 136 x 112 voxels"):
        Segmenter(tiny(field_of_view_mm=[64, 80, 64]), mode="fast", device="cpu").segment(scan((60, 65, 55)))


def test_a_crop_that_was_asked_for_wins(tiny, monkeypatch):
    from SynthSegPlusLib.inference import segmenter as module

    monkeypatch.setattr(module, "brain_box", lambda *_: pytest.fail("looked for the brain"))
    options = {"mode": "fast", "crop": 96}
    result = Segmenter(tiny(field_of_view_mm=[64, 80, 64]), **options).segment(scan((60, 65, 55)))
    assert result.record["grid"]["working"] == [96, 96, 96]


def test_a_patch_moves_with_its_centre_and_stays_inside_the_scan():
    volume = scan((60, 65, 55))
    found = conform(volume, "centred", 1.0, crop=(64, 80, 64), multiple=16, minimum=16, centre=(70.0, 64.0, 50.0))
    assert [(box.start, box.stop) for box in found.patch] == [(38, 102), (24, 104), (18, 82)]
    edge = conform(volume, "centred", 1.0, crop=(64, 80, 64), multiple=16, minimum=16, centre=(1.0, 129.0, 50.0))
    assert [(box.start, box.stop) for box in edge.patch] == [(0, 64), (50, 130), (18, 82)]
    assert np.allclose(edge.affine[:3, 3], (0, 50, 18))


@pytest.mark.parametrize("view", [[160, 192], "large", [160, 192, 8], [160.0, 192, 160]])
def test_a_field_of_view_that_is_none_is_refused(tiny, view):
    with pytest.raises(ModelError, match="field_of_view_mm"):
        tiny(field_of_view_mm=view)
