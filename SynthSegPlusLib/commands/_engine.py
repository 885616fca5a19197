"""The command line's side of the engine: the model set and options of a run, and one scan through both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from SynthSegPlusLib import __version__
from SynthSegPlusLib.cohort.files import replacing
from SynthSegPlusLib.cohort.naming import Job
from SynthSegPlusLib.cohort.outcomes import Outcome
from SynthSegPlusLib.cohort.tables import PublishedTables
from SynthSegPlusLib.contract import Finding, ModelError, OptionsError, SegmentOptions
from SynthSegPlusLib.inference.model_set import ModelSet, Role
from SynthSegPlusLib.labels import parcels, structures

READING = "Reading"


class Listener(Protocol):
    """Hears how a scan is getting on."""

    def note(self, text: str) -> None: ...

    def stage(self, name: str, fraction: float, overall: float) -> None: ...

    def finding(self, finding: Finding) -> None: ...


@dataclass(frozen=True)
class Choice:
    """A model set and options that fit together."""

    model_set: ModelSet
    options: SegmentOptions

    def roles(self) -> list[Role]:
        """Networks of the run, in the order in which they run; `ModelError` names one that the set lacks."""
        names = self.model_set.needed_roles(self.options)
        if self.options.quality_from_denoiser and "denoiser" not in names:
            raise OptionsError(
                f"--qc-from-denoiser needs a mode that runs the denoiser, and {self.options.mode} does not; for "
                "example --robust."
            )
        return [self.model_set.require(name) for name in names]

    def request(self) -> dict[str, Any]:
        """What decides a result besides the scan; JSON-ready."""
        scoring = self.model_set.scoring(self.options.mode) if self.options.quality else None
        rule = {name: list(values) for name, values in vars(scoring).items() if values} if scoring else None
        averages = self.model_set.averages_segmenter(self.options.mode)
        return {
            "version": __version__,
            "options": self.options.to_dict(),
            "model_set": {
                "name": self.model_set.name,
                "version": self.model_set.version,
                "files": {role.name: role.verify().sha256 for role in self.roles()},
                **({"scoring": rule} if rule else {}),
                **self.model_set.postprocessing.described(averages),
            },
        }

    def tables(self) -> PublishedTables:
        """The published CSV files of this run."""
        options = self.options
        labels = [label for label in structures(options.label_version) if label.value != 0]
        labels += [label for label in parcels() if label.value != 0 and options.parcellation]
        return PublishedTables(
            labels=tuple((label.value, label.name) for label in labels),
            regions=tuple(self.model_set.qc_regions.names[1:]),
            total=options.label_version != "1.0",
            single_precision=options.compatibility and options.crop is None,
            keep_failed=not options.compatibility,
        )


def choose(models: str | None, options: SegmentOptions) -> Choice:
    """The model set to use, and proof that it has every network that the options need.

    A mode that the set cannot run is an error that names those it can: nothing is replaced in silence.
    """
    choice = Choice(ModelSet.find(models), options)
    try:
        choice.roles()
    except ModelError as error:
        able = choice.model_set.modes
        if options.mode in able or not able:
            raise
        raise ModelError(f"Mode {options.mode} cannot run. {error} For example: --mode {able[0]}.") from error
    return choice


class Engine:
    """Does one scan after the other. A backend is started only when a scan has been read and found usable.

    Parameters
    ----------
    backend, device, threads
        As `choose_backend` takes them; None and "auto" leave the choice to it.
    keep
        Keep the networks in memory for the next scan.
    """

    def __init__(
        self, choice: Choice, listener: Listener, backend: str | None = None, device: str = "auto",
        threads: int | None = None, keep: bool = False,
    ) -> None:  # fmt: skip
        from SynthSegPlusLib.inference import Segmenter

        self._listener = listener
        self._silent = False
        self._ct = choice.options.ct
        self._segmenter = Segmenter(
            choice.model_set, choice.options, backend=backend, device=device, threads=threads, keep_networks=keep
        )

    def __call__(self, job: Job) -> Segmented:
        """Read and segment one scan; nothing is written yet."""
        from SynthSegPlusLib.volume import Volume, check

        self._listener.stage(READING, 0.0, 0.0)
        volume = Volume.read(job.scan)
        # The engine checks too; looking twice costs little and warns before the waiting, not after it.
        seen = check(volume, ct=self._ct)
        for finding in seen:
            self._listener.finding(finding)
        result = self._segmenter.segment(volume, progress=self._progress)
        for finding in result.findings[len(seen) :]:  # about the result
            self._listener.finding(finding)
        for warning in result.record.get("warnings", ()):
            self._listener.note(f"warning: {warning}")
        return Segmented(job, volume, result)

    def _progress(self, stage: str, fraction: float, overall: float) -> None:
        self._name_the_device()
        self._listener.stage(stage, fraction, overall)

    def _name_the_device(self) -> None:
        """Once, as soon as it is known."""
        from SynthSegPlusLib.networks import chosen_backend

        chosen = None if self._silent else chosen_backend()
        if chosen is not None:
            self._silent = True
            self._listener.note(f"running on {chosen.description}")


@dataclass(frozen=True)
class Segmented:
    """A scan and its result, with the files that go with it."""

    job: Job
    scan: Any
    result: Any

    @property
    def outcome(self) -> Outcome:
        result = self.result
        return Outcome(
            self.job.scan, self.job.subject, "done", "", result.volumes, result.icv_mm3, result.quality,
            tuple(finding.code for finding in result.findings if finding.severity != "info"),
        )  # fmt: skip

    @property
    def record(self) -> Mapping[str, Any]:
        return self.result.record

    @property
    def labels(self) -> Any:
        """The label map that is written: with parcels where there are any."""
        return self.result.labels if self.result.parcellation is None else self.result.parcellation

    def write(self, job: Job) -> dict[str, Path | None]:
        """Write every file that was asked for; the published data types (int32 labels, float32 posteriors)."""
        written: dict[str, Path | None] = {"segmentation": self.labels.write(job.segmentation, dtype=np.int32)}
        if job.posteriors is not None:
            written["posteriors"] = self.result.posteriors.write(job.posteriors, dtype=np.float32)
        if job.resampled is not None:
            resampled = self.result.resampled
            written["resampled"] = None if resampled is None else resampled.write(job.resampled)
        if job.picture is not None:
            written["picture"] = self.draw(job.picture)
        return {name: None if path is None else Path(path) for name, path in written.items()}

    def draw(self, path: Path) -> Path:
        """The pictures of this result; the one coloured by quality lies beside the first."""
        from SynthSegPlusLib.report import Subject, draw_pictures, qc_path

        result = self.result
        subject = Subject(self.job.subject, self.scan, self.labels, result.volumes, result.icv_mm3, result.quality)
        figures = draw_pictures(subject)
        for target, figure in zip((path, qc_path(path)), figures, strict=False):
            with replacing(target) as partial:
                figure.savefig(partial, format=target.suffix[1:])
        return path
