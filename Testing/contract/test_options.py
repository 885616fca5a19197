import pytest

from SynthSegPlusLib.contract import MODE_MEANINGS, OptionsError, SegmentOptions


def test_options_survive_a_trip_through_plain_values():
    options = SegmentOptions(mode="fast", parcellation=True, crop=(160, 192, 160), qc_threshold=0.5)
    assert SegmentOptions.from_dict(options.to_dict()) == options


def test_every_mode_with_a_meaning_is_accepted():
    for mode in MODE_MEANINGS:
        assert SegmentOptions(mode=mode).mode == mode


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"mode": "quick"}, "quick"),
        ({"qc_threshold": 1.5}, "1.5"),
        ({"qc_threshold": float("nan")}, "nan"),
        ({"crop": (0, 10, 10)}, "0, 10, 10"),
        ({"crop": (10, 10)}, "10, 10"),
        ({"label_version": "1.0", "mode": "robust"}, "robust"),
        ({"precision": "float8"}, "float8"),
        ({"scheme": "other"}, "other"),
    ],
)
def test_a_wrong_value_is_named_in_the_error(values, named):
    with pytest.raises(OptionsError, match=named):
        SegmentOptions(**values)


def test_one_crop_size_means_a_cube():
    assert SegmentOptions(crop=[160]).crop == (160, 160, 160)


def test_an_unknown_option_is_named_with_the_known_ones():
    with pytest.raises(OptionsError, match=r"robustness.*mode"):
        SegmentOptions.from_dict({"robustness": 1})
