"""Priors of named contrasts: mean intensity of each kind of tissue, in 0..255, and how far it may stray.

The numbers are this project's own, set from the textbook order of tissues in each contrast (T1: fat, white matter, grey
matter, fluid; T2: fluid, grey, white; FLAIR: lesion, grey, white, dark fluid; PD: grey above white, bright fluid; DBS:
T1-like with bright pallidum and thalamus alike and little grey-white contrast; CT: bone, then blood, grey, white,
fluid, air, in a brain window). Left and right are tied.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.labels import generation_labels

MEAN_SPREAD = 10.0
"""Standard deviation of a class mean between scans of one contrast."""
STD_RANGE = (3.0, 14.0)
"""Range of the standard deviation within a class."""

_KINDS: dict[str, tuple[int, ...]] = {
    "air": (0,),
    "fluid": (14, 15, 24, 72, 4, 5, 43, 44),
    "white": (2, 41, 7, 46, 85, 530),
    "brainstem": (16, 28, 60),
    "cortex": (3, 42, 8, 47),
    "thalamus": (10, 49),
    "striatum": (11, 12, 26, 50, 51, 58),
    "pallidum": (13, 52),
    "hippocampus": (17, 18, 53, 54),
    "lesion": (25, 57),
    "vessel": (30, 62, 502, 514),
    "choroid": (136, 137, 163, 164),
    "soft": (507, 508, 509, 512),
    "skin": (511,),
    "eye": (506,),
    "bone": (515,),
    "marrow": (516,),
}

_LATERAL_VENTRICLES = (4, 43)

_MEANS: dict[str, dict[str, float]] = {
    "T1": dict(air=3, fluid=35, white=185, brainstem=165, cortex=120, thalamus=145, striatum=125, pallidum=165,
               hippocampus=115, lesion=120, vessel=60, choroid=80, soft=110, skin=180, eye=40, bone=20, marrow=150),
    "T2": dict(air=3, fluid=225, white=80, brainstem=85, cortex=120, thalamus=100, striatum=105, pallidum=70,
               hippocampus=130, lesion=160, vessel=40, choroid=190, soft=90, skin=140, eye=215, bone=20, marrow=90),
    "FLAIR": dict(air=3, fluid=25, white=105, brainstem=110, cortex=140, thalamus=120, striatum=130, pallidum=100,
                  hippocampus=150, lesion=215, vessel=40, choroid=90, soft=95, skin=140, eye=30, bone=15, marrow=90),
    "PD": dict(air=3, fluid=190, white=120, brainstem=130, cortex=165, thalamus=145, striatum=155, pallidum=130,
               hippocampus=165, lesion=180, vessel=50, choroid=175, soft=120, skin=165, eye=180, bone=20, marrow=120),
    "DBS": dict(air=3, fluid=60, white=135, brainstem=125, cortex=155, thalamus=120, striatum=140, pallidum=90,
                hippocampus=150, lesion=160, vessel=45, choroid=120, soft=110, skin=160, eye=80, bone=25, marrow=120),
    "CT": dict(air=2, fluid=55, white=95, brainstem=100, cortex=115, thalamus=112, striatum=112, pallidum=108,
               hippocampus=112, lesion=85, vessel=130, choroid=100, soft=115, skin=80, eye=60, bone=245, marrow=215),
}  # fmt: skip

CONTRASTS = tuple(_MEANS)


def strayed(strays: np.ndarray, fluid_alike: float) -> np.ndarray:
    """How far the mean of every generation label strays, of ``strays`` float64 [54], each drawn alone but
    for sides that are alike; a new array.

    The fluids follow the lateral ventricles', with a correlation of ``fluid_alike``; all stray as far as before.
    """
    values = generation_labels().values
    lead = strays[np.flatnonzero(values == _LATERAL_VENTRICLES[0])[0]]
    follows = np.isin(values, _KINDS["fluid"]) & ~np.isin(values, _LATERAL_VENTRICLES)
    return np.where(follows, fluid_alike * lead + np.sqrt(1 - fluid_alike**2) * strays, strays)


@cache
def contrast_means(name: str) -> np.ndarray:
    """Mean intensity (0..255) of every generation label in a named contrast, float64 [54], left and right alike."""
    if name not in _MEANS:
        raise OptionsError(f"The contrast {name!r} is unknown; choose {', '.join(CONTRASTS)}.")
    kind_of = {value: kind for kind, values in _KINDS.items() for value in values}
    means = np.array([_MEANS[name][kind_of[int(value)]] for value in generation_labels().values], float)
    means.setflags(write=False)
    return means
