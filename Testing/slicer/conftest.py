"""The test host for tests that run inside a scene: one for the whole run, cleared before each test."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from Testing import host


@pytest.fixture(scope="session")
def _session_host() -> Iterator[host.Host]:
    reason = host.missing_requirement()
    if reason is not None:
        pytest.skip(f"the Slicer test host cannot run: {reason}")
    with pytest.MonkeyPatch.context() as environment:
        # What this person has set up for own work must not decide which networks are found.
        for name in ("SYNTHSEGPLUS_MODELS", "FREESURFER_HOME"):
            environment.delenv(name, raising=False)
        started = host.start()
        yield started
        started.stop()


@pytest.fixture
def slicer_host(_session_host: host.Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[host.Host]:
    """The host with an empty scene and testing mode on.

    An error in what Qt or VTK calls back ends nothing in Slicer, it is only printed; here it fails the test.
    """
    errors: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: errors.append("".join(traceback.format_exception(*error))))
    _session_host.reset()
    yield _session_host
    assert not errors, "\n".join(errors)


@pytest.fixture
def opened(slicer_host: host.Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A panel that shows a result in which cortex and thalamus failed."""
    import slicer

    from Testing.slicer.helpers import add_scan, any_set, open_panel

    monkeypatch.setattr("SynthSegPlusLib.panel._modelPart.ModelSet.find", lambda folder: any_set())
    add_scan()
    with open_panel(slicer_host, failing=("cortex", "thalamus")) as opened:
        opened.parameters.parcellation = True
        opened.parameters.opacity = 1.0
        opened.apply()
        slicer.util.resetSliceViews()
        slicer_host.process_events()
        yield opened
