"""The tables of a run: written after every scan, and read again when a run goes on."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.inference import ModelSet

Rows = list[dict[str, Any]]
ABOUT = ("part", "scan", "mode", "map", "contrast", "spacing", "orientation")
DICE_COLUMNS = (*ABOUT, "kind", "name", "dice", "score", "regressor", "confidence", "agreement", "estimate")
SCAN_COLUMNS = (
    *ABOUT, "icv_mm3", "true_icv_mm3", "hippocampus_mm3", "true_hippocampus_mm3", "ventricles_mm3",
    "true_ventricles_mm3", "verdict", "lowest", "cpu_seconds",
)  # fmt: skip
SETTINGS = "run.json"


class Tables:
    """Rows of one part: ``dice_PART.csv`` (scan, mode, structure) and ``scans_PART.csv`` (scan, mode).

    A scan counts as measured once it is in the second file, which is written last.
    """

    def __init__(self, out: Path, part: str) -> None:
        self._dice_path, self._scans_path = out / f"dice_{part}.csv", out / f"scans_{part}.csv"
        self.scans: Rows = read_table(self._scans_path)
        known = {(row["scan"], row["mode"]) for row in self.scans}
        self.dice: Rows = [row for row in read_table(self._dice_path) if (row["scan"], row["mode"]) in known]

    def has(self, scan: str, modes: Iterable[str]) -> bool:
        """Whether the scan was measured in all these modes."""
        return set(modes) <= {row["mode"] for row in self.scans if row["scan"] == scan}

    def add(self, scan: str, scans: Rows, dice: Rows) -> None:
        """Add the rows of one scan in place of what there was of it, and write both files."""
        self.scans = [row for row in self.scans if row["scan"] != scan] + scans
        self.dice = [row for row in self.dice if row["scan"] != scan] + dice
        write_table(self._dice_path, DICE_COLUMNS, self.dice)
        write_table(self._scans_path, SCAN_COLUMNS, self.scans)


def read_all(out: Path) -> tuple[Rows, Rows]:
    """(dice, scans) of all parts of a folder."""
    both = ([row for path in sorted(out.glob(f"{kind}_*.csv")) for row in read_table(path)] for kind in
            ("dice", "scans"))  # fmt: skip
    dice, scans = both
    return dice, scans


def read_table(path: Path) -> Rows:
    """Rows of a CSV; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV, complete or not at all."""
    with _whole(path) as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _whole(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its place when it is complete. Two parts that run side by side may write the same one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def claim(out: Path, model_set: ModelSet) -> None:
    """Note which model set the numbers of a folder belong to; `OptionsError` where they are another set's."""
    weights = {name: role.sha256 or role.verify().sha256 for name, role in sorted(model_set.roles.items())}
    mine = {"model_set": model_set.name, "weights": weights}
    for part in ("second_opinion", "alone"):
        rule = getattr(model_set.quality, part)
        if rule is not None:
            mine[part] = {name: list(values) for name, values in vars(rule).items() if values}
    mine["postprocessing"] = asdict(model_set.postprocessing)
    path = out / SETTINGS
    if path.is_file():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        if theirs != mine:
            raise OptionsError(
                f"{out} holds numbers of the model set {theirs.get('model_set')!r} with other weights, another "
                f"calibration or other rules of postprocessing than {model_set.name!r} has now; give another folder "
                f"for the results."
            )
        return
    with _whole(path) as file:
        file.write(json.dumps(mine, indent=1) + "\n")
