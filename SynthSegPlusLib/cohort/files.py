"""Files that are whole or absent: written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from SynthSegPlusLib.cohort.scans import holds_series, slices_of
from SynthSegPlusLib.contract.errors import InputError, OutputError


def output_error(path: Path, error: OSError) -> OutputError:
    """An operating system's complaint about an output, in words with what to do."""
    if error.errno == errno.ENOSPC:
        return OutputError(f"The disk is full, so {path} was not written; free space there or choose another folder.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            f"No permission to write {path}; close it if it is open in another program, change its permissions, or "
            f"choose another folder."
        )
    if error.errno == errno.ENAMETOOLONG:
        return OutputError(f"The name of {path} is too long for this disk; choose a shorter one.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(f"{path} cannot be made, because a part of the path is a file; choose another folder.")
    return OutputError(f"{path} cannot be written ({error.strerror or error}); choose another place.")


@contextmanager
def replacing(path: Path, mark: str = "") -> Iterator[Path]:
    """A temporary path beside `path`, with the same extension, which becomes `path` when the block succeeds.

    After a failure the temporary file is gone and what `path` held before is untouched. `OutputError` when the
    operating system refuses. mark: a part of the temporary name, for a file that several runs write at once.
    """
    partial = path.with_name(f".partial-{mark}{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        try:
            partial.unlink(missing_ok=True)
        except OSError:
            pass  # the first error is the one to tell


def write_text(path: Path, text: str, mark: str = "") -> None:
    """Write UTF-8 text with the line ends as given; mark: as `replacing`."""
    with replacing(path, mark) as partial:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)


def text_of(path: Path) -> str:
    """What an output holds, read as well as can be; "" where there is none. `OutputError` when it may not be read."""
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise output_error(path, error) from error


def remove(path: Path) -> None:
    """Remove an output that need not be there; `OutputError` when the operating system refuses."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(path, error) from error


def need_writable(path: Path) -> None:
    """Make the folder of an output and prove that a file can be written in it; `OutputError` if not."""
    # A name as long as the temporary ones, so that all of them fit.
    probe = path.with_name(f".partial-{path.name}")
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; give the name of a file to write.")
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise output_error(path, error) from error


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a scan: of a file, or of the names and contents of a DICOM series' slices."""
    digest = hashlib.sha256()
    try:
        for name, file in _parts(path):
            digest.update(os.fsencode(name))
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file and its permissions.") from error
    return digest.hexdigest()


def _parts(path: Path) -> list[tuple[str, Path]]:
    """Every file that a scan may be read from, and its name where there are several."""
    if not holds_series(path):
        return [("", path)]
    slices = slices_of(path)
    folder = path if path.is_dir() else path.parent
    # A slice stands for its own series, which need not be the only one of the folder.
    own = [] if path.is_dir() else [(path.name, path)]
    return own + [(file.relative_to(folder).as_posix(), file) for file in slices]
