"""The engine's front: a scan in, labels, volumes and verdicts out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from SynthSegPlusLib.contract import Finding, InputError, OptionsError, SegmentOptions
from SynthSegPlusLib.inference import _record
from SynthSegPlusLib.inference._cascade import POSTPROCESSING, SINGLE, STAGE_TITLES, Cascade
from SynthSegPlusLib.inference._measure import Measured
from SynthSegPlusLib.inference._memory import check_look, check_memory
from SynthSegPlusLib.inference._plausible import implausible, unseen
from SynthSegPlusLib.inference._pool import NetworkPool
from SynthSegPlusLib.inference._progress import CancelFlag, Report, Stages
from SynthSegPlusLib.inference._restore import Restorer
from SynthSegPlusLib.inference._window import brain_box
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.inference.result import Result
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import Chosen, Inputs, choose_backend
from SynthSegPlusLib.volume import Conformed, Volume, check, conform

PREPARING = "Preparing the scan"
FINISHING = "Finishing"

STAGE_SHARES = {
    PREPARING: 4.0, "segmenter": 46.0, "tissue": 46.0, "denoiser": 51.0, "structure": 46.0, "parcellation": 55.0,
    "second opinion": 46.0, "quality": 58.0, POSTPROCESSING: 6.0, FINISHING: 4.0,
}  # fmt: skip
"""Expected shares of the time, CPU seconds of the reference on a whole head at 1 mm."""

TO_OUTPUT = 5
"""So many times the share has the postprocessing that brings posteriors from a coarser grid to 1 mm."""

REFINER_SHARE = 150.0
"""What the refiner adds to it (robust mode of the bundled set, whose networks see the mirror image too)."""


class Segmenter:
    """Segments scans with one model set and one choice of options.

    Parameters
    ----------
    model_set
        The networks; None takes `ModelSet.find()`.
    options
        A `SegmentOptions`; its fields can also be given as keywords, which win.
    backend, device, threads
        As `choose_backend`; fixed for the process when the first scan runs.
    keep_networks
        Keep the networks loaded for the next scan: faster, for the memory of their weights.

    Raises
    ------
    ModelError
        The set lacks a network that the options need; the message names it.
    OptionsError
        The options contradict each other.

    Examples
    --------
    >>> segmenter = Segmenter(ModelSet.find(), mode="fast")  # doctest: +SKIP
    >>> segmenter.segment(Volume.read("t1.nii.gz")).icv_mm3  # doctest: +SKIP
    1517340.2
    """

    def __init__(self, model_set: ModelSet | None = None, options: SegmentOptions | None = None, *,
                 backend: str | None = None, device: str = "auto", threads: int | None = None,
                 keep_networks: bool = False, **fields: Any):  # fmt: skip
        self.model_set = model_set or ModelSet.find()
        self.options = _options(options, fields)
        self.roles = self.model_set.needed_roles(self.options)
        for role in self.roles:
            self.model_set.require(role)
        if self.options.quality_from_denoiser and "denoiser" not in self.roles:
            raise OptionsError(
                f"Mode {self.options.mode!r} does not run the denoiser, so it can give no quality estimate from it; "
                f"choose mode 'robust', or leave this estimate out."
            )
        self._backend, self._device, self._threads = backend, device, threads
        self._keep = keep_networks
        self._pool: NetworkPool | None = None

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Stages of a run, in order, as progress names them."""
        return tuple(name for name, _ in self._plan())

    def segment(
        self, volume: Volume, progress: Report | None = None, cancelled: CancelFlag | None = None
    ) -> Result:
        """Segment one scan [x, y, z].

        Parameters
        ----------
        progress
            Called with the stage's name, its fraction, and the overall fraction.
        cancelled
            Asked often; once it says True, `Cancelled` is raised.

        Raises
        ------
        InputError
            The scan cannot be segmented (a finding of severity "error").
        ModelError, BackendError, MemoryShortage
            As their messages say.
        Cancelled
            The user asked to stop.
        """
        started = _record.now()
        stages = Stages(self._plan(), progress, cancelled)
        findings, chosen, cascade = self._prepared(volume, stages)
        conformed, pool = cascade.conformed, cascade.pool
        found = cascade.run()
        measured = Measured.of(cascade, found)
        findings += implausible(measured.table, findings, self.options.crop is not None) + unseen(found.border_seen)
        with stages.stage(FINISHING):
            record = self._record(started, volume, chosen, measured, findings, stages, pool)
            record["grid"] = {"working": list(conformed.image.shape), "output": list(conformed.output_shape)}
            result = self._result(conformed, cascade, measured, findings, record)
        record["timings"] = stages.timings
        record["peak_memory_bytes"] = _record.peak_memory()
        return result

    def coarse(self, volume: Volume) -> tuple[Conformed, np.ndarray]:
        """What the networks alone make of a scan, before anything brings it to 1 mm: what the refiner learns from.

        Returns the conformed scan, and posteriors float32 [X, Y, Z, C] on its padded working grid, in which gaps of the
        brain are filled. Raises as `segment` does, and `OptionsError` where the networks work at 1 mm themselves.
        """
        if self.model_set.working_resolution_mm <= 1:
            raise OptionsError(
                f"The networks of {self.model_set.name!r} work at {self.model_set.working_resolution_mm:g} mm, and "
                f"nothing brings their posteriors to 1 mm."
            )
        return self._prepared(volume, Stages(self._plan(), None, None))[2].coarse()

    def _prepared(self, volume: Volume, stages: Stages) -> tuple[tuple[Finding, ...], Chosen, Cascade]:
        with stages.stage(PREPARING):
            findings = _checked(volume, self.options.ct)
            conformed = self._conform(volume)
            stages.check()
            chosen = choose_backend(self._backend, self._device, self._threads)
            pool = self._networks(chosen)
            conformed = self._about_the_brain(volume, conformed, pool, stages)
            check_memory(self.model_set, self.roles, self.options, conformed, chosen.device)
        return findings, chosen, Cascade(self.model_set, self.options, conformed, pool, stages)

    def release(self) -> None:
        """Free the networks that were kept."""
        if self._pool is not None:
            self._pool.release()

    def take_networks_of(self, other: Segmenter) -> None:
        """Use the networks that another segmenter kept, where model set and precision are the same; else free them."""
        pool = other._pool
        same = pool is not None and pool.fits(self.model_set, self.options.precision)
        if same:
            self._pool = pool
        else:
            other.release()

    def _plan(self) -> list[tuple[str, float]]:
        roles = ["segmenter" if role.startswith("segmenter") else role for role in self.roles]
        mode = self.options.mode
        if mode not in SINGLE and "segmenter" in roles and not self.model_set.averages_segmenter(mode):
            roles[roles.index("segmenter")] = "second opinion"
        shares = dict(STAGE_SHARES)
        if mode == "default":
            shares["segmenter"] *= 2
        if self.model_set.working_resolution_mm > 1:
            shares[POSTPROCESSING] *= TO_OUTPUT
        if self.model_set.refines:
            shares[POSTPROCESSING] += REFINER_SHARE
        ends = [role for role in roles if role in ("parcellation", "second opinion", "quality")]
        networks = [role for role in roles if role not in (*ends, "refiner")]
        names = {**STAGE_TITLES, PREPARING: PREPARING, POSTPROCESSING: POSTPROCESSING, FINISHING: FINISHING}
        return [(names[key], shares[key]) for key in (PREPARING, *networks, POSTPROCESSING, *ends, FINISHING)]

    def _conform(
        self, volume: Volume, crop: Any = None, centre: tuple[float, float, float] | None = None
    ) -> Conformed:
        padding = self.model_set.padding
        return conform(
            volume, self.options.scheme or self.model_set.scheme, self.model_set.working_resolution_mm,
            self.options.ct, crop or self.options.crop, padding.multiple, padding.minimum, centre,
        )  # fmt: skip

    def _about_the_brain(self, volume: Volume, whole: Conformed, pool: NetworkPool, stages: Stages) -> Conformed:
        """The box of the set's field of view about the brain, found by a first look at the whole scan; a larger one
        about a brain that reaches its sides.
        """
        view = self.model_set.field_of_view_mm
        if view is None or self.options.crop is not None:
            return whole
        first = self.roles[0]  # S or S1, which take the scan alone
        check_look(self.model_set, first, self.options, whole, pool.device)

        def look(net: Any) -> np.ndarray:
            return net.argmax(Inputs(image=whole.image), stages.update, stages.is_cancelled)

        found = pool.run(first, look)
        box = brain_box(found > 0, self._is_tissue(first)[found], whole.affine, view, whole.inner)
        return whole if box is None else self._conform(volume, box.view_mm, box.centre)

    def _is_tissue(self, role: str) -> np.ndarray:
        """Which channels of the first network are brain and not the fluid around it, bool [channels]."""
        if role == "tissue":
            return np.arange(len(self.model_set.tissues)) > 0
        return self.model_set.tissues.channels(structures(self.options.label_version)) > 0

    def _networks(self, chosen: Chosen) -> NetworkPool:
        if self._pool is None or self._pool.device != chosen.device:
            self._pool = NetworkPool(self.model_set, self.options.precision, chosen.device, self._keep)
        self._pool.warnings.clear()
        return self._pool

    def _result(self, conformed: Conformed, cascade: Cascade, measured: Measured, findings: tuple[Finding, ...],
                record: dict[str, Any]) -> Result:  # fmt: skip
        restorer = Restorer(conformed, self.options.grid, on_working_grid=self.model_set.working_resolution_mm == 1)
        labels = cascade.table.values[measured.channels]
        parcellation = None
        if measured.parcels is not None:
            merged = labels.copy()
            merged.reshape(-1)[measured.parcels.index] = measured.parcels.labels
            parcellation = restorer.labels(merged)
        posteriors = restorer.posteriors(measured.soft) if measured.soft is not None else None
        return Result(
            restorer.labels(labels), parcellation, measured.table, measured.icv_mm3, measured.quality,
            measured.denoiser_quality, posteriors, findings, record,
            _resample=lambda: conformed.resampled_volume() if conformed.resampled else None,
        )  # fmt: skip

    def _record(self, started: str, volume: Volume, chosen: Chosen, measured: Measured,
                findings: tuple[Finding, ...], stages: Stages, pool: NetworkPool) -> dict[str, Any]:  # fmt: skip
        quality, agreement = measured.quality, measured.denoiser_quality
        return {
            "schema": _record.RECORD_SCHEMA,
            "started": started,
            "finished": _record.now(),
            "input": _record.describe_input(volume),
            "model_set": _record.describe_models(self.model_set, self.roles, self.options.mode),
            "options": _record.describe_options(self.options),
            "scheme": self.options.scheme or self.model_set.scheme,
            **_record.describe_machine(chosen),
            "findings": [finding.to_dict() for finding in findings],
            "warnings": list(dict.fromkeys(pool.warnings)),  # the first look may say what the run says again
            "icv_mm3": measured.icv_mm3,
            "quality": None if quality is None else quality.to_dict(),
            "quality_parts": measured.quality_parts,
            "quality_from_denoiser": None if agreement is None else agreement.to_dict(),
            "timings": stages.timings,
            "peak_memory_bytes": None,
        }


def _options(options: SegmentOptions | None, fields: dict[str, Any]) -> SegmentOptions:
    known = {field.name for field in dataclasses.fields(SegmentOptions)}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise OptionsError(f"Unknown option {', '.join(unknown)}; known are {', '.join(sorted(known))}.")
    return dataclasses.replace(options or SegmentOptions(), **fields)


def _checked(volume: Volume, ct: bool) -> tuple[Finding, ...]:
    if volume.data.ndim != 3:
        raise InputError(f"The scan has {volume.data.ndim} axes; give a single 3-D volume.")
    findings = tuple(check(volume, ct=ct))
    fatal = next((finding for finding in findings if finding.severity == "error"), None)
    if fatal is not None:
        raise InputError(f"{fatal.message} {fatal.advice}".strip())
    return findings
