"""Files that are whole or absent: written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from SynthSegPlusLib.contract.errors import InputError, OutputError


def output_error(path: Path, error: OSError) -> OutputError:
    """An operating system's complaint about an output, in words with what to do."""
    if error.errno == errno.ENOSPC:
        return OutputError(f"The disk is full, so {path} was not written; free space there or choose another folder.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"No permission to write {path}; choose another folder or change its permissions.")
    if error.errno == errno.ENAMETOOLONG:
        return OutputError(f"The name of {path} is too long for this disk; choose a shorter one.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(f"{path} cannot be made, because a part of the path is a file; choose another folder.")
    return OutputError(f"{path} cannot be written ({error.strerror or error}); choose another place.")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same extension, which becomes `path` when the block succeeds.

    After a failure the temporary file is gone and what `path` held before is untouched. `OutputError` when the
    operating system refuses.
    """
    partial = path.with_name(f".partial-{path.name}")
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


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with the line ends as given."""
    with replacing(path) as partial:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)


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
    """Hexadecimal SHA-256 of a file, or of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    files = sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]
    try:
        for file in files:
            if path.is_dir():
                digest.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file and its permissions.") from error
    return digest.hexdigest()
