"""Where results go, case by case as the published command names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from SynthSegPlusLib.cohort import Asked, plan
from SynthSegPlusLib.contract import InputError, OptionsError, OutputError, SynthSegPlusError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Scans of the four published formats, and a file that is none."""
    (tmp_path / "in").mkdir()
    for name in ("a.nii", "b.nii.gz", "c.mgz", "d.npz", "notes.docx", "b2.img", ".hidden.nii.gz"):
        (tmp_path / "in" / name).write_bytes(b"x")
    return tmp_path


def names(made, field):
    return [None if getattr(job, field) is None else getattr(job, field) for job in made.jobs]


def golden_cases(shared: Path) -> dict:
    return json.loads((shared / "reference" / "golden" / "naming.json").read_text())["cases"]


FIELDS = ("scan", "segmentation", "posteriors", "resampled", "volumes", None, "quality")


@pytest.mark.parametrize(("case", "given"), [
    ("folder", dict(scans="in", segmentations="seg", posteriors="post", resampled="res", volumes="vol.csv",
                    quality="qc")),
    ("image_to_file", dict(scans="in/b.nii.gz", segmentations="o/x.nii.gz", volumes="o/v")),
    ("image_to_folder", dict(scans="in/b.nii.gz", segmentations="o", posteriors="p", resampled="r")),
    ("mgz_image_to_folder", dict(scans="in/c.mgz", segmentations="o", posteriors="p")),
])
def test_files_get_the_published_names(case, given, place, shared):
    made = plan(Asked(**{key: str(place / value) for key, value in given.items()}))
    for field, expected in zip(FIELDS, golden_cases(shared)[case], strict=False):
        if field is not None:
            wanted = [None if path is None else path.replace("<D>", str(place)) for path in expected]
            assert [None if path is None else str(path) for path in names(made, field)] == wanted


def test_a_list_gives_every_scan_its_own_files_in_the_order_of_the_list(place, shared):
    for name, lines in {
        "i.txt": [place / "in/b.nii.gz", "", place / "in/a.nii"],
        "o.txt": ["/x/1.nii.gz", "/x/2.nii.gz"], "v.txt": ["/x/1.csv", "", "/x/2.csv"],
    }.items():
        (place / name).write_text("\n".join(map(str, lines)) + "\n")
    made = plan(Asked(str(place / "i.txt"), str(place / "o.txt"), volumes=str(place / "v.txt")))
    expected = golden_cases(shared)["txt"]
    assert not made.shared
    assert [str(job.scan) for job in made.jobs] == [path.replace("<D>", str(place)) for path in expected[0]]
    assert [job.segmentation.as_posix() for job in made.jobs] == expected[1]
    assert [job.volumes.as_posix() for job in made.jobs] == expected[4]


def test_the_suffix_changes_the_file_name_only_even_below_a_folder_called_like_an_image(place):
    folder = place / "out.nii_dir" / "seg"
    made = plan(Asked(str(place / "in"), str(folder)))
    assert made.jobs[0].segmentation == folder / "a_synthseg.nii"


def test_the_suffix_stands_before_the_last_extension(place):
    (place / "in" / "x.nii.v2.nii.gz").write_bytes(b"x")
    made = plan(Asked(str(place / "in/x.nii.v2.nii.gz"), str(place / "o")))
    assert made.jobs[0].segmentation.name == "x.nii.v2_synthseg.nii.gz"


@pytest.mark.parametrize(("given", "kind", "words"), [
    (dict(scans="in", segmentations="x.nii.gz"), OptionsError, "must be a folder too"),
    (dict(scans="in/b2.img", segmentations="o"), InputError, "no extension of an image"),
    (dict(scans="in/b.nii.gz", segmentations="o.txt"), OptionsError, "--i is no list"),
    (dict(scans="i.txt", segmentations="o"), OptionsError, "must be a .txt list"),
    (dict(scans="i.txt", segmentations="o1.txt"), OptionsError, "2 lines and that of --o has 1"),
    (dict(scans="i.txt", segmentations="o.txt", volumes="v.csv"), OptionsError, "list of .csv files"),
    (dict(scans="i.txt", segmentations="o.txt", volumes="o1.txt"), OptionsError, "that of --vol has 1"),
    (dict(scans="empty.txt", segmentations="o.txt"), InputError, "is empty"),
    (dict(scans="nowhere", segmentations="o"), InputError, "There is no file or folder"),
    (dict(scans="bare", segmentations="o"), InputError, "holds no images"),
    (dict(scans="in/b.nii.gz", segmentations="in/b.nii.gz"), OutputError, "would be overwritten"),
    (dict(scans="in/b.nii.gz", segmentations="o.img"), OptionsError, "format cannot be written"),
    (dict(scans="in", segmentations="in/notes.docx"), OutputError, "is a file, but a folder is needed"),
    (dict(scans="in/b.nii.gz", segmentations="o/x.nii.gz", volumes="bare"), OutputError, "is a folder"),
    (dict(scans="in/b.nii.gz", segmentations="o/x.nii.gz", posteriors="o/x.nii.gz"), OutputError, "Two results"),
    (dict(scans="in/b.nii.gz", segmentations="o/x.nii.gz", volumes="o/t.csv", quality="o/t.csv"), OutputError,
     "Two results"),
    (dict(scans="in/b.nii.gz", segmentations="o/x.nii.gz", volumes="o/t.csv", table="o/t.csv"), OutputError,
     "Two results"),
    (dict(scans="in", segmentations="o", picture="p.png"), OptionsError, "there are 4 scans"),
    (dict(scans="in/b.nii.gz", segmentations="o", picture="p.nii.gz"), OptionsError, "ends with .png"),
    (dict(scans="in/b.nii.gz", segmentations=" "), OptionsError, "names no file"),
])
def test_paths_that_do_not_fit_are_refused_with_a_reason(given, kind, words, place):
    (place / "bare").mkdir()
    (place / "empty.txt").write_text("\n \n")
    (place / "i.txt").write_text(f"{place / 'in/b.nii.gz'}\n{place / 'in/a.nii'}\n")
    (place / "o.txt").write_text("/x/1.nii.gz\n/x/2.nii.gz\n")
    (place / "o1.txt").write_text("/x/1.csv\n")
    with pytest.raises(kind) as caught:
        plan(Asked(**{key: str(place / value) if value.strip() else value for key, value in given.items()}))
    assert words in str(caught.value)


def test_two_scans_of_a_list_cannot_share_a_result(place):
    (place / "i.txt").write_text(f"{place / 'in/b.nii.gz'}\n{place / 'in/a.nii'}\n")
    (place / "o.txt").write_text("/x/1.nii.gz\n/x/1.nii.gz\n")
    with pytest.raises(OutputError, match="Two results would be written"):
        plan(Asked(str(place / "i.txt"), str(place / "o.txt")))


def test_results_beside_their_scans_are_not_scans_of_the_next_run(place):
    (place / "in" / "b_synthseg.nii.gz").write_bytes(b"x")
    made = plan(Asked(str(place / "in"), str(place / "in")))
    assert [job.scan.name for job in made.jobs] == ["a.nii", "b.nii.gz", "c.mgz", "d.npz"]


@pytest.mark.parametrize("elsewhere", [{}, {"posteriors": "in", "resampled": "in"}, {"segmentations": "in"}])
def test_no_kind_of_result_beside_its_scan_is_a_scan_of_the_next_run(elsewhere, place):
    results = ("a_synthseg.nii", "b_posteriors.nii.gz", "b_resampled.nii.gz", "c_resampled.mgz",
               "b_synthseg_synthseg.nii.gz", "b_synthseg.nii.gz")
    for name in (*results, "x_resampled.nii.gz"):
        (place / "in" / name).write_bytes(b"x")
    made = plan(Asked(**{key: str(place / value)
                         for key, value in {"scans": "in", "segmentations": "o", **elsewhere}.items()}))
    # There is no scan x, of which the last could be a result.
    assert [job.scan.name for job in made.jobs] == ["a.nii", "b.nii.gz", "c.mgz", "d.npz", "x_resampled.nii.gz"]
    assert made.notes == ("Named like results of scans beside them, so not segmented: a_synthseg.nii and 5 more.",)


def test_records_of_scans_that_differ_in_their_extension_only_are_different_files(place):
    (place / "in" / "b.nii").write_bytes(b"x")
    records = [job.record for job in plan(Asked(str(place / "in"), str(place / "o"))).jobs]
    assert len(set(records)) == 5


def test_a_folder_of_dicom_slices_is_one_scan_named_like_the_folder(tmp_path):
    folder = tmp_path / "series7"
    folder.mkdir()
    for index in range(3):
        (folder / f"slice{index}").write_bytes(b"\0" * 128 + b"DICM")
    made = plan(Asked(str(folder), str(tmp_path / "o")))
    assert [(job.scan, job.segmentation.name) for job in made.jobs] == [(folder, "series7_synthseg.nii.gz")]


def test_results_among_the_slices_of_a_series_are_not_its_scans(tmp_path):
    folder = tmp_path / "series7"
    folder.mkdir()
    (folder / "slice0").write_bytes(b"\0" * 128 + b"DICM")
    results = ["series7_synthseg.nii.gz", "series7_posteriors.nii.gz"]
    for name in results:
        (folder / name).write_bytes(b"x")
    assert [job.scan for job in plan(Asked(str(folder), str(folder))).jobs] == [folder]
    (folder / "slice0").unlink()
    assert [job.scan.name for job in plan(Asked(str(folder), str(folder))).jobs] == sorted(results)


def test_every_refusal_is_a_sentence_with_something_to_do(place):
    with pytest.raises(SynthSegPlusError) as caught:
        plan(Asked(str(place / "nowhere.nii"), str(place / "o")))
    assert str(caught.value).endswith(".")
    assert "check" in str(caught.value)
