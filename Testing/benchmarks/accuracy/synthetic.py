"""Synthetic test scans with known truth, made from the test label maps as `plans` says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.labels import parcels, structures
from SynthSegPlusLib.synthesis import Generator, draw, find_label_maps, generator_config, read_label_map
from SynthSegPlusLib.synthesis.acquisition import blur_sigma
from SynthSegPlusLib.synthesis.draw import Draw
from SynthSegPlusLib.volume import Volume
from Testing.benchmarks.accuracy.plans import ORIENTATIONS, STRONGLY_DEGRADED, Planned, degraded_settings

SHAPE = (192, 224, 224)
PARCEL_SUFFIX = "_parcels.nii.gz"
BRAIN_FROM = 1
"""Generation labels from this position on are no air; those are the ones whose contrast is lowered."""


@dataclass(frozen=True)
class SyntheticScan:
    """A scan, its truth (FreeSurfer labels, and parcels or None, on the same 1 mm grid), and what it is."""

    name: str
    about: dict[str, Any]
    image: Volume
    truth: np.ndarray
    parcels: np.ndarray | None


class TestScans:
    """Makes planned scans of the label maps in ``labels``; the same in every run and on every backend."""

    __test__ = False

    def __init__(self, labels: Path, parcel_folder: Path | None = None) -> None:
        self._labels, self._parcels = labels, parcel_folder
        self._map = cache(self._read)

    def make(self, planned: Planned) -> SyntheticScan:
        """One scan."""
        from keras import ops

        generator = Generator([self._map(planned.map_id)], config_of(planned), noise="numpy")
        drawn = drawn_for(planned, generator)
        sample = generator.apply(drawn, 0)
        truth = structures("2.0").values[ops.convert_to_numpy(sample.structures())]
        parcel_truth = None
        if sample.parcels is not None:
            parcel_truth = parcels().values[ops.convert_to_numpy(sample.parcels)]
        widest = int(np.argmax(drawn.spacing))
        about = {
            "map": planned.map_id, "contrast": planned.contrast or drawn.contrast,
            "spacing": f"{drawn.spacing[widest]:g}" if planned.spacing is None else f"{planned.spacing:g}",
            "orientation": ORIENTATIONS[widest if planned.spacing is None else planned.axis],
        }  # fmt: skip
        image = Volume(ops.convert_to_numpy(sample.image), np.eye(4), planned.name)
        return SyntheticScan(planned.name, about, image, truth, parcel_truth)

    def _read(self, map_id: str) -> Any:
        path = find_label_maps(self._labels, [map_id])[0]
        beside = None if self._parcels is None else self._parcels / f"{path.name.split('.')[0]}{PARCEL_SUFFIX}"
        return read_label_map(path, beside)


def config_of(planned: Planned) -> Any:
    """Generator's settings: sized and shaped anatomies, mild bias and noise; or the committed strong degradation."""
    if planned.part in STRONGLY_DEGRADED:
        return generator_config(degraded_settings()["generator"])
    named = {"contrast": 1.0, "contrasts": [planned.contrast]} if planned.contrast != "random" else {"contrast": 0.0}
    return generator_config({
        "preset": "fast", "shape": SHAPE,
        "deformation": {"rotation": 5, "scaling": 0.12, "shearing": 0.01, "elastic_std": [0.0, 2.5], "flip": 0,
                        "crop_jitter": 0},
        "intensity": {**named, "fluid_alike": planned.fluid_alike, "bias_std": 0.3, "gamma_std": 0.2},
        "anatomy": {"ventricles": 0.3, "cortex": 0.3, "cortex_mm": [-0.7, 0.7], "lesions": 0, "hippocampi": 0,
                    "amygdalae": 0, "horns": 0, "atrophy": 0, "strip_skull": 0.5, "strip_csf": 0},
        "acquisition": {"noise": [0.01, 0.02], "noise_probability": 1.0, "partial_view": 0},
    })  # fmt: skip


def drawn_for(planned: Planned, generator: Generator) -> Draw:
    """Parameters of a planned scan: the anatomy of its shape seed, everything else of its seed."""
    label_map, config = generator.maps[0], generator.config
    drawn = draw(config, label_map, list(planned.seed))
    if planned.shape_seed != planned.seed:
        drawn = with_anatomy_of(drawn, draw(config, label_map, list(planned.shape_seed)))
    if planned.part in STRONGLY_DEGRADED:
        return degraded(drawn, planned)
    return with_spacing(drawn, planned.axis, planned.spacing or 1.0)


def with_anatomy_of(drawn: Draw, other: Draw) -> Draw:
    """``drawn`` with everything that decides the labels taken from ``other``."""
    same = ("affine", "centre", "elastic", "flip", "ventricles_mm", "cortex_mm", "lesion_field", "lesion_threshold",
            "hippocampi", "amygdalae", "horns_mm3", "strip_skull", "strip_csf", "view", "reduction")  # fmt: skip
    return replace(drawn, **{name: getattr(other, name) for name in same})


def with_spacing(drawn: Draw, axis: int | None, spacing: float) -> Draw:
    """``drawn`` with slices of ``spacing`` mm, as thick as they are far apart, along one axis, and 1 mm elsewhere."""
    spacings = [1.0, 1.0, 1.0]
    if axis is not None:
        spacings[axis] = float(spacing)
    return replace(drawn, spacing=tuple(spacings), sigma=tuple(blur_sigma(one, one, 1.0) for one in spacings))


def degraded(drawn: Draw, planned: Planned) -> Draw:
    """``drawn`` with what the committed file adds: thick slices along a random axis, and lowered contrast."""
    settings = degraded_settings()["degradation"]
    rng = np.random.default_rng([*planned.seed, 1])
    axis, spacing = int(rng.integers(3)), rng.uniform(*settings["spacing_mm"])
    share, means = rng.uniform(*settings["contrast_share"]), drawn.means.copy()
    middle = means[BRAIN_FROM:].mean()
    means[BRAIN_FROM:] = middle + share * (means[BRAIN_FROM:] - middle)
    return replace(with_spacing(drawn, axis, round(spacing, 2)), means=means)
