"""The errors that a user may see. Each message says what happened, the value, and what to do."""

from __future__ import annotations


class SynthSegPlusError(Exception):
    """Base of every error of this project that is meant for a person to read."""


class InputError(SynthSegPlusError):
    """A scan, list or label map that cannot be used."""


class OutputError(SynthSegPlusError):
    """A result that cannot be written where it was asked for."""


class OptionsError(SynthSegPlusError):
    """Options that are wrong or contradict each other."""


class ModelError(SynthSegPlusError):
    """A model set or weight file that is missing, damaged, incomplete or of the wrong shape."""


class BackendError(SynthSegPlusError):
    """No usable deep-learning backend or device, or a choice that comes too late."""


class MemoryShortage(SynthSegPlusError):
    """Less free memory than the run needs."""


class WorkerError(SynthSegPlusError):
    """The worker process could not start, broke the protocol, or died."""


class Cancelled(SynthSegPlusError):
    """The user asked to stop; nothing was written."""

    def __init__(self, message: str = "The run was cancelled; nothing was written.") -> None:
        super().__init__(message)


# What travels between processes is the class name, so every public kind can be raised again by name.
KINDS: dict[str, type[SynthSegPlusError]] = {
    kind.__name__: kind
    for kind in (
        SynthSegPlusError, InputError, OutputError, OptionsError, ModelError,
        BackendError, MemoryShortage, WorkerError, Cancelled,
    )
}


def error_of_kind(kind: str, message: str) -> SynthSegPlusError:
    """Rebuild an error from its class name and message; an unknown name gives the base class."""
    return KINDS.get(kind, SynthSegPlusError)(message)
