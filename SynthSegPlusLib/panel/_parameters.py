"""What the user chose, kept in the scene."""

import enum
from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from SynthSegPlusLib.contract.options import QC_THRESHOLD, SegmentOptions

# No "from __future__ import annotations" here: the wrapper reads the annotations themselves, not their text.


class Mode(enum.Enum):
    """The modes that the panel offers; those for studies are reached from the console."""

    ROBUST = "robust"
    DEFAULT = "default"
    FAST = "fast"

    def label(self) -> str:
        return {
            Mode.ROBUST: _("Robust - clinical scans of any quality"),
            Mode.DEFAULT: _("Default - good scans"),
            Mode.FAST: _("Fast - quickest, least corrected"),
        }[self]


class Device(enum.Enum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"

    def label(self) -> str:
        return {Device.AUTO: _("Automatic"), Device.CPU: _("Processor (CPU)"), Device.GPU: _("Graphics (GPU)")}[self]


class Shown(enum.Enum):
    """Which labelmap the slice views show."""

    SEGMENTATION = "segmentation"
    PARCELLATION = "parcellation"


class ColourBy(enum.Enum):
    """What the colours of both labelmaps say."""

    ANATOMY = "anatomy"
    QUALITY = "quality"


@parameterNodeWrapper
class SynthSegPlusParameterNode:
    """The module's parameters.

    inputVolume - the scan to segment
    mode, parcellation, quality, threshold, ct, nativeGrid, resampled - what to compute; see `SegmentOptions`
    device, threads - where to compute; 0 threads are all
    modelFolder - a model set's folder; empty takes the first that is found
    shown, colourBy, opacity, outline - how the result is displayed
    """

    inputVolume: vtkMRMLScalarVolumeNode
    mode: Mode = Mode.ROBUST
    parcellation: bool = False
    quality: bool = True
    threshold: Annotated[float, WithinRange(0.0, 1.0)] = QC_THRESHOLD
    ct: bool = False
    nativeGrid: bool = False
    resampled: bool = False
    device: Device = Device.AUTO
    threads: Annotated[int, WithinRange(0, 256)] = 0
    modelFolder: str = ""
    shown: Shown = Shown.SEGMENTATION
    colourBy: ColourBy = ColourBy.ANATOMY
    opacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    outline: bool = False


def optionsOf(parameters: SynthSegPlusParameterNode, roles: frozenset[str]) -> SegmentOptions:
    """The engine's options; what the model set has no role for is left out, as its greyed box says."""
    return SegmentOptions(
        mode=parameters.mode.value,
        parcellation=parameters.parcellation and "parcellation" in roles,
        quality=parameters.quality and "quality" in roles,
        ct=parameters.ct,
        qc_threshold=parameters.threshold,
        grid="native" if parameters.nativeGrid else "1mm",
    )
