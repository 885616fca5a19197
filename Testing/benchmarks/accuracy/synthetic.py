"""Synthetic test scans with known truth: contrasts x slice spacings x orientations of the test label maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.synthesis import Generator, find_label_maps, generator_config, read_label_map
from SynthSegPlusLib.volume import Volume

TEST_MAPS = ("17", "18", "19", "20")
CONTRASTS = ("T1", "T2", "FLAIR", "PD", "DBS", "random")
SPACINGS = ((1, None), *((spacing, axis) for spacing in (3, 5, 7) for axis in range(3)))
"""(spacing in mm, axis): 1 mm, and 3, 5, 7 mm sagittal, coronal, axial."""
ORIENTATIONS = {None: "", 0: "sagittal", 1: "coronal", 2: "axial"}
_SHAPE = (192, 224, 224)
_SEED = 5000


@dataclass(frozen=True)
class SyntheticScan:
    """A scan, its truth (FreeSurfer labels on the same 1 mm grid), and what it is."""

    name: str
    map_id: str
    contrast: str
    spacing: float
    orientation: str
    image: Volume
    truth: np.ndarray


def plan(subset: bool) -> list[tuple[str, str, float, int | None]]:
    """(map, contrast, spacing, axis) of every scan: all 240, or 24 that visit every contrast and spacing."""
    if not subset:
        return [(one, contrast, *spacing) for one in TEST_MAPS for contrast in CONTRASTS for spacing in SPACINGS]
    pairs = [(one, contrast) for one in TEST_MAPS for contrast in CONTRASTS]
    return [(*pair, *SPACINGS[3 * number % len(SPACINGS)]) for number, pair in enumerate(pairs)]


def scans(labels: Path, subset: bool) -> Iterator[SyntheticScan]:
    """Make the scans one after the other; each is the same in every run. Undeformed anatomy, mild bias and noise."""
    from keras import ops

    paths = find_label_maps(labels, TEST_MAPS)
    maps = {path.name.split(".")[0].rpartition("_")[2]: read_label_map(path) for path in paths}
    for number, (one, contrast, spacing, axis) in enumerate(plan(subset)):
        generator = Generator([maps[one]], generator_config(_settings(contrast)), noise="numpy")
        drawn = _with_spacing(generator, _SEED + number, spacing, axis)
        sample = generator.apply(drawn, 0)
        truth = structures("2.0").values[ops.convert_to_numpy(sample.structures())]
        orientation = ORIENTATIONS[axis]
        name = f"map{one}_{contrast}_{spacing}mm{'_' + orientation if orientation else ''}"
        image = Volume(ops.convert_to_numpy(sample.image), np.eye(4), name)
        yield SyntheticScan(name, one, contrast, spacing, orientation, image, truth)


def _settings(contrast: str) -> dict[str, object]:
    still = {"rotation": 0, "scaling": 0, "shearing": 0, "elastic_std": [0, 0], "flip": 0, "crop_jitter": 0}
    named = {"contrast": 1.0, "contrasts": [contrast]} if contrast != "random" else {"contrast": 0.0}
    return {
        "preset": "fast", "shape": _SHAPE, "deformation": still,
        "intensity": {**named, "bias_std": 0.3, "gamma_std": 0.2},
        "anatomy": {"ventricles": 0, "cortex": 0, "lesions": 0, "strip_skull": 0.5},
        "acquisition": {"noise": [0.01, 0.02], "noise_probability": 1.0, "partial_view": 0},
    }  # fmt: skip


def _with_spacing(generator: Generator, seed: int, spacing: float, axis: int | None) -> object:
    from dataclasses import replace

    from SynthSegPlusLib.synthesis import draw
    from SynthSegPlusLib.synthesis.acquisition import blur_sigma

    spacings = [1.0, 1.0, 1.0]
    if axis is not None:
        spacings[axis] = float(spacing)
    sigma = tuple(blur_sigma(one, one, 1.0) for one in spacings)
    return replace(draw(generator.config, generator.maps[0], seed), spacing=tuple(spacings), sigma=sigma)
