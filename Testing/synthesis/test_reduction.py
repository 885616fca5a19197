"""From a finer grid to the working grid."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.synthesis import Generator, generator_config, label_space
from SynthSegPlusLib.synthesis.reduction import Reduction, take
from SynthSegPlusLib.volume._centred import CentredGrid, resample
from Testing.synthesis.phantoms import numpy, phantom, tensor
from Testing.synthesis.test_generator import PLAIN, STILL

MIDDLE = (slice(3, -3),) * 3


@pytest.mark.parametrize(("phase", "beyond"), [(0.0, 0), (0.5, 1)])
def test_an_image_is_reduced_as_the_engine_resamples_a_scan(phase, beyond):
    """Of a scan with an odd number of voxels the engine's working voxels lie half a voxel further."""
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(32, 36, 40)).astype(np.float32)
    reduced = numpy(Reduction((16, 18, 20), 2, (phase,) * 3).image(tensor(fine)))
    scan = fine[beyond:, beyond:, beyond:]
    target = CentredGrid((16, 18, 20), (20000,) * 3)
    expected = resample(scan, CentredGrid(scan.shape, (10000,) * 3), target)
    assert np.allclose(reduced[MIDDLE], expected[MIDDLE], atol=1e-4)


@pytest.mark.parametrize(("phase", "shares"), [(0.0, [0, 0.5, 0.5, 0]), (0.5, [0, 0.25, 0.5, 0.25])])
def test_a_place_is_drawn_evenly_in_its_voxel(phase, shares):
    reduction = Reduction((40, 40, 40), 2, (phase, 0.0, 0.0))
    places = numpy(reduction.places(tensor(np.random.default_rng(1).random((40, 40, 40, 3)))))
    x = np.unravel_index(places, (80, 80, 80))[0]
    beyond = (x - 2 * np.arange(40)[:, None, None])[1:-1]  # -1, 0, 1 or 2
    assert beyond.min() >= -1
    assert np.allclose([(beyond == offset).mean() for offset in (-1, 0, 1, 2)], shares, atol=0.01)


def test_places_name_voxels_of_the_flattened_volume():
    volume = np.arange(16 * 20 * 24).reshape(16, 20, 24)
    middle = tensor(np.full((8, 10, 12, 3), 0.99))
    found, nothing = take([tensor(volume, "int32"), None], Reduction((8, 10, 12), 2, (0.0, 0.0, 0.0)).places(middle))
    assert np.array_equal(numpy(found), volume[1::2, 1::2, 1::2])
    assert nothing is None


def oversampled(**changes: object) -> dict[str, object]:
    return {**PLAIN, "shape": (20, 20, 20), "resolution": 2.0, "oversampling": 2, **changes}


def test_labels_are_the_shares_of_a_voxel_on_average():
    """Twice the volume of a working voxel's labels, summed over scans, is what the fine label map holds."""
    one = phantom()
    space = label_space()
    ventricles = space.members(4, 43)
    fine = Generator([one], generator_config({**PLAIN, "shape": (40, 40, 40)})).sample(3)
    true = ventricles[numpy(fine.labels)].sum()
    generator = Generator([one], generator_config(oversampled()))
    found = [8 * ventricles[numpy(generator.sample(seed).labels)].sum() for seed in range(40)]
    assert np.mean(found) == pytest.approx(true, rel=0.02)
    assert np.std(found) > 0  # another place in every scan


def test_a_voxel_of_two_structures_has_an_intensity_between_theirs():
    still = {"std": [0, 0], "bias": 0, "gamma_std": 0, "rescale_percentiles": False, "contrast": 1.0}
    plain = Generator([phantom()], generator_config({**oversampled(intensity=still), "oversampling": 1})).sample(5)
    mixed = Generator([phantom()], generator_config(oversampled(intensity=still))).sample(5)
    assert mixed.image.shape == plain.image.shape == (20, 20, 20)
    assert mixed.drawn.contrast == plain.drawn.contrast
    channel = structures("2.0").channel(2)
    inside = numpy(mixed.structures()) == channel
    assert inside.sum() > 300
    values = numpy(mixed.image)
    assert values[inside].std() > 0  # borders
    assert len(np.unique(np.round(values, 3))) > 3 * len(np.unique(np.round(numpy(plain.image)[inside], 3)))


def test_everything_else_of_a_scan_is_drawn_as_without():
    maps = [phantom()]
    one, two = (
        Generator(maps, generator_config({"shape": (20, 20, 20), "resolution": 2.0, "oversampling": times})).sample(8)
        for times in (1, 2)
    )
    assert np.array_equal(one.drawn.affine, two.drawn.affine)
    assert np.array_equal(one.drawn.means, two.drawn.means)
    assert one.drawn.reduction is None
    assert two.drawn.reduction is not None


def test_parcels_are_taken_from_the_same_places_as_labels():
    sample = Generator([phantom(parcels=True)], generator_config(oversampled(deformation=STILL))).sample(2)
    cortex = np.isin(label_space().values[numpy(sample.labels)], (3, 42))
    assert np.array_equal(numpy(sample.parcels) > 0, cortex)


@pytest.mark.parametrize("times", [0, 1.5, -2])
def test_oversampling_by_no_whole_number_is_refused(times):
    with pytest.raises(OptionsError, match="whole number"):
        generator_config({"oversampling": times})
