"""The stand-in weights are the ones with which the reference made its numbers."""

from __future__ import annotations

import json

import pytest

from Testing.standin import ROLES, checksum, expected_checksum


@pytest.mark.parametrize("name", sorted(ROLES))
def test_stand_in_weights_have_the_checksum_of_the_references_own(name):
    assert checksum(name) == expected_checksum(name)


def test_checksums_are_those_of_the_reference_data(shared):
    stored = json.loads((shared / "reference" / "golden" / "manifests" / "SHA256.json").read_text())
    assert stored == {name: expected_checksum(name) for name in ROLES}
