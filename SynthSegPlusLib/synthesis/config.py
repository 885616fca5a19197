"""Settings of the generative model: frozen dataclasses, presets by name, and TOML-able dictionaries.

Lengths are mm, angles degrees, intensities relative to the range 0..255 of the mixture. A pair is a uniform range.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from SynthSegPlusLib.contract.errors import OptionsError

Range = tuple[float, float]


@dataclass(frozen=True)
class Deformation:
    """Affine and diffeomorphic deformation.

    ``elastic_std`` is the range of the velocities' standard deviation on control points ``elastic_spacing`` mm apart;
    ``elastic_amplitude`` multiplies the integrated field (0.5 reproduces the released code, which does not rescale
    the half-resolution field). ``outside`` is what lies beyond a label map: its "edge", or "background".
    """

    rotation: float = 15.0
    scaling: float = 0.2
    shearing: float = 0.012
    translation: float = 0.0
    elastic_std: Range = (0.0, 4.0)
    elastic_spacing: float = 25.0
    elastic_amplitude: float = 1.0
    flip: float = 0.5
    outside: str = "background"
    crop_jitter: float | None = None  # mm about the brain's centre; None: anywhere in the label map


@dataclass(frozen=True)
class Intensity:
    """Gaussian mixture, bias field and gamma.

    ``contrasts`` names priors of `SynthSegPlusLib.synthesis.contrasts`; one of them is used with probability
    ``contrast``, otherwise uniform ranges. ``fluid_alike`` is the correlation of the means of all fluid in them: it is
    the same fluid, but for its flow and for what else its voxels hold. ``dark_background`` is the probability of a
    background near zero, ``tie_sides`` that left and right share their Gaussians although the prior is uniform.
    """

    mean: Range = (0.0, 250.0)
    std: Range = (0.0, 30.0)
    zero_background: float = 0.05
    dark_background: float = 0.25
    tie_sides: float = 0.0
    contrast: float = 0.0
    contrasts: tuple[str, ...] = ()
    fluid_alike: float = 0.0
    bias: float = 0.95
    bias_std: float = 0.7
    bias_spacing: float = 40.0
    clip: float | None = 300.0
    gamma_std: float = 0.5
    rescale_percentiles: bool = False


@dataclass(frozen=True)
class Acquisition:
    """Slice spacing and thickness, noise, and field of view.

    With ``full`` probability the finest spacing is kept (1 mm, or that of a coarser grid on which the scan is made),
    with ``isotropic`` all axes are drawn from 1..``max_isotropic`` (independently unless ``truly_isotropic``),
    otherwise one axis from 1..``max_anisotropic``.
    ``noise`` is a range of standard deviations on the low-resolution grid of a scan in [0, 1]. Like the spread of a
    structure's intensities it is averaged where an oversampled scan is brought to the working grid: of a 1 mm scan a
    quarter to a half is left at 2 mm.
    """

    full: float = 0.05
    isotropic: float = 0.10
    truly_isotropic: bool = False
    max_isotropic: float = 4.0
    max_anisotropic: float = 8.0
    blur_jitter: float = 1.03
    noise: Range = (0.0, 0.0)
    noise_probability: float = 0.0
    partial_view: float = 0.0
    partial_view_share: float = 0.4


@dataclass(frozen=True)
class Anatomy:
    """Probabilities and ranges of the morphology steps, and of removing the head or the CSF.

    ``atrophy`` is the probability of a brain that has lost volume in many places at once; in it the steps for
    ventricles, cortex and hippocampi are not made for themselves: `SynthSegPlusLib.synthesis.draw.draw_atrophy`.
    """

    ventricles: float = 0.0
    ventricles_mm: Range = (0.0, 4.0)
    cortex: float = 0.0
    cortex_mm: Range = (-1.0, 1.0)
    lesions: float = 0.0
    lesion_threshold: Range = (1.5, 3.5)
    lesion_spacing: float = 8.0
    hippocampi: float = 0.0
    hippocampi_volume: Range = (0.45, 1.2)  # times their own; the same on both sides in half of the scans
    amygdalae: float = 0.0
    amygdalae_volume: Range = (0.4, 1.2)  # likewise
    horns: float = 0.0
    horns_mm3: Range = (0.0, 2500.0)  # what an inferior lateral ventricle gains; likewise
    atrophy: float = 0.0
    strip_skull: float = 0.0
    strip_csf: float = 0.0

    def __post_init__(self) -> None:
        for name in ("ventricles", "cortex", "lesions", "hippocampi", "amygdalae", "horns", "atrophy", "strip_skull",
                     "strip_csf"):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise OptionsError(f"The generator's anatomy.{name} is {getattr(self, name)}; give a share of 0 to 1.")
        grows = self.ventricles_mm[1] < 0 or self.cortex_mm[1] < 0 or self.hippocampi_volume[0] > 1
        if self.atrophy and grows:
            raise OptionsError(
                "The generator's anatomy.atrophy needs ventricles_mm and cortex_mm that reach to 0 or above and "
                f"hippocampi_volume that begins at 1 or below, not {self.ventricles_mm}, {self.cortex_mm} and "
                f"{self.hippocampi_volume}."
            )


@dataclass(frozen=True)
class GeneratorConfig:
    """Everything that the generative model draws from. ``shape`` is in voxels of ``resolution`` mm.

    ``oversampling``, for grids coarser than 1 mm: a scan is made on a grid this many times finer and brought to
    ``resolution`` as a real one is, so that its voxels hold some of several structures
    (`SynthSegPlusLib.synthesis.reduction`). Time and memory of generation grow with its cube.
    """

    resolution: float = 1.0
    shape: tuple[int, int, int] = (160, 160, 160)
    oversampling: int = 1
    deformation: Deformation = field(default_factory=Deformation)
    intensity: Intensity = field(default_factory=Intensity)
    acquisition: Acquisition = field(default_factory=Acquisition)
    anatomy: Anatomy = field(default_factory=Anatomy)

    def __post_init__(self) -> None:
        if self.resolution <= 0:
            raise OptionsError(f"The generator's resolution is {self.resolution} mm; it must be above 0.")
        if len(self.shape) != 3 or min(self.shape) < 8:
            raise OptionsError(f"The generator's shape is {self.shape}; give three sides of at least 8 voxels.")
        if type(self.oversampling) is not int or self.oversampling < 1:
            raise OptionsError(
                f"The generator's oversampling is {self.oversampling}; give a whole number of at least 1."
            )
        if not 0 <= self.intensity.fluid_alike <= 1:
            raise OptionsError(
                f"The generator's intensity.fluid_alike is {self.intensity.fluid_alike}; give a correlation of 0 to 1."
            )

    @property
    def fine_resolution(self) -> float:
        """Voxel size (mm) of the grid on which a scan is made."""
        return self.resolution / self.oversampling

    @property
    def fine_shape(self) -> tuple[int, int, int]:
        """Voxels of the grid on which a scan is made."""
        x, y, z = (side * self.oversampling for side in self.shape)
        return x, y, z

    def to_dict(self) -> dict[str, Any]:
        """Plain values for TOML or JSON."""
        return dataclasses.asdict(self)


REAL_CONTRASTS = ("T1", "T2", "FLAIR", "PD", "DBS", "CT")

_CODE = GeneratorConfig(
    # 0.04 of the size is a control point every 25 voxels; the code's velocities are in half-resolution voxels (2 mm).
    deformation=Deformation(elastic_std=(0.0, 8.0), elastic_amplitude=0.5, outside="edge"),
    anatomy=Anatomy(strip_csf=0.3),
)
_PAPER = GeneratorConfig(
    # Billot et al., Medical Image Analysis 86 (2023), table of hyperparameters.
    deformation=Deformation(
        rotation=20.0, shearing=0.015, translation=30.0, elastic_std=(0.0, 4.0), elastic_spacing=16.0, outside="edge",
    ),
    intensity=Intensity(mean=(0.0, 255.0), std=(0.0, 35.0), bias_std=0.6, gamma_std=0.4),
    acquisition=Acquisition(max_isotropic=9.0, max_anisotropic=9.0, isotropic=0.5, truly_isotropic=True,
                            blur_jitter=1.05),
)  # fmt: skip
_FAST = GeneratorConfig(
    deformation=Deformation(
        rotation=20.0, shearing=0.015, elastic_std=(0.0, 5.0), elastic_spacing=30.0, crop_jitter=20.0,
    ),
    intensity=Intensity(
        mean=(0.0, 255.0), std=(0.0, 25.0), zero_background=0.15, dark_background=0.4, tie_sides=0.7, contrast=0.35,
        contrasts=REAL_CONTRASTS, fluid_alike=0.95, bias_std=0.6, gamma_std=0.4, rescale_percentiles=True,
    ),
    acquisition=Acquisition(
        full=0.25, isotropic=0.35, truly_isotropic=True, noise=(0.0, 0.04), noise_probability=0.9, partial_view=0.1,
    ),
    # Amygdalae and horns are for the configurations of S and S2 to ask for; the accuracy benchmark's scans keep theirs.
    anatomy=Anatomy(ventricles=0.25, cortex=0.25, lesions=0.25, hippocampi=0.25, strip_skull=0.35, strip_csf=0.3),
)  # fmt: skip
_DEGRADED = replace(
    _FAST,
    deformation=replace(_FAST.deformation, scaling=0.15, rotation=15.0, shearing=0.012),
    intensity=replace(_FAST.intensity, bias_std=0.9, gamma_std=0.6, std=(0.0, 45.0)),
    acquisition=replace(_FAST.acquisition, full=0.05, isotropic=0.45, max_isotropic=6.0, max_anisotropic=9.0,
                        noise=(0.02, 0.25), noise_probability=0.95, partial_view=0.3),
)  # fmt: skip

PRESETS: dict[str, GeneratorConfig] = {"code": _CODE, "paper": _PAPER, "fast": _FAST, "degraded": _DEGRADED}
"""code: the released training scripts; paper: the published table; fast: this project's recipe; degraded: strongly
degraded scans, on which the denoiser and the quality network learn what goes wrong."""


def generator_config(values: Mapping[str, Any] | None = None, preset: str = "fast") -> GeneratorConfig:
    """A preset with some entries replaced, e.g. ``{"resolution": 2, "intensity": {"contrast": 0}}``.

    ``values`` may name the preset itself under "preset". `OptionsError` names an unknown entry.
    """
    values = dict(values or {})
    preset = values.pop("preset", preset)
    if preset not in PRESETS:
        raise OptionsError(f"The generator preset {preset!r} is unknown; choose {', '.join(PRESETS)}.")
    return _override(PRESETS[preset], values, "generator")


def _override(base: Any, values: Mapping[str, Any], where: str) -> Any:
    known = {entry.name for entry in dataclasses.fields(base)}
    changes = {}
    for name, value in values.items():
        if name not in known:
            raise OptionsError(f"{where} has no entry {name!r}; it has {', '.join(sorted(known))}.")
        current = getattr(base, name)
        if dataclasses.is_dataclass(current):
            changes[name] = _override(current, value, f"{where}.{name}")
        else:
            changes[name] = tuple(value) if isinstance(value, list) else value
    return replace(base, **changes)
