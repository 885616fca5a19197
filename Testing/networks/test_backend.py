"""The backend is chosen before Keras starts, and a choice that cannot be kept is refused."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from SynthSegPlusLib.contract.errors import BackendError
from SynthSegPlusLib.networks import Backend, _backend, _probe, choose_backend, chosen_backend, probe_backends
from SynthSegPlusLib.networks._backend import _decide, _parse_device, _select, on_device


@pytest.fixture
def installed(monkeypatch):
    """Pretend that backends were asked and answered; nothing is started."""

    def pretend(**gpus):
        answers = {name: Backend(name, False, problem="not installed") for name in _backend.BACKENDS}
        answers |= {name: Backend(name, True, "1.0", tuple(seen)) for name, seen in gpus.items()}
        monkeypatch.setattr(_backend, "probe_backend", answers.__getitem__)
        monkeypatch.setattr(_backend, "_import_here", answers.__getitem__)
        monkeypatch.setattr(_backend, "_gpu_may_exist", lambda: any(gpus.values()))

    return pretend


def decided(name, device):
    wanted = _parse_device(device)
    chosen = _decide(_select(name, wanted), wanted)
    return chosen.backend, chosen.device


def test_tensorflow_is_preferred(installed):
    installed(tensorflow=[], torch=[], jax=[])
    assert decided(None, "auto") == ("tensorflow", "cpu")


def test_the_only_backend_that_sees_a_gpu_is_taken(installed):
    installed(tensorflow=[], torch=["H100"], jax=[])
    assert decided(None, "auto") == ("torch", "gpu:0")
    assert decided(None, "cuda") == ("torch", "gpu:0")


def test_the_cpu_is_used_when_asked_for_although_there_is_a_gpu(installed):
    installed(torch=["H100"])
    assert decided(None, "cpu") == ("torch", "cpu")


def test_a_gpu_is_chosen_by_number(installed):
    installed(jax=["first", "second"])
    assert decided(None, "gpu:1") == ("jax", "gpu:1")
    with pytest.raises(BackendError, match=r"gpu:2 was asked for, but jax sees first, second"):
        decided(None, "gpu:2")


def test_a_gpu_that_no_backend_sees_is_an_error_that_says_what_to_do(installed):
    installed(tensorflow=[])
    with pytest.raises(BackendError, match="sees no GPU; choose cpu, or auto"):
        decided(None, "gpu")


def test_the_environments_choice_counts(installed, monkeypatch):
    installed(tensorflow=[], torch=[])
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert _select("torch", ("cpu", None)).name == "torch"
    with pytest.raises(BackendError, match="KERAS_BACKEND is 'theano'"):
        _select("theano", ("cpu", None))


def test_nothing_installed_is_an_error_that_names_each_and_what_to_install(installed):
    installed()
    with pytest.raises(BackendError, match=r"tensorflow: not installed; torch: not installed; .*install one with pip"):
        decided(None, "auto")


def test_a_named_backend_that_is_missing_is_not_replaced(installed):
    installed(tensorflow=[])
    with pytest.raises(BackendError, match="jax cannot be used: not installed"):
        decided("jax", "auto")


@pytest.mark.parametrize("device", ["tpu", "cpu:0", "gpu:x", "auto:1", ""])
def test_unknown_devices_are_refused(device):
    with pytest.raises(BackendError, match="choose auto, cpu, gpu"):
        _parse_device(device)


def test_a_backend_that_hangs_or_crashes_is_reported_not_waited_for(monkeypatch, tmp_path):
    script = tmp_path / "_probe.py"
    monkeypatch.setattr(_backend, "__file__", str(tmp_path / "_backend.py"))
    monkeypatch.setattr(_backend.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(_backend, "PROBE_SECONDS", 1.0)
    ask = _backend.probe_backend.__wrapped__
    script.write_text("import time; time.sleep(60)")
    assert "did not answer within 1 s" in ask("torch").problem
    script.write_text("raise ImportError('libcudnn is missing')")
    assert "fails to start (exit 1): ImportError: libcudnn is missing" in ask("torch").problem
    script.write_text('print(\'hello\'); print(\'{"version": "9", "gpus": [], "kind": "cuda"}\')')
    assert ask("torch").devices == ("cpu",)


@pytest.mark.parametrize(
    ("backend", "cuda", "device", "expected"),
    [("torch", False, "gpu:0", "mps"), ("torch", True, "gpu:1", "gpu:1"), ("torch", False, "cpu", "cpu"),
     ("jax", False, "gpu:0", "gpu:0")],
)  # fmt: skip
def test_keras_is_told_the_name_that_its_backend_knows_the_gpu_by(monkeypatch, backend, cuda, device, expected):
    keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: backend), device=lambda name: name)
    monkeypatch.setitem(sys.modules, "keras", keras)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: cuda)))
    assert on_device(device) == expected


@pytest.fixture
def on_a_mac(monkeypatch):
    """Torch as on a Mac with an Apple GPU, where the CPU stands for that GPU, and these operators fail."""
    torch = pytest.importorskip("torch")

    def pretend(*lacking):
        def refuse(*arguments, **options):
            raise NotImplementedError("The operator is not currently implemented for the MPS device.")

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        monkeypatch.setattr(_probe, "APPLE_GPU", "cpu")
        for operator in lacking:
            monkeypatch.setattr(torch.nn.functional, operator, refuse)

    return pretend


def test_an_apple_gpu_is_seen_where_it_knows_what_the_networks_need(on_a_mac):
    on_a_mac()
    assert (_probe._torch()["gpus"], _probe._torch()["kind"]) == (["Apple GPU"], "mps")


@pytest.mark.parametrize("operator", ["conv3d", "max_pool3d"])
def test_an_apple_gpu_that_cannot_run_the_networks_is_none(on_a_mac, operator):
    on_a_mac(operator)
    assert _probe._torch()["gpus"] == []


def test_once_keras_runs_another_backend_is_refused():
    chosen = choose_backend(device="cpu")
    import keras

    assert keras.backend.backend() == chosen.backend
    assert chosen_backend() == chosen
    assert choose_backend(device="cpu") is chosen
    other = "torch" if chosen.backend != "torch" else "jax"
    with pytest.raises(BackendError, match=f"already runs on {chosen.backend} .* start a new process"):
        choose_backend(other)


def test_fewer_than_one_thread_is_refused():
    with pytest.raises(BackendError, match="threads is 0"):
        choose_backend(device="cpu", threads=0)


def test_importing_the_package_starts_nothing():
    code = (
        "import sys, SynthSegPlusLib.networks\n"
        "heavy = {'keras', 'tensorflow', 'torch', 'jax', 'h5py', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_every_installed_backend_answers_with_its_version():
    for found in probe_backends():
        assert found.usable == (found.problem is None)
        if found.installed:
            assert found.problem is None
            assert found.version
            assert found.devices[0] == "cpu"
