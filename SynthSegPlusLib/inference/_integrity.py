"""Checksums of weight files, computed once per file and change."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from SynthSegPlusLib.contract.errors import ModelError


@dataclass(frozen=True)
class Integrity:
    """What a file on disk is: size in bytes and SHA-256 as hexadecimal text."""

    path: Path
    size: int
    sha256: str


def sha256_of(path: Path) -> Integrity:
    """SHA-256 of a file; `ModelError` when it cannot be read."""
    try:
        status = path.stat()
        return _hash(path.resolve(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ModelError(f"The weight file {path} cannot be read ({error.strerror}); fetch it again.") from error


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, changed: int) -> Integrity:
    # `changed` is part of the key alone: a file that was written again is read again.
    with path.open("rb") as stream:
        return Integrity(path, size, hashlib.file_digest(stream, "sha256").hexdigest())
