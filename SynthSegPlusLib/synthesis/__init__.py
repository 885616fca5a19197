"""The generative model: synthetic scans of any contrast and resolution from label maps (Billot et al., 2023).

Parameters are drawn first (numpy), then applied deterministically on any Keras backend. Importing this package
imports neither Keras nor a backend.
"""

from __future__ import annotations

from SynthSegPlusLib.synthesis.config import PRESETS, GeneratorConfig, generator_config
from SynthSegPlusLib.synthesis.draw import Draw, draw
from SynthSegPlusLib.synthesis.generator import Generator, Sample
from SynthSegPlusLib.synthesis.label_maps import (
    LabelMap,
    LabelSpace,
    find_label_maps,
    label_space,
    make_label_map,
    read_label_map,
)

__all__ = [
    "PRESETS",
    "Draw",
    "Generator",
    "GeneratorConfig",
    "LabelMap",
    "LabelSpace",
    "Sample",
    "draw",
    "find_label_maps",
    "generator_config",
    "label_space",
    "make_label_map",
    "read_label_map",
]
