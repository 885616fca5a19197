import numpy as np
import pytest

from SynthSegPlusLib.contract import Cancelled, Finding, InputError, MeasuresTable, SynthSegPlusError, WorkerError
from SynthSegPlusLib.contract.errors import error_of_kind
from SynthSegPlusLib.contract.exchange import read_array_volume, write_array_volume
from SynthSegPlusLib.contract.protocol import SegmentReply, decode, encode


def test_a_message_is_one_line_and_comes_back_equal():
    line = encode("stage", job="a", stage="line\nbreak", fraction=0.5, overall=0.25)
    assert "\n" not in line
    assert decode(line) == {"kind": "stage", "job": "a", "stage": "line\nbreak", "fraction": 0.5, "overall": 0.25}


@pytest.mark.parametrize("line", ["", "hello", "[1]", '{"kind": "dance"}', "{}"])
def test_what_is_no_message_is_refused(line):
    with pytest.raises(WorkerError):
        decode(line)


def test_an_unknown_kind_is_not_sent():
    with pytest.raises(WorkerError, match="dance"):
        encode("dance")


def test_an_error_keeps_its_kind_and_words_across_the_process_border():
    assert isinstance(error_of_kind("InputError", "x"), InputError)
    assert isinstance(error_of_kind("Cancelled", "x"), Cancelled)
    assert type(error_of_kind("ZeroDivisionError", "x")) is SynthSegPlusError
    assert str(error_of_kind("InputError", "what and why")) == "what and why"


def test_a_reply_survives_the_wire():
    finding = Finding("thin", "warning", "few slices")
    reply = SegmentReply("labels.json", None, None, MeasuresTable(()), 1.5e6, None, (finding,), {"version": "0"})
    assert SegmentReply.from_dict(decode(encode("done", job="a", result=reply.to_dict()))["result"]) == reply


def test_a_volume_survives_the_folder_with_its_dtype_and_geometry(tmp_path):
    data = np.arange(24, dtype=np.int32).reshape(2, 3, 4)[:, ::-1]
    affine = np.diag([1.5, -2, 3, 1.0])
    path = write_array_volume(tmp_path, "labels", data, affine)
    again, again_affine = read_array_volume(path)
    assert again.dtype == np.int32
    np.testing.assert_array_equal(again, data)
    np.testing.assert_array_equal(again_affine, affine)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.json", "labels.npy"]


def test_a_damaged_exchange_file_is_named(tmp_path):
    path = write_array_volume(tmp_path, "labels", np.zeros((2, 2, 2)), np.eye(4))
    (tmp_path / "labels.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"labels\.json"):
        read_array_volume(path)
