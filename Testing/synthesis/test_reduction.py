"""From a finer grid to the working grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.synthesis import Generator, draw, generator_config, label_space
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
    generator = Generator([one], generator_config(oversampled()), noise="numpy")
    found = [8 * ventricles[numpy(generator.sample(seed).labels)].sum() for seed in range(40)]
    assert np.mean(found) == pytest.approx(true, rel=0.02)
    assert np.std(found) > 0  # another place in every scan


def two_means(means: tuple[float, float], seed: int = 5) -> tuple[Generator, object]:
    """A generator of oversampled scans, and a draw in which white matter and all else have one intensity each."""
    still = {"bias": 0, "gamma_std": 0, "rescale_percentiles": False, "clip": None}
    generator = Generator([phantom()], generator_config(oversampled(intensity=still, deformation=STILL)), "numpy")
    drawn = draw(generator.config, generator.maps[0], seed)
    white = label_space().members(2, 41)
    values = np.where(white, means[1], means[0])
    return generator, replace(drawn, means=values, stds=np.zeros_like(values), sigma=(0, 0, 0), log_gamma=0.0)


def test_a_voxel_of_two_structures_has_an_intensity_between_theirs():
    generator, drawn = two_means((0.0, 1.0))
    sample = generator.apply(drawn, 0)
    image, white = numpy(sample.image), label_space().members(2, 41)[numpy(sample.central)]
    assert image.shape == (20, 20, 20)
    between = (image > 0.1) & (image < 0.9)
    inside = ndimage.binary_erosion(white, iterations=2)
    outside = ~ndimage.binary_dilation(white, iterations=2)
    assert between.sum() > 200
    assert not (between & (inside | outside)).any()
    assert np.allclose(image[inside], 1, atol=1e-3)
    assert np.allclose(image[outside], 0, atol=1e-3)


def test_image_and_labels_of_a_scan_lie_in_the_same_place():
    """The mean of many labels is most like the image where neither is moved, and as much of white matter."""
    generator, drawn = two_means((0.0, 1.0))
    reduction, _ = drawn.reduction
    white = label_space().members(2, 41)
    for phase in ((0.0, 0.0, 0.0), (0.5, -0.5, 0.3)):
        samples = [
            generator.apply(replace(drawn, reduction=(reduction._replace(phase=phase), seed)), 0) for seed in range(30)
        ]
        shares = np.mean([white[numpy(one.labels)] for one in samples], axis=0)
        image = numpy(samples[0].image)
        errors = {
            shift: np.abs(np.roll(shares, shift, axis=range(3)) - image).sum()
            for shift in ((0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
        }
        assert min(errors, key=errors.get) == (0, 0, 0)
        assert shares.sum() == pytest.approx(image.sum(), rel=0.02)
        centres = np.array([ndimage.center_of_mass(one) for one in (shares, image)])
        assert np.abs(centres[0] - centres[1]).max() < 0.05


def test_labels_in_the_middle_are_not_speckled():
    generator, drawn = two_means((0.0, 1.0))
    one, two = (generator.apply(replace(drawn, reduction=(drawn.reduction[0], seed)), 0) for seed in (1, 2))
    assert np.array_equal(numpy(one.central), numpy(two.central))
    assert not np.array_equal(numpy(one.labels), numpy(two.labels))
    middle = one.in_the_middle()
    assert np.array_equal(numpy(middle.labels), numpy(one.central))
    assert np.array_equal(numpy(middle.structures()), label_space().channel[numpy(one.central)])


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


def test_faces_of_the_grid_are_as_bright_as_its_middle():
    flat = tensor(np.ones((16, 20, 24)))
    assert np.allclose(numpy(Reduction((8, 10, 12), 2, (0.5, -0.5, 0.2)).image(flat)), 1, atol=1e-5)


@pytest.mark.parametrize("times", [0, 1.5, 2.0, -2, "2", float("nan")])
def test_oversampling_by_no_whole_number_is_refused(times):
    with pytest.raises(OptionsError, match="whole number"):
        generator_config({"oversampling": times})
