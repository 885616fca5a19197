"""Where each result of each scan goes: the naming rules of mri_synthseg, and those of our own outputs.

The kind of `--i` decides: one image, a folder of images, or a `.txt` list of images. A folder or an image with a
folder for output inserts a suffix before the extension; a list needs lists of the same length, and then every scan
has its own CSV files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from SynthSegPlusLib.contract.errors import InputError, OptionsError, OutputError

# What an image may be called, and the format its results take where they follow its name.
OUTPUT_EXTENSION = {
    ".nii.gz": ".nii.gz", ".nii": ".nii", ".mgz": ".mgz", ".npz": ".npz",
    ".mgh.gz": ".mgz", ".mgh": ".mgz", ".nrrd": ".nrrd", ".nhdr": ".nrrd", ".mha": ".mha", ".mhd": ".mha",
    ".dcm": ".nii.gz", ".ima": ".nii.gz", ".dicom": ".nii.gz",
}  # fmt: skip
DICOM = (".dcm", ".ima", ".dicom")
WRITABLE = tuple(dict.fromkeys(OUTPUT_EXTENSION.values()))
# Names that can only be meant as a file, although no result can be written so.
UNWRITABLE = (".img", ".hdr", ".csv", ".json", ".png", ".pdf", ".h5", ".gz", ".zip", ".txt")

SEGMENTATION_SUFFIX, POSTERIORS_SUFFIX, RESAMPLED_SUFFIX = "_synthseg", "_posteriors", "_resampled"
PICTURE_FORMATS = (".png", ".pdf", ".svg", ".jpg")
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


@dataclass(frozen=True)
class Plan:
    """All jobs of a run. `shared`: one volume and one QC table for all scans, otherwise one per scan."""

    jobs: tuple[Job, ...]
    shared: bool
    table: Path | None
    failures: Path | None
    notes: tuple[str, ...] = ()

    def outputs(self) -> list[tuple[Path, Job | None]]:
        """Every file that may be written and the scan it belongs to (None: shared), each once."""
        found: dict[Path, Job | None] = {}
        for job in self.jobs:
            for field in fields(job):
                path = getattr(job, field.name)
                if field.name in ("volumes", "quality") and self.shared and path is not None:
                    found[path] = None
                elif field.name not in ("scan", "subject") and path is not None:
                    found[path] = job
        if self.table is not None:
            found[self.table] = None
        return list(found.items())


def split_name(name: str) -> tuple[str, str]:
    """("scan", ".nii.gz") of "scan.nii.gz"; the extension is "" when it is not one of an image."""
    for extension in OUTPUT_EXTENSION:
        if name.lower().endswith(extension) and len(name) > len(extension):
            return name[: -len(extension)], name[-len(extension):]
    return name, ""


def subject_of(path: Path) -> str:
    """Published row name of a scan: its file name without `.nii.gz`; other extensions stay."""
    return path.name.replace(".nii.gz", "")


def plan(asked: Asked) -> Plan:
    """Resolve all paths. `InputError`, `OutputError` or `OptionsError` name what does not fit."""
    source = _absolute(asked.scans)
    kind = _kind_of(source)
    scans = _scans(source, kind)
    notes: list[str] = []
    segmentations = _images("--o", asked.segmentations, SEGMENTATION_SUFFIX, kind, scans)
    if kind == "folder":
        # Results that lie beside their scans are no scans of the next run.
        written = set(segmentations)
        keep = [index for index, scan in enumerate(scans) if scan not in written]
        scans, segmentations = [scans[i] for i in keep], [segmentations[i] for i in keep]  # type: ignore[misc]
    columns = {
        "posteriors": _images("--post", asked.posteriors, POSTERIORS_SUFFIX, kind, scans),
        "resampled": _images("--resample", asked.resampled, RESAMPLED_SUFFIX, kind, scans),
        "volumes": _tables("--vol", asked.volumes, kind, len(scans), notes),
        "quality": _tables("--qc", asked.quality, kind, len(scans), notes),
        "picture": _companions("--picture", asked.picture, "_picture", PICTURE_FORMATS, kind, scans),
        "record": _records(asked.record, kind, scans, segmentations),
    }
    jobs = tuple(
        Job(scan, subject_of(scan), segmentations[i], **{name: paths[i] for name, paths in columns.items()})  # type: ignore
        for i, scan in enumerate(scans)
    )
    table = None if asked.table is None else _csv("--table", asked.table, notes)
    failures = None if len(jobs) == 1 else segmentations[0].parent / FAILURES_NAME
    made = Plan(jobs, kind != "list", table, failures, tuple(notes))
    _check_collisions(made)
    return made


def _absolute(path: str) -> Path:
    if not path.strip() or "\0" in path:
        raise OptionsError(f"The path {path!r} names no file; give the path of a file or folder.")
    return Path(os.path.abspath(os.path.expanduser(path)))


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


def _kind_of(source: Path) -> str:
    try:
        if source.is_dir():
            return "folder"
        if not source.exists():
            raise InputError(f"There is no file or folder {source}; check the path given with --i.")
    except OSError as error:
        raise InputError(f"{source} cannot be looked at ({error.strerror}); check the path given with --i.") from error
    if source.name.lower().endswith(".txt"):
        return "list"
    if not split_name(source.name)[1]:
        known = ", ".join(OUTPUT_EXTENSION)
        raise InputError(f"{source} has no extension of an image; use one of {known}, a folder or a .txt list.")
    return "image"


def _scans(source: Path, kind: str) -> list[Path]:
    if kind == "image":
        return [source]
    if kind == "list":
        return [_absolute(line) for line in _lines(source, "--i")]
    try:
        names = sorted(entry for entry in source.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"The folder {source} cannot be read ({error.strerror}); check its permissions.") from error
    images = [entry for entry in names if split_name(entry.name)[1] and entry.is_file()]
    # The files of a DICOM series are slices of one scan.
    scans = [entry for entry in images if split_name(entry.name)[1].lower() not in DICOM]
    if not scans and (images or any(_is_dicom(entry) for entry in names)):
        return [source]
    if not scans:
        known = ", ".join(OUTPUT_EXTENSION)
        raise InputError(f"The folder {source} holds no images ({known}) and no DICOM series; give another folder.")
    return scans


def _is_dicom(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _lines(path: Path, flag: str) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The list {path} of {flag} cannot be read ({error}); give a text file of paths.") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InputError(f"The list {path} of {flag} is empty; write one path per line.")
    return found


def _list_of(flag: str, given: str, kind: str, count: int) -> list[str] | None:
    """The entries when `given` is a list, None when it is a single path; checks that it fits the kind of --i."""
    is_list = given.lower().endswith(".txt")
    if is_list and kind != "list":
        raise OptionsError(f"{flag} is the list {given}, but --i is no list; give a file or folder, or a list to both.")
    if not is_list:
        return None
    entries = _lines(_absolute(given), flag)
    if len(entries) != count:
        raise OptionsError(f"The list of --i has {count} lines and that of {flag} has {len(entries)}; make them equal.")
    return entries


def _images(flag: str, given: str | None, suffix: str, kind: str, scans: list[Path]) -> Sequence[Path | None]:
    if given is None:
        return [None] * len(scans)
    entries = _list_of(flag, given, kind, len(scans))
    if entries is not None:
        return [_image(flag, entry, suffix, scan) for entry, scan in zip(entries, scans, strict=True)]
    if kind == "list":
        raise OptionsError(f"--i is a list, so {flag} must be a .txt list of the same length, not {given}.")
    if kind == "image" or scans[0].is_dir():
        return [_image(flag, given, suffix, scans[0])]
    target = _absolute(given)
    if split_name(target.name)[1] and not _is_dir(target):
        raise OptionsError(f"--i is a folder, so {flag} must be a folder too, not the file {given}.")
    return [_named_in(_folder(flag, target), scan, suffix) for scan in scans]


def _image(flag: str, given: str, suffix: str, scan: Path) -> Path:
    """An image path as it is; anything else is a folder in which the scan's name gets the suffix."""
    target = _absolute(given)
    extension = split_name(target.name)[1].lower()
    if extension in WRITABLE and not _is_dir(target):
        return target
    if not _is_dir(target) and (extension or target.suffix.lower() in UNWRITABLE):
        raise OptionsError(f"{flag} {given}: this format cannot be written; use one of {', '.join(WRITABLE)}.")
    return _named_in(_folder(flag, target), scan, suffix)


def _folder(flag: str, target: Path) -> Path:
    if _is_file(target):
        raise OutputError(f"{flag} {target} is a file, but a folder is needed; give another name.")
    return target


def _named_in(folder: Path, scan: Path, suffix: str) -> Path:
    stem, extension = split_name(scan.name)
    return folder / f"{stem}{suffix}{OUTPUT_EXTENSION[extension.lower()] if extension else '.nii.gz'}"


def _csv(flag: str, given: str, notes: list[str]) -> Path:
    target = _absolute(given)
    if _is_dir(target):
        raise OutputError(f"{flag} {given} is a folder; give the name of a .csv file.")
    if not target.name.lower().endswith(".csv"):
        notes.append(f"{flag} {given} has no .csv extension; it is written to {target.name}.csv.")
        target = target.with_name(f"{target.name}.csv")
    return target


def _tables(flag: str, given: str | None, kind: str, count: int, notes: list[str]) -> Sequence[Path | None]:
    if given is None:
        return [None] * count
    entries = _list_of(flag, given, kind, count)
    if entries is not None:
        return [_csv(flag, entry, notes) for entry in entries]
    if kind == "list":
        raise OptionsError(f"--i is a list, so {flag} must be a .txt list of .csv files, one per scan, not {given}.")
    return [_csv(flag, given, notes)] * count


def _companions(
    flag: str, given: str | None, suffix: str, formats: tuple[str, ...], kind: str, scans: list[Path]
) -> Sequence[Path | None]:
    """Our own per-scan outputs: a file for one scan, a folder or a list for several."""
    if given is None:
        return [None] * len(scans)
    entries = _list_of(flag, given, kind, len(scans))
    if entries is not None:
        return [_absolute(entry) for entry in entries]
    target = _absolute(given)
    if target.suffix.lower() in formats and not _is_dir(target):
        if len(scans) > 1:
            raise OptionsError(f"{flag} must be a folder, because there are {len(scans)} scans; {given} is one file.")
        return [target]
    if target.suffix.lower() in (*UNWRITABLE, ".txt", *WRITABLE) and not _is_dir(target):
        raise OptionsError(f"{flag} {given}: use a name that ends with {' or '.join(formats)}, or a folder.")
    _folder(flag, target)
    return [target / f"{subject_of(scan)}{suffix}{formats[0]}" for scan in scans]


def _records(given: str | None, kind: str, scans: list[Path], segmentations: Iterable[Path | None]) -> Sequence[Path]:
    if given is None:
        return [path.with_name(f"{subject_of(path)}_record.json") for path in segmentations if path is not None]
    return _companions("--record", given, "_record", (".json",), kind, scans)  # type: ignore[return-value]


def _check_collisions(made: Plan) -> None:
    """No two results in one file, and none over a scan."""
    scans = {os.path.normcase(job.scan) for job in made.jobs}
    seen: dict[str, str] = {}
    for job in made.jobs:
        for field in fields(job):
            path = getattr(job, field.name)
            if path is None or field.name in ("scan", "subject"):
                continue
            _claim(seen, path, field.name if made.shared and field.name in ("volumes", "quality") else
                   f"{field.name} of {job.scan.name}", scans)
    if made.table is not None:
        _claim(seen, made.table, "table", scans)


def _claim(seen: dict[str, str], path: Path, owner: str, scans: set[str]) -> None:
    key = os.path.normcase(path)
    if key in scans:
        raise OutputError(f"{path} is one of the scans and would be overwritten; choose another output.")
    if seen.setdefault(key, owner) != owner:
        raise OutputError(f"Two results would be written to {path} ({seen[key]}, {owner}); give them different names.")
