"""The reviewer's decisions, kept in the result's own tables and so in the scene and in the export."""

from __future__ import annotations

from enum import StrEnum

from SynthSegPlusLib.scene._result import ResultNodes
from SynthSegPlusLib.scene._tables import COMMENT, DECISION, cell, readSummary, rowOfLabel, setCell, writeSummary


class Decision(StrEnum):
    """What the reviewer said; `NONE` is not yet."""

    NONE = ""
    ACCEPT = "accept"
    REJECT = "reject"


def decide(result: ResultNodes, decision: Decision, label: int | None = None) -> None:
    """Accept or reject a structure or parcel, or the whole scan when `label` is None."""
    _set(result, DECISION, Decision(decision).value, label)


def comment(result: ResultNodes, text: str, label: int | None = None) -> None:
    """Comment on a structure or parcel, or on the whole scan when `label` is None; one line."""
    # Line ends and tabs would break the table's file.
    _set(result, COMMENT, " ".join(text.split()), label)


def decisionOf(result: ResultNodes, label: int | None = None) -> Decision:
    """The decision on a structure, or on the whole scan."""
    return Decision(_get(result, DECISION, label))


def commentOn(result: ResultNodes, label: int | None = None) -> str:
    """The comment on a structure, or on the whole scan."""
    return _get(result, COMMENT, label)


def _set(result: ResultNodes, what: str, value: str, label: int | None) -> None:
    if label is None:
        writeSummary(result.summary, what, value)
    else:
        setCell(result.volumes, rowOfLabel(result.volumes, label), what, value)


def _get(result: ResultNodes, what: str, label: int | None) -> str:
    if label is None:
        return readSummary(result.summary, what)
    return cell(result.volumes, rowOfLabel(result.volumes, label), what)
