"""All variants in one pass give what each mode gives alone, with fewer runs of the networks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from SynthSegPlusLib.inference import ModelSet, Segmenter
from SynthSegPlusLib.inference import segmenter as segmenter_module
from SynthSegPlusLib.inference._window import BrainBox
from SynthSegPlusLib.networks import Inputs, choose_backend
from Testing.benchmarks.accuracy.variants import CASCADE, ORDER, SCORED, Variants, digest_of
from Testing.inference.tiny import scan, write_tiny_set


@pytest.fixture(scope="module", params=[(1.0, 0.0), (2.0, 0.0), (2.0, 0.5)])
def model_set(request, tmp_path_factory):
    """A stand-in set with every role, working at 1 and at 2 mm, and one whose robust mode is averaged with S."""
    choose_backend(device="cpu")
    resolution, share = request.param
    rules = {"foreground_threshold": 0.25, "segmenter_share": share}
    folder = tmp_path_factory.mktemp("models") / f"tiny{resolution:g}"
    return ModelSet.load(write_tiny_set(folder, working_resolution_mm=resolution, postprocessing=rules))


def set_and_mode(model_set, mode):
    """What the public segmenter needs for a variant."""
    if mode != CASCADE:
        return model_set, mode
    rules = dataclasses.replace(model_set.postprocessing, segmenter_share=0.0)
    return dataclasses.replace(model_set, postprocessing=rules), "robust"


@pytest.fixture(scope="module")
def found(model_set):
    """Results of every mode in one pass, and how often each network ran."""
    variants = Variants(model_set, ORDER, device="cpu")
    results = dict(variants.segment(scan((40, 44, 36)), parcellation=True))
    return results, variants.runs


@pytest.mark.parametrize("mode", ORDER)
def test_every_variant_is_what_the_public_segmenter_gives_in_that_mode(found, model_set, mode):
    if mode == CASCADE and not model_set.postprocessing.segmenter_share:
        assert mode not in found[0]
        return
    scored = mode in SCORED
    alone_set, alone_mode = set_and_mode(model_set, mode)
    segmenter = Segmenter(alone_set, mode=alone_mode, quality=scored, parcellation=scored, device="cpu",
                          quality_from_denoiser=mode == "robust")  # fmt: skip
    alone, shared = segmenter.segment(scan((40, 44, 36))), found[0][mode]
    assert len(np.unique(alone.labels.data)) > 3
    assert np.array_equal(shared.labels.data, alone.labels.data)
    assert shared.volumes == alone.volumes
    assert shared.icv_mm3 == alone.icv_mm3
    assert shared.quality == alone.quality
    assert shared.denoiser_quality == alone.denoiser_quality
    assert (shared.parcellation is None) == (alone.parcellation is None)
    if mode == CASCADE:
        assert not np.array_equal(shared.labels.data, found[0]["robust"].labels.data)
    if scored:
        assert np.array_equal(shared.parcellation.data, alone.parcellation.data)


def test_what_two_modes_share_runs_once(found):
    # S: the scan, and its mirror image for default mode; D, which is not shared: after S1 (robust, and the cascade
    # without S), after S, and after S1-S2; S2: with and without D.
    denoised = 4 if CASCADE in found[0] else 3
    expected = {"segmenter": 2, "tissue": 1, "denoiser": denoised, "structure": 2, "parcellation": 3, "quality": 3}
    assert found[1] == expected


def test_another_scan_is_segmented_anew(model_set):
    variants = Variants(model_set, ("fast", "robust"), device="cpu")
    results = [dict(variants.segment(scan((32, 32, 32), seed)))["fast"].labels.data for seed in (1, 2, 1)]
    assert np.array_equal(results[0], results[2])
    assert not np.array_equal(results[0], results[1])


def test_modes_that_a_set_cannot_run_are_left_out(tmp_path):
    choose_backend(device="cpu")
    model_set = ModelSet.load(write_tiny_set(tmp_path / "single", roles=("segmenter",)))
    assert Variants(model_set, ORDER).modes == ("fast", "default")


def test_digests_differ_with_any_change_of_the_input():
    image = np.zeros((3, 4, 5), np.float32)
    groups = np.zeros((3, 4, 5), np.uint8)
    changed = image.copy()
    changed[1, 2, 3] = 1e-7
    inputs = [Inputs(image=image), Inputs(image=changed), Inputs(groups=groups, n_groups=2),
              Inputs(groups=groups, n_groups=3), Inputs(image=image, groups=groups, n_groups=2)]  # fmt: skip
    assert len({digest_of(one) for one in inputs}) == len(inputs)
    assert digest_of(Inputs(image=image)) == digest_of(Inputs(image=image.copy()))


def test_modes_that_look_for_the_brain_first_are_what_they_are_alone(tmp_path, monkeypatch):
    choose_backend(device="cpu")
    model_set = ModelSet.load(
        write_tiny_set(tmp_path / "view", working_resolution_mm=2.0, field_of_view_mm=[64, 64, 64])
    )
    # The random networks find no brain; S and S1 shall disagree about its place, as they may.
    def box(found, *_):
        return BrainBox((40 * found.mean() - 15, 3.0, 2.0), (64, 64, 64))

    monkeypatch.setattr(segmenter_module, "brain_box", box)
    volume = scan((48, 52, 44), spacing=2.0)
    variants = Variants(model_set, ("fast", "robust", "s1-s2"), device="cpu")
    for mode, shared in variants.segment(volume):
        alone = Segmenter(model_set, mode=mode, device="cpu").segment(volume)
        assert alone.record["grid"]["working"] == [32, 32, 32]
        assert np.array_equal(shared.labels.data, alone.labels.data)
        assert shared.icv_mm3 == alone.icv_mm3
    # A first look and the box, once each for S and for S1.
    assert (variants.runs["segmenter"], variants.runs["tissue"]) == (2, 2)
