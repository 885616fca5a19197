"""Writing a result to a folder: tables, record, label maps."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from SynthSegPlusLib.contract.errors import OutputError
from SynthSegPlusLib.scene._edited import editsOf
from SynthSegPlusLib.scene._result import ResultNodes
from SynthSegPlusLib.scene._tables import COMMENT, DECISION, SUMMARY_COLUMNS, cell

EDITED = "_edited"
"""Ends the names of what is written of edited segments."""


def exportResult(result: ResultNodes, folder: Path, tables: bool = True, record: bool = True,
                 labelmaps: bool = True) -> list[Path]:
    """Write what was asked for into a folder, which is made; the paths written.

    The tables and label maps are those of the run. Segments that were edited come beside them under names of their own:
    a label map, and a table of volumes by counting voxels. Every file is complete or absent: it is written under
    another name in the folder and then renamed.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        if tables:
            for node, text in ((result.volumes, volumesCsv(result)), (result.summary, summaryCsv(result))):
                written.append(_write(folder, f"{fileName(node)}.csv", _textWriter(text)))
        if record:
            text = json.dumps(result.record, indent=2, ensure_ascii=False)
            written.append(_write(folder, f"{fileName(result.summary)}.json", _textWriter(text)))
        if labelmaps:
            written += [
                _write(folder, f"{fileName(node)}.nii.gz", _volumeWriter(node)) for node in result.labelmaps
            ]
        if tables or labelmaps:
            written += _writeEdits(result, folder, tables, labelmaps)
    except OSError as error:
        raise OutputError(f"The result cannot be written to {folder} ({error}); choose another folder.") from error
    return written


def ofEdits(path: Path) -> bool:
    """Whether an exported file holds edited segments."""
    return path.name.endswith((f"{EDITED}.csv", f"{EDITED}.nii.gz"))


def _writeEdits(result: ResultNodes, folder: Path, tables: bool, labelmaps: bool) -> list[Path]:
    written = []
    for edit in editsOf(result):
        name = fileName(edit.labelmap) + EDITED
        if tables:
            written.append(_write(folder, f"{name}.csv", _textWriter(_csv(edit.rows()))))
        if labelmaps:
            written.append(_write(folder, f"{name}.nii.gz", _volumeWriter(edit.node())))
    return written


def volumesCsv(result: ResultNodes) -> str:
    """The volumes as the command line writes them, then the reviewer's decision and comment."""
    lines = list(csv.reader(io.StringIO(result.measures.to_csv())))
    rows = [[*lines[0], DECISION, COMMENT]]
    for index, line in enumerate(lines[1:]):
        rows.append([*line, cell(result.volumes, index, DECISION), cell(result.volumes, index, COMMENT)])
    return _csv(rows)


def summaryCsv(result: ResultNodes) -> str:
    """The summary table, reviewer's decision on the scan included."""
    names = [column[0] for column in SUMMARY_COLUMNS]
    rows = [[cell(result.summary, row, name) for name in names] for row in range(result.summary.GetNumberOfRows())]
    return _csv([names, *rows])


def fileName(node: Any) -> str:
    """A node's name as a file name that every system takes."""
    return re.sub(r"[^\w.+-]+", "_", node.GetName()).strip("._") or "result"


def _csv(rows: list[list[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _write(folder: Path, name: str, writer: Callable[[Path], None]) -> Path:
    # The suffix stays at the end, because image writers choose their format by it.
    partial, final = folder / f".partial-{name}", folder / name
    try:
        writer(partial)
        os.replace(partial, final)
    finally:
        partial.unlink(missing_ok=True)
    return final


def _textWriter(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8", newline="\n")
    return write


def _volumeWriter(node: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        if not storage.WriteData(node) or not path.exists():
            raise OSError(f"Slicer could not write the image {path.name}")
    return write
