"""The generative model: a label map and a seed in, a synthetic scan and its labels out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from SynthSegPlusLib.synthesis.acquisition import acquire, field_of_view_mask
from SynthSegPlusLib.synthesis.config import GeneratorConfig
from SynthSegPlusLib.synthesis.draw import Draw, draw
from SynthSegPlusLib.synthesis.geometry import displacement_field, voxel_grid
from SynthSegPlusLib.synthesis.intensity import (
    apply_gamma,
    gaussian_mixture,
    multiply_bias,
    rescale,
    rescale_percentiles,
)
from SynthSegPlusLib.synthesis.interpolation import sample_nearest
from SynthSegPlusLib.synthesis.label_maps import LabelMap, label_space
from SynthSegPlusLib.synthesis.morphology import (
    add_lesions,
    enlarge_ventricles,
    resize_amygdalae,
    resize_hippocampi,
    thin_cortex,
    widen_horns,
)
from SynthSegPlusLib.synthesis.reduction import Reduction, take

CEREBRAL_CORTEX = (3, 42)


@dataclass(frozen=True)
class Sample:
    """A synthetic scan, as tensors of the backend.

    Attributes
    ----------
    image
        float32 [x, y, z] in [0, 1], axes RAS, at the generator's resolution.
    labels
        int32 [x, y, z]: positions in the generation table, 0 outside the field of view. Of an oversampled scan those of
        a random place in each voxel, for a network to learn the shares from.
    parcels
        None, or int32 [x, y, z]: parcel channel 1..68 inside the cerebral cortex, 0 elsewhere, at the same places.
    drawn
        The parameters that made it.
    central
        int32 [x, y, z]: labels in the middle of each voxel.
    """

    image: Any
    labels: Any
    parcels: Any
    drawn: Draw
    central: Any

    def in_the_middle(self) -> Sample:
        """The scan with the labels in the middle of its voxels, for what must not be speckled: inputs, and truths that
        a segmentation is compared with. It has no parcels.
        """
        return replace(self, labels=self.central, parcels=None)

    def structures(self) -> Any:
        """Channels (int32) of the 33 structures."""
        return lookup(label_space().channel, self.labels)

    def tissues(self) -> Any:
        """Tissue classes (int32) of the published grouping."""
        return lookup(label_space().tissue, self.labels)


def lookup(table: np.ndarray, labels: Any) -> Any:
    """table[labels] as int32, on the backend."""
    from keras import ops

    return ops.take(ops.convert_to_tensor(table.astype(np.int32)), labels, axis=0)


class Generator:
    """Generates scans of a set of label maps.

    ``noise`` is "device" (random numbers of the backend: fast) or "numpy" (the same numbers on every backend).
    """

    def __init__(self, maps: Sequence[LabelMap], config: GeneratorConfig, noise: str = "device") -> None:
        self.maps = list(maps)
        self.config = config
        self.noise = noise
        self._tensors: dict[tuple[int, str], Any] = {}

    def sample(self, seed: int | list[int], index: int | None = None) -> Sample:
        """One scan; the seed alone decides it (and chooses the label map when ``index`` is None)."""
        if index is None:
            index = int(np.random.default_rng([*np.atleast_1d(seed), 1]).integers(len(self.maps)))
        return self.apply(draw(self.config, self.maps[index], seed), index)

    def apply(self, drawn: Draw, index: int) -> Sample:
        """Apply drawn parameters to label map number ``index``: deterministic."""
        from keras import ops

        labels, parcels = self.deform(drawn, index)
        voxel = self.config.fine_resolution
        labels = enlarge_ventricles(labels, drawn.ventricles_mm, voxel)
        labels = thin_cortex(labels, drawn.cortex_mm, voxel)
        if drawn.hippocampi != (1.0, 1.0):
            labels = resize_hippocampi(labels, drawn.hippocampi, voxel)
        if drawn.amygdalae != (1.0, 1.0):
            labels = resize_amygdalae(labels, drawn.amygdalae, voxel)
        if drawn.horns_mm3 != (0.0, 0.0):
            labels = widen_horns(labels, drawn.horns_mm3, voxel)
        if drawn.lesion_field is not None:
            labels = add_lesions(labels, drawn.lesion_field, drawn.lesion_threshold, voxel)
        labels = strip(labels, drawn.strip_skull, drawn.strip_csf)
        image, central = self.synthesise(drawn, labels), labels
        if drawn.reduction is not None:
            image, labels, parcels, central = self._reduce(*drawn.reduction, image, labels, parcels)
        if self.config.intensity.rescale_percentiles:
            image = rescale_percentiles(image)
        if drawn.view is not None:
            seen = ops.convert_to_tensor(field_of_view_mask(self.config.shape, *drawn.view))
            image = ops.where(seen, image, 0.0)
            labels, central = ops.where(seen, labels, 0), ops.where(seen, central, 0)
        if parcels is not None:
            parcels = _parcel_channels(parcels, labels)
        return Sample(image, labels, parcels, drawn, central)

    def deform(self, drawn: Draw, index: int) -> tuple[Any, Any]:
        """Deformed, possibly flipped labels (int32 [x, y, z]), and parcels or None, on the grid a scan is made on."""
        from keras import ops

        shape, voxel = self.config.fine_shape, self.config.fine_resolution
        deformation = self.config.deformation
        middle = (np.array(shape, np.float32) - 1) / 2
        place = (voxel_grid(shape) - ops.convert_to_tensor(middle)) * voxel
        if drawn.elastic is not None:
            place = place + displacement_field(drawn.elastic, shape, voxel) * deformation.elastic_amplitude
        matrix = drawn.affine.astype(np.float32)
        offset = matrix[:3, 3] + drawn.centre.astype(np.float32)
        place = ops.matmul(place, ops.convert_to_tensor(matrix[:3, :3].T.copy())) + ops.convert_to_tensor(offset)
        outside = 0 if deformation.outside == "background" else None
        labels = ops.cast(sample_nearest(self._tensor(index, "index"), place, outside), "int32")
        parcels = None
        if self.maps[index].parcels is not None:
            parcels = ops.cast(sample_nearest(self._tensor(index, "parcels"), place), "int32")
        if drawn.flip:
            labels = flip_labels(labels)
            parcels = None if parcels is None else ops.flip(parcels, axis=0)
        return labels, parcels

    def synthesise(self, drawn: Draw, labels: Any, noise: Any = None) -> Any:
        """The image of a label map (int32 [x, y, z]): mixture, bias, rescaling, gamma, acquisition.

        It is on the grid that a scan is made on. ``noise``: of the mixture, of unit variance; None: white.
        """
        intensity, shape = self.config.intensity, self.config.fine_shape
        white = self._normal(drawn.noise_seeds[0]) if noise is None else noise
        image = gaussian_mixture(labels, drawn.means, drawn.stds, white)
        if drawn.bias is not None:
            image = multiply_bias(image, drawn.bias)
        image = apply_gamma(rescale(image, intensity.clip), drawn.log_gamma)
        added = self._normal(drawn.noise_seeds[1]) * drawn.noise_std if drawn.noise_std else None
        image = acquire(image, drawn.spacing, drawn.sigma, self.config.fine_resolution, added)
        assert tuple(image.shape) == tuple(shape)
        return image

    def _reduce(self, reduction: Reduction, seed: int, image: Any, labels: Any, parcels: Any) -> tuple[Any, ...]:
        """Image, labels and parcels (or None) of the fine grid on the working grid, and labels in the middle."""
        from keras import ops

        shape = (*self.config.shape, 3)
        places = reduction.places(self._uniform(seed, shape))
        middle = reduction.places(ops.full(shape, 0.5, dtype="float32"))
        return reduction.image(image), *take([labels, parcels], places), *take([labels], middle)

    def _normal(self, seed: int) -> Any:
        import keras

        shape = self.config.fine_shape
        if self.noise == "numpy":
            values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
            return keras.ops.convert_to_tensor(values)
        return keras.random.normal(shape, seed=seed, dtype="float32")

    def _uniform(self, seed: int, shape: tuple[int, ...]) -> Any:
        import keras

        if self.noise == "numpy":
            return keras.ops.convert_to_tensor(np.random.default_rng(seed).random(shape, dtype=np.float32))
        return keras.random.uniform(shape, seed=seed, dtype="float32")

    def _tensor(self, index: int, what: str) -> Any:
        """A label map on the device, put there once."""
        from keras import ops

        key = (index, what)
        if key not in self._tensors:
            self._tensors[key] = ops.convert_to_tensor(getattr(self.maps[index], what))
        return self._tensors[key]


def flip_labels(labels: Any) -> Any:
    """Mirror labels (positions, int32 [x, y, z]) left-right and swap the sides' labels."""
    from keras import ops

    return ops.flip(lookup(label_space().partner, labels), axis=0)


def strip(labels: Any, skull: bool, csf: bool) -> Any:
    """Labels with the head (``skull``), and with it the extracerebral CSF (``csf``), turned into background."""
    if not skull:
        return labels
    space = label_space()
    table = np.arange(len(space.values))
    table[space.extracerebral] = 0
    if csf:
        table[space.position(24)] = 0
    return lookup(table, labels)


def _parcel_channels(parcels: Any, labels: Any) -> Any:
    """Channels 1..68 from side-less parcel numbers 1..34 and the side of the cortex label; 0 outside the cortex."""
    from SynthSegPlusLib.labels import parcels as parcel_table

    space = label_space()
    table = parcel_table()
    left = np.array([0, *(table.channel(label.value) for label in table.select("left"))])
    right = np.array([0, *(table.channel(table[label.value].partner) for label in table.select("left"))])
    is_left = lookup(space.values == CEREBRAL_CORTEX[0], labels)
    is_right = lookup(space.values == CEREBRAL_CORTEX[1], labels)
    return lookup(left, parcels) * is_left + lookup(right, parcels) * is_right
