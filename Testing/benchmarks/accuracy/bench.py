"""Segments the test scans and keeps their rows."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from SynthSegPlusLib.contract.errors import InputError
from SynthSegPlusLib.inference import ModelSet, Result
from SynthSegPlusLib.volume import READABLE, Volume
from Testing.benchmarks.accuracy.measure import compare, compare_real, number, parcel_dice, rows, scan_row, true_volumes
from Testing.benchmarks.accuracy.overlays import contact_sheets, write_overlay
from Testing.benchmarks.accuracy.plans import PLANS, SUBSETS
from Testing.benchmarks.accuracy.references import real_scans
from Testing.benchmarks.accuracy.synthetic import SyntheticScan, TestScans
from Testing.benchmarks.accuracy.tables import Rows, Tables
from Testing.benchmarks.accuracy.variants import Variants

FAIL_PREFIX, CT_MARK = "FAIL_", "CT_"


class Bench:
    """Measures the parts of the benchmark into the tables of a folder."""

    def __init__(self, model_set: ModelSet, modes: Sequence[str], out: Path, **machine: Any) -> None:
        self.out = out
        self.variants = Variants(model_set, modes, **machine)

    def synthetic(self, part: str, labels: Path, parcels: Path | None = None, limit: int | None = None,
                  modes: Sequence[str] | None = None) -> None:  # fmt: skip
        """The first ``limit`` scans of a plan (None: the subset for a CPU), those that the tables lack."""
        tables, maker = Tables(self.out, part), TestScans(labels, parcels)
        modes = [mode for mode in self.variants.modes if modes is None or mode in modes]
        for planned in PLANS[part]()[: SUBSETS[part] if limit is None else limit]:
            if tables.has(planned.name, modes):
                continue
            began = time.process_time()
            scan = maker.make(planned)
            about = {"part": part, "scan": scan.name, **scan.about}
            truth = true_volumes(scan.truth, 1.0, whole=True)
            dice: Rows = []
            scans: Rows = []
            for mode, result in self.variants.segment(scan.image, modes, parcellation=scan.parcels is not None):
                dice += _compare({**about, "mode": mode}, result, scan)
                scans.append(scan_row({**about, "mode": mode}, result, truth))
            self._keep(tables, scan.name, scans, dice, began)

    def real(self, folder: Path) -> None:
        """Scans with a reference in every mode; the others, and those that must be rejected, in the best one alone.

        Every scan's overlay is written beside the tables, under ``overlays``.
        """
        tables = Tables(self.out, "real")
        references = {scan.scan: scan for scan in real_scans(folder)}
        best = self.variants.modes[-1:] if "robust" not in self.variants.modes else ("robust",)
        for path in _scans_of(folder, references):
            name, reference = path.name.split(".nii")[0].split(".mgz")[0], references.get(path)
            modes = best if reference is None else self.variants.modes
            if tables.has(name, modes):
                continue
            began = time.process_time()
            about = {"part": "fail" if name.startswith(FAIL_PREFIX) else "real", "scan": name}
            truth = None
            if reference is not None:
                voxel = float(abs(np.linalg.det(reference.reference.affine[:3, :3])))
                truth = true_volumes(reference.structures, voxel, whole=False)
            dice: Rows = []
            scans: Rows = []
            try:
                volume = Volume.read(path)
                with_parcels = reference is not None
                for mode, result in self.variants.segment(volume, modes, CT_MARK in name, parcellation=with_parcels):
                    if reference is not None:
                        dice += compare_real({**about, "mode": mode}, result, reference)
                    scans.append(scan_row({**about, "mode": mode}, result, truth))
                    if mode in best:
                        write_overlay(self.out / "overlays" / f"{name}.png", volume, result)
            except InputError as error:
                print(f"{name} is refused: {error}", flush=True)
                dice, scans = [], [{**about, "mode": mode, "verdict": "refused"} for mode in modes]
            self._keep(tables, name, scans, dice, began)
        contact_sheets(self.out / "overlays")

    def _keep(self, tables: Tables, name: str, scans: Rows, dice: Rows, began: float) -> None:
        """Add a scan's rows, with the processor's seconds that all its modes took together."""
        seconds = time.process_time() - began
        tables.add(name, [{**row, "cpu_seconds": number(seconds, 1)} for row in scans], dice)
        print(f"{name}: {seconds:.0f} CPU seconds, {', '.join(row['mode'] for row in scans)}", flush=True)


def _compare(about: dict[str, Any], result: Result, scan: SyntheticScan) -> Rows:
    found = compare(about, result, scan.truth, result.labels.data)
    if scan.parcels is not None and result.parcellation is not None:
        found += rows(about, "parcel", parcel_dice(result.parcellation.data, scan.parcels))
    return found


def _scans_of(folder: Path, references: Container[Path]) -> list[Path]:
    """Real scans of a folder: first those with a reference, then those to reject, so that an early end has them."""
    files = [path for path in sorted(folder.iterdir()) if path.name.endswith(tuple(READABLE))]
    scans = [path for path in files if "_REF_" not in path.name]
    return sorted(scans, key=lambda path: (path not in references, not path.name.startswith(FAIL_PREFIX), path.name))
