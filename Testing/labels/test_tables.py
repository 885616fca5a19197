"""The label tables against the published channel orders, and their inner consistency."""

import subprocess
import sys

import numpy as np
import pytest

from SynthSegPlusLib.labels import generation_labels, lobes, parcels, qc_regions, structures, tissues

# Channel order, flip vectors and topology classes as the published models define them.
VALUES_2_0 = [0, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 26, 28,
              41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60]  # fmt: skip
FLIP_2_0 = [0, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 11, 12, 13, 29, 30, 16, 31, 32,
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 17, 18]  # fmt: skip
FLIP_1_0 = [0, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 11, 12, 13, 28, 29, 30, 31,
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17]  # fmt: skip
TOPOLOGY_2_0 = [0, 4, 4, 4, 4, 5, 5, 6, 7, 8, 9, 1, 2, 3, 10, 11, 0, 12, 13,
                14, 14, 14, 14, 15, 15, 16, 17, 18, 19, 20, 21, 22, 23]  # fmt: skip
TISSUE_2_0 = [0, 1, 2, 3, 3, 4, 4, 1, 1, 1, 1, 3, 3, 1, 2, 2, 0, 1, 1,
              1, 2, 3, 3, 4, 4, 1, 1, 1, 1, 2, 2, 1, 1]  # fmt: skip
QC_2_0 = [0, 1, 2, 3, 3, 4, 4, 6, 1, 7, 7, 3, 3, 5, 8, 8, 0, 1, 1,
          1, 2, 3, 3, 4, 4, 6, 1, 7, 7, 8, 8, 1, 1]  # fmt: skip

TABLES = [structures("2.0"), structures("1.0"), parcels()]


def test_the_2_0_table_has_the_published_channels():
    table = structures("2.0")
    assert table.values.dtype == np.int32
    assert table.values.tolist() == VALUES_2_0
    assert table.partners.tolist() == FLIP_2_0
    assert table.topology.tolist() == TOPOLOGY_2_0
    assert table.cortex == {"left": 3, "right": 42}


def test_the_1_0_table_is_the_2_0_table_without_extracerebral_csf():
    assert structures("1.0").values.tolist() == [value for value in VALUES_2_0 if value != 24]
    assert structures("1.0").partners.tolist() == FLIP_1_0
    assert 24 not in structures("1.0")


def test_the_parcels_skip_the_corpus_callosum_number():
    ids = [number for number in range(1, 36) if number != 4]
    assert parcels().values.tolist() == [0, *(1000 + i for i in ids), *(2000 + i for i in ids)]
    assert parcels()[1001].name == "ctx-lh-bankssts"
    assert parcels()[2035].name == "ctx-rh-insula"
    assert [label.cortex for label in parcels().select("left")] == [3] * 34
    assert [label.cortex for label in parcels().select("right")] == [42] * 34


@pytest.mark.parametrize("table", TABLES, ids=repr)
def test_partners_are_mutual_and_on_the_other_side(table):
    assert np.array_equal(table.partners[table.partners], np.arange(len(table)))
    for label in table:
        other = table[label.partner]
        if label.hemisphere == "none":
            assert other is label
        else:
            assert {label.hemisphere, other.hemisphere} == {"left", "right"}
            assert other.title.lower().replace("right", "left") == label.title.lower().replace("right", "left")
            assert other.snomed is None or other.snomed.code == label.snomed.code


def test_titles_and_names_say_the_side_the_row_is_on():
    for table in TABLES:
        for label in table.select("left") + table.select("right"):
            assert label.title.startswith(label.hemisphere.capitalize())
            assert label.name.startswith((label.hemisphere + " ", f"ctx-{label.hemisphere[0]}h-"))


def test_lookup_goes_by_value_and_names_the_missing_one():
    table = structures()
    assert table.channel(17) == 14
    assert table[17].name == "left hippocampus"
    assert table[17].title == "Left hippocampus"
    assert table.channels([3, 42]).tolist() == [2, 20]
    with pytest.raises(KeyError, match="1001"):
        table.channel(1001)
    with pytest.raises(ValueError, match=r"3\.0"):
        structures("3.0")


def test_published_groupings_match_the_published_tables():
    table = structures("2.0")
    assert tissues("published").channels(table).tolist() == TISSUE_2_0
    assert qc_regions("published").channels(table).tolist() == QC_2_0
    assert len(qc_regions("published")) == 9
    assert qc_regions("published").names[1:] == (
        "general white matter", "general grey matter", "general csf", "cerebellum",
        "brainstem", "thalamus", "putamen+pallidum", "hippocampus+amygdala",
    )  # fmt: skip


def test_the_papers_groupings_have_four_tissues_and_ten_regions():
    assert len(tissues("paper")) == 5
    regions = qc_regions("paper")
    assert len(regions) == 11
    table = structures("2.0")
    assert regions.members("hippocampus", table) == (17, 53)
    assert regions.members("lateral ventricle", table) == (4, 5, 43, 44)
    assert all(regions.members(name, table) for name in regions.names[1:])
    assert tissues("paper").members("fluid", table) == (4, 5, 14, 15, 24, 43, 44)
    assert regions.name_of(11) is None
    with pytest.raises(ValueError, match="scheme"):
        tissues("mine")


@pytest.mark.parametrize("grouping", [f(s) for f in (tissues, qc_regions) for s in ("published", "paper")])
def test_groups_are_symmetric_and_parcels_follow_their_cortex(grouping):
    for table in TABLES:
        groups = grouping.channels(table)
        assert np.array_equal(groups, groups[table.partners])
    assert {grouping[label.value] for label in parcels().select()} == {grouping[3]}


def test_every_parcel_has_a_lobe():
    assert lobes().names == ("background", "temporal", "cingulate", "frontal", "occipital", "parietal", "insula")
    assert all(lobes()[label.value] > 0 for label in parcels().select())
    assert lobes()[17] == 0


def test_colours_tell_structures_apart_and_show_partners_as_kin():
    for table in TABLES:
        colours = np.array([label.colour for label in table])
        assert colours.min() >= 0
        assert colours.max() <= 255
        assert len({label.colour for label in table}) == len(table)
        kin = np.linalg.norm(colours - colours[table.partners], axis=1)
        assert kin.max() < 70
        left = np.array([label.colour for label in table.select("left")])
        apart = np.linalg.norm(left[:, None] - left[None], axis=2) + 1000 * np.eye(len(left))
        assert apart.min() > 25


def test_codes_are_snomed_or_dicom_numbers_with_the_side():
    coded = [label for table in TABLES for label in table if label.snomed]
    assert all(label.snomed.scheme in ("SCT", "DCM") and label.snomed.code.isdigit() for label in coded)
    assert structures()[17].snomed.code == "5366008"
    assert structures()[17].snomed.laterality == ("7771000", "Left")
    assert structures()[53].snomed.laterality == ("24028007", "Right")
    assert structures()[16].snomed.laterality is None
    assert all(label.snomed for label in structures().select())
    assert structures()[0].snomed is None


# Verhoeff's dihedral tables: the last digit of every SNOMED CT identifier is a check digit.
PRODUCT = [[(a + b) % 5 if a < 5 and b < 5 else 5 + (a + b) % 5 if a < 5 else 5 + (a - b) % 5 if b < 5 else (a - b) % 5
            for b in range(10)] for a in range(10)]  # fmt: skip
PERMUTATION = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def verhoeff(code: str) -> int:
    """0 for an identifier with a right check digit."""
    total = 0
    for place, digit in enumerate(int(c) for c in reversed(code)):
        for _ in range(place):
            digit = PERMUTATION[digit]
        total = PRODUCT[total][digit]
    return total


def test_snomed_codes_have_a_right_check_digit():
    codes = {label.snomed.code for table in TABLES for label in table if label.snomed and label.snomed.scheme == "SCT"}
    assert len(codes) > 30
    assert [code for code in codes if verhoeff(code)] == []
    assert verhoeff("5366009") != 0


def test_the_training_table_is_aligned_with_the_published_one():
    table = generation_labels()
    assert len(table) == 54
    assert [label.hemisphere for label in table] == ["none"] * 18 + ["left"] * 18 + ["right"] * 18
    assert np.array_equal(np.unique(table.classes), np.arange(48))
    assert set(table.segmentation_values("2.0").tolist()) == set(VALUES_2_0)
    assert set(table.segmentation_values("1.0").tolist()) == set(VALUES_2_0) - {24}
    assert table[25].segmentation["2.0"] == 2
    assert table[164].segmentation["1.0"] == 44
    assert table[17].intensity_class == table[18].intensity_class == 27
    for label in table:
        assert table[label.partner].partner == label.value
    with pytest.raises(KeyError, match="999"):
        table[999]


def test_the_tables_cannot_be_changed_by_a_caller():
    with pytest.raises(ValueError, match="read-only"):
        structures().values[0] = 5


def test_labels_need_nothing_but_numpy():
    blocked = "nibabel scipy SimpleITK h5py keras tensorflow torch jax slicer vtk"
    code = (
        "import sys\n"
        f"for name in {blocked.split()!r}: sys.modules[name] = None\n"
        "from SynthSegPlusLib.labels import structures\nassert len(structures()) == 33\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
