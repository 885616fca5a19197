"""What a look at the input, or at the result, has found out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One named observation about a scan.

    Attributes
    ----------
    code
        Stable name for programs, for example ``"field-of-view-cut"``.
    severity
        "error" stops the run, "warning" is shown and recorded, "info" is recorded.
    message
        What was seen, with the value.
    advice
        What the user can do about it; empty when there is nothing to do.
    """

    code: str
    severity: Severity
    message: str
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Advice:
    """Which mode suits a scan, and why."""

    mode: str
    reason: str
