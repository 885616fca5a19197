"""Model sets: found in the promised order, described completely, refused in words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from SynthSegPlusLib.contract import ModelError
from SynthSegPlusLib.inference import ModelSet, model_sets, survey
from SynthSegPlusLib.inference._find import bundled_folder
from SynthSegPlusLib.networks import PUBLISHED
from Testing.inference.tiny import write_tiny_set


@pytest.fixture(autouse=True)
def _no_sets_from_outside(monkeypatch):
    monkeypatch.delenv("SYNTHSEGPLUS_MODELS", raising=False)
    monkeypatch.delenv("FREESURFER_HOME", raising=False)


@pytest.fixture
def described(tmp_path):
    """A small set whose description a test can change: (folder, change)."""
    folder = write_tiny_set(tmp_path / "set", ("segmenter",))

    def change(**entries):
        path = folder / "model_set.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
        return folder

    return change


def empty_files(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_every_bundled_set_is_complete_and_undamaged():
    folders = [path.parent for path in bundled_folder().glob("*/model_set.json")]
    assert folders
    for folder in folders:
        found = ModelSet.load(folder)
        assert not found.absent
        assert found.modes
        for role in found.roles.values():
            assert role.sha256, f"{folder.name}: {role.name} has no checksum"
            assert role.verify().sha256 == role.sha256


def test_without_anything_named_the_bundled_set_of_highest_rank_is_found():
    found = ModelSet.find()
    assert found.found_in == "bundled"
    assert found.rank == max(ModelSet.load(path.parent).rank for path in bundled_folder().glob("*/model_set.json"))


def test_sets_are_found_in_the_order_named_environment_freesurfer_bundled(tmp_path, monkeypatch):
    named = write_tiny_set(tmp_path / "named", ("segmenter",))
    environment = write_tiny_set(tmp_path / "environment", ("segmenter",))
    empty_files(tmp_path / "fs" / "models", "synthseg_2.0.h5")
    monkeypatch.setenv("SYNTHSEGPLUS_MODELS", str(environment))
    monkeypatch.setenv("FREESURFER_HOME", str(tmp_path / "fs"))
    places = [found.found_in for found in model_sets(named)]
    assert places[:3] == ["named", "environment", "freesurfer"]
    assert set(places[3:]) == {"bundled"}
    assert ModelSet.find(named).name == "named"
    assert ModelSet.find().name == "environment"
    monkeypatch.delenv("SYNTHSEGPLUS_MODELS")
    assert ModelSet.find().name == "published"


def test_a_freesurfer_without_these_models_is_passed_over(tmp_path, monkeypatch):
    empty_files(tmp_path / "models", "other.h5")
    monkeypatch.setenv("FREESURFER_HOME", str(tmp_path))
    assert ModelSet.find().found_in == "bundled"


def test_a_named_set_that_is_none_is_an_error_and_never_replaced(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="no such folder"):
        ModelSet.find(tmp_path / "absent")
    monkeypatch.setenv("SYNTHSEGPLUS_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match=r"holds none of synthseg_2\.0\.h5.*SYNTHSEGPLUS_MODELS"):
        ModelSet.find()
    assert survey()[1]


def test_a_bundled_set_can_be_named_by_its_name():
    assert ModelSet.find("starter_2mm").name == "starter_2mm"


def test_published_files_are_known_by_their_names_whichever_are_there(tmp_path):
    found = ModelSet.load(empty_files(tmp_path, "synthseg_robust_2.0.h5", "synthseg_1.0.h5"))
    assert set(found.roles) == {"tissue", "denoiser", "structure", "segmenter_1.0"}
    assert found.modes == ("robust", "s1-s2", "s1-s2-d")
    assert found.lacking == ("segmenter", "parcellation", "quality")
    with pytest.raises(ModelError, match=r"has no quality control \(R\): the file .*synthseg_qc_2\.0\.h5 is missing"):
        found.require("quality")


def test_published_roles_have_the_published_architectures(tmp_path):
    files = ("1.0", "2.0", "robust_2.0", "parc_2.0", "qc_2.0")
    found = ModelSet.load(empty_files(tmp_path, *(f"synthseg_{name}.h5" for name in files)))
    symbols = {"segmenter": "S 2.0", "segmenter_1.0": "S 1.0", "tissue": "S1", "denoiser": "D", "structure": "S2",
               "parcellation": "S3", "quality": "R"}  # fmt: skip
    assert {role: found.roles[role].network for role in symbols} == {
        role: PUBLISHED[symbol] for role, symbol in symbols.items()
    }


def test_a_lacking_role_is_named_with_what_the_set_can_do(described):
    found = ModelSet.load(described())
    with pytest.raises(ModelError, match=r"has no cortical parcellation \(S3\); it can run default, fast"):
        found.require("parcellation")


def test_a_damaged_file_is_found_by_its_checksum_and_a_repaired_one_accepted(described):
    folder = described()
    role = ModelSet.load(folder).roles["segmenter"]
    good = role.verify().sha256
    original = role.path.read_bytes()
    role.path.write_bytes(original[:-1] + b"x")
    values = json.loads((folder / "model_set.json").read_text())["roles"]
    values["segmenter"]["sha256"] = good
    checked = ModelSet.load(described(roles=values)).roles["segmenter"]
    with pytest.raises(ModelError, match="damaged"):
        checked.verify()
    role.path.write_bytes(original + b"")
    assert checked.verify().sha256 == good


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"schema": 2}, "schema 2"),
        ({"scheme": "sideways"}, "scheme is 'sideways'"),
        ({"working_resolution_mm": "fine"}, "working_resolution_mm is 'fine'"),
        ({"working_resolution_mm": 9}, "from 0.5 to 4"),
        ({"licence": None}, "licence is missing"),
        ({"colour": "red"}, "colour is unknown"),
        ({"roles": {}}, "no role"),
        ({"roles": {"cook": {}}}, "cook is unknown"),
        ({"roles": {"segmenter": {"file": "../a.h5", "network": {}}}}, "of the same folder"),
        ({"roles": {"segmenter": {"file": "segmenter.h5", "network": {"prefix": "u"}}}}, "lacks"),
        ({"roles": {"segmenter": {"file": "segmenter.h5", "network": {"prefix": "u", "in_channels": 1,
          "n_labels": 32}}}}, "32 outputs"),
        ({"padding": {"multiple": 0}}, "padding.multiple is 0"),
        ({"postprocessing": {"foreground_threshold": 2}}, "foreground_threshold is 2"),
        ({"postprocessing": {"flip": "twice"}}, "flip is 'twice'"),
        ({"quality": {"grid": [1, 2]}}, "quality.grid"),
        ({"scheme": "published", "working_resolution_mm": 2.0}, "1 mm only"),
        ({"postprocessing": []}, "not a JSON object"),
    ],
)  # fmt: skip
def test_a_wrong_description_is_refused_with_the_file_the_entry_and_its_value(described, entries, message):
    with pytest.raises(ModelError, match=message) as caught:
        ModelSet.load(described(**entries))
    assert "model_set.json" in str(caught.value)


def test_a_description_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "model_set.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        ModelSet.load(tmp_path)


def test_listing_model_sets_needs_no_heavy_package():
    heavy = ("keras", "tensorflow", "torch", "jax", "nibabel", "h5py", "scipy", "SimpleITK", "psutil")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy!r}))\n"
        "from SynthSegPlusLib.inference import ModelSet, survey\n"
        "found = ModelSet.find('starter_2mm'); print(found.modes, found.lacking, found.roles['segmenter'].verify())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=bundled_folder().parents[1])
    assert done.returncode == 0, done.stderr
    assert "default" in done.stdout
