"""Where each result of each scan goes: the naming rules of mri_synthseg, and those of our own outputs.

The kind of `--i` decides. A folder, or an image with a folder for output, inserts a suffix before the extension; a
list needs lists of the same length, and then every scan has its own CSV files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from SynthSegPlusLib.cohort.scans import (
    OUTPUT_EXTENSION,
    POSTERIORS_SUFFIX,
    RESAMPLED_SUFFIX,
    RESULT_SUFFIXES,
    SEGMENTATION_SUFFIX,
    Kind,
    absolute,
    kind_of,
    lines_of,
    scans_of,
    split_name,
)
from SynthSegPlusLib.contract import OptionsError, OutputError

WRITABLE = tuple(dict.fromkeys(OUTPUT_EXTENSION.values()))
# Names that can only be meant as a file, although no result can be written so.
UNWRITABLE = (".img", ".hdr", ".csv", ".json", ".png", ".pdf", ".h5", ".gz", ".zip", ".txt")

PICTURE_FORMATS = (".png", ".pdf", ".svg")
RECORD_FORMATS = (".json",)
FAILURES_NAME = "failed_scans.csv"


@dataclass(frozen=True)
class Asked:
    """Paths as the user gave them; None where an output is not wanted (the record is always written)."""

    scans: str
    segmentations: str
    posteriors: str | None = None
    resampled: str | None = None
    volumes: str | None = None
    quality: str | None = None
    picture: str | None = None
    record: str | None = None
    table: str | None = None


@dataclass(frozen=True)
class Job:
    """One scan and the absolute paths of its results; None where a result is not wanted."""

    scan: Path
    subject: str
    segmentation: Path
    record: Path
    posteriors: Path | None = None
    resampled: Path | None = None
    volumes: Path | None = None
    quality: Path | None = None
    picture: Path | None = None

    def outputs(self) -> Iterator[tuple[str, Path]]:
        """Name and path of every file that is wanted."""
        for field in fields(self):
            path = getattr(self, field.name)
            if field.name not in ("scan", "subject") and path is not None:
                yield field.name, path


@dataclass(frozen=True)
class Plan:
    """All jobs of a run. `shared`: one volume and one QC table for all scans, otherwise one per scan."""

    jobs: tuple[Job, ...]
    shared: bool
    table: Path | None
    failures: Path | None
    notes: tuple[str, ...] = ()

    def outputs(self) -> Iterator[tuple[Path, str]]:
        """Every file that may be written, and in words whose it is; a shared one comes once per scan."""
        for job in self.jobs:
            for name, path in job.outputs():
                is_shared = self.shared and name in ("volumes", "quality")
                yield path, name if is_shared else f"{name} of {job.scan.name}"
        if self.table is not None:
            yield self.table, "table"


def subject_of(path: Path) -> str:
    """Published row name of a scan: its file name without `.nii.gz`; other extensions stay."""
    return path.name.replace(".nii.gz", "")


def plan(asked: Asked) -> Plan:
    """Resolve all paths. `InputError`, `OutputError` or `OptionsError` name what does not fit."""
    source = absolute(asked.scans)
    kind = kind_of(source)
    found = scans_of(source, kind)
    written = _results_beside(found) if kind == "folder" else set()
    scans = [scan for scan in found if scan not in written]
    place = _Place(kind, scans)
    place.notes += _left_out([scan for scan in found if scan in written])
    segmentations = place.images("--o", asked.segmentations, SEGMENTATION_SUFFIX)
    records = (
        [path.with_name(f"{subject_of(path)}_record.json") for path in segmentations]
        if asked.record is None
        else place.companions("--record", asked.record, "_record", RECORD_FORMATS)
    )
    posteriors = _each(asked.posteriors, scans, lambda given: place.images("--post", given, POSTERIORS_SUFFIX))
    resampled = _each(asked.resampled, scans, lambda given: place.images("--resample", given, RESAMPLED_SUFFIX))
    volumes = _each(asked.volumes, scans, lambda given: place.tables("--vol", given))
    quality = _each(asked.quality, scans, lambda given: place.tables("--qc", given))
    picture = _each(
        asked.picture, scans, lambda given: place.companions("--picture", given, "_picture", PICTURE_FORMATS)
    )
    jobs = tuple(
        Job(scan, subject_of(scan), segmentations[i], records[i], posteriors[i], resampled[i], volumes[i], quality[i],
            picture[i])
        for i, scan in enumerate(scans)
    )
    table = None if asked.table is None else place.csv("--table", asked.table)
    failures = None if len(jobs) == 1 else segmentations[0].parent / FAILURES_NAME
    made = Plan(jobs, kind != "list", table, failures, tuple(dict.fromkeys(place.notes)))
    _check_collisions(made)
    return made


def _each(
    given: str | None, scans: list[Path], resolve: Callable[[str], Sequence[Path]]
) -> Sequence[Path | None]:
    return [None] * len(scans) if given is None else resolve(given)


def _results_beside(scans: list[Path]) -> set[Path]:
    """What an earlier run may have written beside its scans, wherever this one writes; it is no scan."""
    return {_named_in(scan.parent, scan, suffix) for scan in scans for suffix in RESULT_SUFFIXES}


def _left_out(results: list[Path]) -> Iterator[str]:
    """A note, because a scan may have such a name by chance."""
    if results:
        more = f" and {len(results) - 1} more" if len(results) > 1 else ""
        yield f"Named like results of scans beside them, so not segmented: {results[0].name}{more}."


class _Place:
    """Resolves output paths for the scans of one `--i`."""

    def __init__(self, kind: Kind, scans: list[Path]) -> None:
        self.kind, self.scans = kind, scans
        self.notes: list[str] = []

    def images(self, flag: str, given: str, suffix: str) -> Sequence[Path]:
        """Image outputs: by the published rules."""
        entries = self._entries(flag, given)
        if entries is not None:
            return [_image(flag, entry, suffix, scan) for entry, scan in zip(entries, self.scans, strict=True)]
        if self.kind == "list":
            raise OptionsError(f"--i is a list, so {flag} must be a .txt list of the same length, not {given}.")
        if self.kind == "image" or self.scans[0].is_dir():
            return [_image(flag, given, suffix, self.scans[0])]
        target = absolute(given)
        if split_name(target.name)[1] and not _is_dir(target):
            raise OptionsError(f"--i is a folder, so {flag} must be a folder too, not the file {given}.")
        return [_named_in(_folder(flag, target), scan, suffix) for scan in self.scans]

    def tables(self, flag: str, given: str) -> Sequence[Path]:
        """CSV outputs: one for all scans, or with a list one for each."""
        entries = self._entries(flag, given)
        if entries is not None:
            return [self.csv(flag, entry) for entry in entries]
        if self.kind == "list":
            raise OptionsError(f"--i is a list, so {flag} must be a .txt list of .csv files, one a scan, not {given}.")
        return [self.csv(flag, given)] * len(self.scans)

    def csv(self, flag: str, given: str) -> Path:
        """One CSV file; a missing extension is appended, as published, and noted."""
        target = absolute(given)
        if _is_dir(target):
            raise OutputError(f"{flag} {given} is a folder; give the name of a .csv file.")
        if not target.name.lower().endswith(".csv"):
            self.notes.append(f"{flag} {given} has no .csv extension; it is written to {target.name}.csv.")
            target = target.with_name(f"{target.name}.csv")
        return target

    def companions(self, flag: str, given: str, suffix: str, formats: tuple[str, ...]) -> Sequence[Path]:
        """Our own outputs of each scan: a file for one scan, a folder or a list for several."""
        entries = self._entries(flag, given)
        if entries is not None:
            return [_with_format(flag, absolute(entry), formats) for entry in entries]
        target = absolute(given)
        if target.suffix.lower() in formats and not _is_dir(target):
            if len(self.scans) > 1:
                raise OptionsError(f"{flag} must be a folder, because there are {len(self.scans)} scans, not {given}.")
            return [target]
        if target.suffix.lower() in (*UNWRITABLE, *WRITABLE) and not _is_dir(target):
            _with_format(flag, target, formats)
        return [_folder(flag, target) / f"{subject_of(scan)}{suffix}{formats[0]}" for scan in self.scans]

    def _entries(self, flag: str, given: str) -> list[str] | None:
        """The lines when `given` is a list, None when it is a single path; checks that it fits the kind of --i."""
        is_list = given.lower().endswith(".txt")
        if is_list and self.kind != "list":
            raise OptionsError(
                f"{flag} is the list {given}, but --i is no list; give a file or folder, or a list to both."
            )
        if not is_list:
            return None
        entries = lines_of(absolute(given), flag)
        if len(entries) != len(self.scans):
            raise OptionsError(
                f"The list of --i has {len(self.scans)} lines and that of {flag} has {len(entries)}; make them equal."
            )
        return entries


def _image(flag: str, given: str, suffix: str, scan: Path) -> Path:
    """An image path as it is; anything else is a folder in which the scan's name gets the suffix."""
    target = absolute(given)
    extension = split_name(target.name)[1].lower()
    if extension in WRITABLE and not _is_dir(target):
        return target
    if not _is_dir(target) and (extension or target.suffix.lower() in UNWRITABLE):
        raise OptionsError(f"{flag} {given}: this format cannot be written; use one of {', '.join(WRITABLE)}.")
    return _named_in(_folder(flag, target), scan, suffix)


def _with_format(flag: str, target: Path, formats: tuple[str, ...]) -> Path:
    if target.suffix.lower() not in formats:
        raise OptionsError(f"{flag} {target}: use a name that ends with {' or '.join(formats)}, or a folder.")
    return target


def _folder(flag: str, target: Path) -> Path:
    if _is_file(target):
        raise OutputError(f"{flag} {target} is a file, but a folder is needed; give another name.")
    return target


def _named_in(folder: Path, scan: Path, suffix: str) -> Path:
    stem, extension = split_name(scan.name)
    return folder / f"{stem}{suffix}{OUTPUT_EXTENSION[extension.lower()] if extension else '.nii.gz'}"


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long: what writes there says so
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _check_collisions(made: Plan) -> None:
    """No two results in one file, and none over a scan."""
    scans = {os.path.normcase(job.scan) for job in made.jobs}
    owners: dict[str, str] = {}
    for path, owner in made.outputs():
        key = os.path.normcase(path)
        if key in scans:
            raise OutputError(f"{path} is one of the scans and would be overwritten; choose another output.")
        first = owners.setdefault(key, owner)
        if first != owner:
            raise OutputError(f"Two results would be written to {path} ({first}, {owner}); give them different names.")
