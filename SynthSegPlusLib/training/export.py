"""From trained weights to a model set: files with checksums and the description that the engine reads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.inference._rules import Postprocessing
from SynthSegPlusLib.inference.model_set import DESCRIPTION_FILE, SCHEMA, ModelSet
from SynthSegPlusLib.networks import read_weights, write_weights
from SynthSegPlusLib.networks._specs import BATCH_NORM_EPSILON
from SynthSegPlusLib.training.pairs import CSF
from SynthSegPlusLib.training.tasks import role_spec

Weights = dict[str, dict[str, np.ndarray]]
_LARGEST_VARIANCE = 1e4  # float16 ends at 65504
CITATION = (
    "Billot et al., Robust machine learning segmentation for large-scale analysis of heterogeneous clinical brain MRI "
    "datasets, PNAS 120(9) e2216399120 (2023)"
)


@dataclass(frozen=True)
class TrainedRole:
    """A trained network: its role, weight file, and the free numbers of its architecture."""

    role: str
    weights: Path
    network: Mapping[str, Any]


def write_model_set(
    folder: Path, roles: Sequence[TrainedRole], *, name: str, title: str, description: str, version: str = "1",
    licence: str = "Apache-2.0", resolution: float = 1.0, grid: tuple[int, int, int] = (224, 224, 224),
    multiple: int = 16, rank: int = 1, dtype: str = "float16", view_mm: tuple[int, int, int] | None = None,
    flip_cascade: bool = False, segmenter_share: float = 0.0, appearance: float = 0.0,
    refinement: float = 0.0, gaps_mm: float = 0.0,
    tails: float = Postprocessing.tails, posterior_threshold: float = Postprocessing.posterior_threshold, cell: int = 1,
) -> ModelSet:  # fmt: skip
    """Write weights (as ``dtype``) and ``model_set.json`` into ``folder``, and load the set to prove it complete.

    ``grid`` is R's input in voxels of ``resolution`` mm; the scan is padded to ``multiple`` voxels. ``view_mm`` is the
    box about the brain (R, A, S) that the networks saw in training, None where it was anywhere in the head.
    ``flip_cascade`` averages S1, S2 and S3 with the mirror image; ``segmenter_share`` is S's share in the structures of
    robust mode; ``appearance`` is how much intensities say about labels on the way to 1 mm, ``refinement`` how much the
    refiner does after them, and CSF fills gaps of the brain up to twice ``gaps_mm`` wide. ``tails`` and
    ``posterior_threshold`` are those of `Postprocessing`. R works on cells of ``cell`` voxels a side.
    """
    if not roles:
        raise OptionsError("A model set needs at least one trained network; name role=weights.h5.")
    folder.mkdir(parents=True, exist_ok=True)
    described = {}
    for one in roles:
        spec = role_spec(one.role, one.network)
        file = folder / f"{one.role}.h5"
        weights = within_half(read_weights(one.weights, spec.layers()))
        write_weights(weights, file, dtype)  # type: ignore[arg-type]
        file.chmod(0o644)  # made through a private temporary file, but a model set is for everybody
        described[one.role] = {"file": file.name, "sha256": sha256(file), "network": spec.to_dict()}
    values = {
        "schema": SCHEMA, "name": name, "title": title, "version": version, "licence": licence, "citation": CITATION,
        "description": description, "source": "Train it again with `synthsegplus train`; see docs/training.md.",
        "rank": rank, "working_resolution_mm": resolution, "field_of_view_mm": view_mm and list(view_mm),
        "scheme": "centred",
        "padding": {"multiple": multiple, "minimum": 0}, "label_table": "2.0", "tissue_grouping": "published",
        "qc_regions": "paper",
        "postprocessing": {
            "segmenter_sigma": 0, "structure_sigma": 0, "parcellation_sigma": 0, "flip_cascade": flip_cascade,
            "segmenter_share": segmenter_share, "appearance": appearance,
            "refinement": refinement, "gaps_mm": gaps_mm,
            "tails": tails, "posterior_threshold": posterior_threshold,
        },
        "quality": {"grid": list(grid), "ignored_labels": [CSF], "cell": cell},
        "roles": described,
    }  # fmt: skip
    if "quality" not in described:
        del values["quality"]
    if view_mm is None:
        del values["field_of_view_mm"]
    partial = folder / f".{DESCRIPTION_FILE}.part"
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / DESCRIPTION_FILE)
    return ModelSet.load(folder)


def within_half(weights: Weights) -> Weights:
    """The same network with variances that float16 can hold.

    A batch norm computes gamma (x - mean) / sqrt(variance + e) + beta, so a variance that is too large is set to 1 and
    gamma divided by what it was.
    """
    found = {}
    for layer, values in weights.items():
        found[layer] = dict(values)
        if "moving_variance" in values:
            variance = values["moving_variance"]
            new = np.where(variance > _LARGEST_VARIANCE, 1.0, variance)
            scale = np.sqrt((new + BATCH_NORM_EPSILON) / (variance + BATCH_NORM_EPSILON))
            found[layer] |= {"moving_variance": new, "gamma": values["gamma"] * scale}
    return found


def sha256(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
