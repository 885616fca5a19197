"""From labels to intensities."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.synthesis.config import generator_config
from SynthSegPlusLib.synthesis.contrasts import CONTRASTS, MEAN_SPREAD, contrast_means, strayed
from SynthSegPlusLib.synthesis.draw import draw_mixture, draw_resolution
from SynthSegPlusLib.synthesis.intensity import (
    apply_gamma,
    gaussian_mixture,
    multiply_bias,
    rescale,
    rescale_percentiles,
)
from SynthSegPlusLib.synthesis.label_maps import label_space
from Testing.synthesis.phantoms import numpy, tensor

LABELS = np.random.default_rng(0).integers(0, 54, (20, 20, 20))


def test_without_noise_every_voxel_has_the_mean_of_its_label():
    means = np.arange(54.0)
    noise = tensor(np.random.default_rng(1).normal(size=LABELS.shape))
    image = numpy(gaussian_mixture(tensor(LABELS, "int32"), means, np.zeros(54), noise))
    assert np.array_equal(image, means[LABELS].astype(np.float32))


def test_noise_has_the_standard_deviation_of_its_label():
    noise = tensor(np.random.default_rng(1).normal(size=(30, 30, 30)))
    labels = tensor(np.full((30, 30, 30), 3), "int32")
    image = numpy(gaussian_mixture(labels, np.full(54, 9.0), np.full(54, 4.0), noise))
    assert image.std() == pytest.approx(4.0, rel=0.03)
    assert image.mean() == pytest.approx(9.0, abs=0.1)


def test_a_flat_bias_field_multiplies_by_its_exponential():
    image = numpy(multiply_bias(tensor(np.full((8, 8, 8), 3.0)), np.full((2, 2, 2), np.log(2.0))))
    assert np.allclose(image, 6.0, rtol=1e-6)


def test_gamma_of_zero_exponent_is_the_identity_and_keeps_the_ends():
    image = tensor(np.linspace(0, 1, 27).reshape(3, 3, 3))
    assert np.allclose(numpy(apply_gamma(image, 0.0)), numpy(image))
    assert numpy(apply_gamma(image, 0.7))[[0, -1], [0, -1], [0, -1]].tolist() == [0.0, 1.0]


def test_rescaling_reaches_from_0_to_1():
    image = numpy(rescale_percentiles(tensor(np.random.default_rng(2).normal(50, 9, (20, 20, 20)))))
    assert (image.min(), image.max()) == (0.0, 1.0)


def test_clip_and_rescale_equal_the_reference(shared):
    golden = np.load(shared / "reference" / "golden" / "ops.npz")
    found = numpy(rescale(tensor(golden["intensity_in"][0, ..., 0]), 300.0))
    assert np.allclose(found, golden["intensity_clip300_minmax"][0, ..., 0], atol=1e-6)


@pytest.mark.parametrize("name", CONTRASTS)
def test_a_named_contrast_is_the_same_on_both_sides(name):
    means = contrast_means(name)
    assert np.array_equal(means, means[label_space().partner])


def test_contrasts_have_the_textbook_order_of_tissues():
    space = label_space()
    white, cortex, csf = (space.position(value) for value in (2, 3, 24))
    order = {name: contrast_means(name)[[white, cortex, csf]].tolist() for name in ("T1", "T2", "FLAIR", "PD")}
    assert order["T1"] == sorted(order["T1"], reverse=True)
    assert order["T2"] == sorted(order["T2"])
    assert order["FLAIR"][1] > order["FLAIR"][0] > order["FLAIR"][2]
    assert order["PD"] == sorted(order["PD"])


def test_the_fluid_of_the_ventricles_is_one_fluid():
    space, rng = label_space(), np.random.default_rng(3)
    strays = np.array([strayed(rng.normal(0, MEAN_SPREAD, len(space.values)), 0.95) for _ in range(4000)])
    lateral, horn, csf, hippocampus = (strays[:, space.position(value)] for value in (4, 5, 24, 17))
    assert np.corrcoef(lateral, horn)[0, 1] == pytest.approx(0.95, abs=0.02)
    assert np.corrcoef(horn, csf)[0, 1] > 0.8
    assert abs(np.corrcoef(lateral, hippocampus)[0, 1]) < 0.06
    assert np.allclose(strays.std(axis=0), MEAN_SPREAD, rtol=0.06)
    assert np.array_equal(strayed(strays[0], 0.0), strays[0])
    with pytest.raises(OptionsError, match="fluid_alike is 1.2"):
        generator_config({"intensity": {"fluid_alike": 1.2}})


def test_a_drawn_contrast_has_fluid_of_one_mean_and_tissues_of_their_own():
    space = label_space()

    def apart(**changes):
        config = generator_config({"preset": "fast", "intensity": {"contrast": 1.0, **changes}}).intensity
        means = np.array([draw_mixture(np.random.default_rng(seed), config)[1] for seed in range(500)])
        return {value: (means[:, space.position(value)] - means[:, space.position(4)]).std() for value in (5, 43, 17)}

    found, without = apart(contrasts=["PD"]), apart(contrasts=["PD"], fluid_alike=0.0)
    assert found[43] == without[43] == 0  # sides are alike
    assert found[5] < 0.4 * found[17]
    assert without[5] == pytest.approx(without[17], rel=0.1)
    assert found[17] == without[17]  # what is no fluid is drawn as before


def test_classes_share_gaussians_as_in_the_released_table():
    name, means, stds = draw_mixture(np.random.default_rng(4), generator_config(preset="code").intensity)
    space = label_space()
    assert name == "random"
    assert means[space.position(4)] == means[space.position(5)]
    assert means[space.position(17)] == means[space.position(18)]
    assert means[space.position(2)] != means[space.position(41)]
    assert (stds >= 0).all()


def test_spacings_stay_within_the_configuration():
    config = generator_config(preset="fast").acquisition
    drawn = [draw_resolution(np.random.default_rng(seed), config, 2.0)[0] for seed in range(300)]
    assert min(map(min, drawn)) >= 2.0
    assert max(map(max, drawn)) <= config.max_anisotropic
    assert any(spacing == (2.0, 2.0, 2.0) for spacing in drawn)


def test_an_unknown_entry_of_the_configuration_is_named():
    with pytest.raises(OptionsError, match="generator.intensity has no entry 'contrst'"):
        generator_config({"intensity": {"contrst": 1}})
    with pytest.raises(OptionsError, match="preset 'quick' is unknown"):
        generator_config(preset="quick")
