"""From the posteriors of a scan to everything that is measured: volumes, parcels, quality."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from SynthSegPlusLib.contract import MeasuresTable, QualityReport
from SynthSegPlusLib.inference._cascade import STAGE_TITLES, Cascade, Segmented
from SynthSegPlusLib.inference._parcellate import prepare_parcellation
from SynthSegPlusLib.inference._parcels import Parcels
from SynthSegPlusLib.inference._rules import SecondOpinion
from SynthSegPlusLib.inference._soft import SoftLabels
from SynthSegPlusLib.inference.measures import intracranial_volume, parcel_volumes, table_of
from SynthSegPlusLib.inference.quality import (
    calibrated_scores,
    denoiser_agreement,
    quality_inputs,
    region_agreement,
    report_of,
)


@dataclass
class Measured:
    """Numbers and maps of a scan before they are brought to the grid that was asked for.

    channels: final channel map, uint8. quality_parts: what the scores were made of, by part and region. soft: the
    posteriors, where they were asked for.
    """

    channels: np.ndarray
    parcels: Parcels | None
    table: MeasuresTable
    icv_mm3: float | None
    quality: QualityReport | None
    quality_parts: dict[str, dict[str, float | None]] | None
    denoiser_quality: QualityReport | None
    soft: SoftLabels | None

    @classmethod
    def of(cls, cascade: Cascade, found: Segmented) -> Measured:
        """Run S3 and R where they are asked for, and measure. Takes the posteriors away from ``found``."""
        options, model_set, table = cascade.options, cascade.model_set, cascade.table
        final = found.soft.channel_map()
        voxel = cascade.conformed.voxel_volume_mm3
        volumes = found.soft.sums() * voxel
        run_parcellation = prepare_parcellation(cascade, found, final) if options.parcellation else None
        soft = found.soft if options.posteriors else None
        found.soft = None  # type: ignore[assignment]  # 33 channels whose memory the next networks can use
        parcels = run_parcellation() if run_parcellation else None
        quality, parts = _score(cascade, found) if options.quality else (None, None)
        agreement = None
        if options.quality_from_denoiser and found.corrected is not None:
            structures = found.channels if found.opinions is None else found.opinions[0]  # S2's
            agreement = denoiser_agreement(
                found.corrected, structures, table, model_set.tissues, options.qc_threshold
            )
        parcel_mm3 = None
        if parcels is not None:
            to_white_matter = options.compatibility and options.label_version == "2.0"
            rule = model_set.parcel_rule.combination
            parcel_mm3 = parcel_volumes(parcels, volumes, voxel, table, rule, to_white_matter)
        measures = table_of(volumes, table, model_set.qc_regions, quality, parcel_mm3)
        return cls(final, parcels, measures, intracranial_volume(volumes, table), quality, parts, agreement, soft)


def _score(cascade: Cascade, found: Segmented) -> tuple[QualityReport, dict[str, dict[str, float | None]]]:
    """Scores of the regions, and what they were made of, by part: R's own (None: no number), and the others that the
    set's rule names.
    """
    model_set, regions, threshold = cascade.model_set, cascade.model_set.qc_regions, cascade.options.qc_threshold
    rule = model_set.scoring(cascade.options.mode)
    opinions = found.opinions
    if opinions is None and isinstance(rule, SecondOpinion):
        opinions = found.channels, cascade.second_opinion()
    with cascade.stages.stage(STAGE_TITLES["quality"]):
        inputs = quality_inputs(found.channels, cascade.table, regions, model_set.quality)
        raw = cascade.pool.run(
            "quality", lambda net: net.predict(inputs, cascade.stages.update, cascade.stages.is_cancelled)
        )
    own = report_of(raw, regions, threshold)
    parts: dict[str, dict[str, float | None]] = {
        "regressor": {region.name: region.score if math.isfinite(region.score) else None for region in own.regions}
    }
    if rule is None:
        return own, parts
    others = {"confidence": found.confidence if rule.confidence else None, "agreement": None}
    if opinions is not None and isinstance(rule, SecondOpinion):
        others["agreement"] = region_agreement(*opinions, cascade.table, regions)
    for name, values in others.items():
        if values is not None:
            parts[name] = dict(zip(parts["regressor"], values.tolist(), strict=True))
    return report_of(calibrated_scores(rule, raw, **others), regions, threshold), parts
