"""Every network equals the reference implementation's, on every backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from SynthSegPlusLib.networks import choose_backend
from Testing.networks.parity import differences, phantom_golden, scan_golden

SOFTMAX = 1e-4
"""Largest difference of a posterior; the reference differs from itself by 3e-5 when its summation order changes."""

LABELS = 3e-5
"""Share of voxels whose label may differ; the reference's own is 1e-5."""

SCORES = 1e-3
"""Largest difference of a raw quality score."""

NETWORKS = ("S1", "D", "S2", "S3", "S 2.0")


def assert_same(found):
    if "scores" in found:
        assert found["scores"] < SCORES
        return
    assert found["softmax"] < SOFTMAX
    assert found.get("labels", 0) <= LABELS * found.get("voxels", 1)


@pytest.fixture(scope="module")
def phantom():
    return phantom_golden()


@pytest.fixture(scope="module", autouse=True)
def backend():
    choose_backend(device="cpu")


@pytest.mark.parametrize("role", ["S1", "D", "S2", "S3", "S 2.0"])
def test_a_network_gives_the_references_posteriors_for_the_phantom(phantom, standin, role):
    assert_same(differences(phantom, role, standin))


@pytest.mark.long
def test_the_regressor_gives_the_references_scores_for_the_phantom(phantom, standin):
    differences(phantom, "S2", standin)
    assert_same(differences(phantom, "R", standin))


@pytest.mark.long
@pytest.mark.parametrize("role", [*NETWORKS, "R"])
def test_a_network_gives_the_references_numbers_for_an_oblique_scan(shared, standin, role):
    assert_same(differences(scan_golden(shared), role, standin))


def run_elsewhere(backend, weights, *roles):
    """The same comparison in a process of its own, where Keras runs on another backend."""
    command = [sys.executable, "-m", "Testing.networks.parity", backend, str(weights), *roles]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_gives_the_references_posteriors(backend, standin):
    pytest.importorskip(backend)
    assert_same(run_elsewhere(backend, standin, "S1")["S1"])


@pytest.mark.long
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_all_networks_agree_on_another_backend(backend, standin):
    pytest.importorskip(backend)
    found = run_elsewhere(backend, standin, "D", "S2", "S3", "S 2.0", "R")
    assert len(found) == 5
    for result in found.values():
        assert_same(result)
