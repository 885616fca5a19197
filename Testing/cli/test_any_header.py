"""Property: whatever a header holds, the command either writes a whole result or refuses in one sentence."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from SynthSegPlusLib.labels import structures
from Testing.cli.conftest import write_scan

# The fixtures hold no state that an example changes.
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
HEADER_BYTES = 348
SIZES = st.floats(0.2, 6.0) | st.sampled_from([1.0, 0.95, 1.05, 12.0])
SPECIAL = st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 1e-30, 1e30])
TYPES = st.sampled_from(["u1", "i2", "u2", "i4", "f4", "f8", "c8", ">i2", ">f4", "i8"])


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any axis order and sign, with spacing, shear and shift; sometimes an entry that cannot be."""
    matrix = np.eye(4)
    order = draw(st.permutations(range(3)))
    for axis, target in enumerate(order):
        matrix[:3, axis] = 0
        matrix[target, axis] = draw(SIZES) * draw(st.sampled_from([-1, 1]))
    if draw(st.booleans()):
        matrix[:3, :3] += draw(st.floats(-0.3, 0.3)) * np.roll(matrix[:3, :3], 1, 0)
    matrix[:3, 3] = draw(st.lists(st.floats(-200, 200), min_size=3, max_size=3))
    if draw(st.integers(0, 9)) == 0:
        matrix[draw(st.integers(0, 2)), draw(st.integers(0, 3))] = draw(SPECIAL)
    return matrix


def image(draw: st.DrawFn) -> nib.Nifti1Image:
    shape = tuple(draw(st.lists(st.integers(1, 24), min_size=2, max_size=4)))
    kind = np.dtype(draw(TYPES))
    numbers = np.random.default_rng(draw(st.integers(0, 99))).uniform(0, 200, shape)
    if draw(st.integers(0, 5)) == 0 and kind.kind == "f":
        numbers.flat[0] = np.nan
    made = nib.Nifti1Image(numbers.astype(kind), None, dtype=kind)
    matrix = draw(affines())
    made.header["sform_code"], made.header["qform_code"] = draw(st.integers(0, 4)), draw(st.integers(0, 2))
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        made.header[name] = matrix[row]
    made.header["xyzt_units"] = draw(st.sampled_from([0, 1, 2, 3, 10, 17]))
    return made


def judge(said, out: Path) -> None:
    left = sorted(path.name for path in out.iterdir()) if out.exists() else []
    assert "Something unforeseen" not in said.err, said.err
    if said.status == 0:
        assert left == ["x.nii.gz", "x_record.json"]
        labels = nib.load(out / "x.nii.gz")
        assert np.isfinite(labels.affine).all()
        assert set(np.unique(labels.dataobj)) <= set(structures("2.0").values.tolist())
    else:
        assert said.status in (1, 2)
        assert left == []
        assert len(said.complaints) == 1, said.err
        assert said.complaints[0].endswith(".")


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(st.data())
def test_bytes_of_a_header_may_be_anything(say, engine, data):
    with tempfile.TemporaryDirectory() as place:
        raw = bytearray(gzip.decompress(write_scan(Path(place) / "whole.nii.gz").read_bytes()))
        for offset, value in data.draw(st.dictionaries(st.integers(0, HEADER_BYTES + 3), st.integers(0, 255),
                                                       min_size=1, max_size=12)).items():
            raw[offset] = value
        scan = Path(place) / "s.nii"
        scan.write_bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw), len(raw) - 1, 352, 100]))])
        judge(say("segment", "--i", scan, "--o", Path(place) / "o" / "x.nii.gz"), Path(place) / "o")


@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
@given(st.data())
def test_shapes_types_and_geometries_may_be_anything(say, data):
    """Through the real engine."""
    with tempfile.TemporaryDirectory() as place:
        scan, out = Path(place) / "s.nii.gz", Path(place) / "o"
        nib.save(image(data.draw), scan)
        native = data.draw(st.sampled_from([[], ["--native"]]))
        said = say("segment", "--i", scan, "--o", out / "x.nii.gz", "--fast", *native)
        judge(said, out)
        if said.status == 0 and native:
            assert nib.load(out / "x.nii.gz").shape == nib.load(scan).shape[:3]
