"""Which deep-learning backend runs, and on which device. Decided once, before Keras' first import."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract.errors import BackendError

BACKENDS = ("tensorflow", "torch", "jax")
"""Known backends, the preferred first."""

PROBE_SECONDS = 90.0
"""How long a backend may take to say what it sees; a first import from a cold disk takes half a minute."""

_INSTALL = "install one with pip: tensorflow (tensorflow-cpu on Linux without a GPU), torch or jax"


@dataclass(frozen=True)
class Backend:
    """What is known of one backend. ``problem`` says why it cannot be used, or is None."""

    name: str
    installed: bool
    version: str = ""
    gpus: tuple[str, ...] = ()
    gpu_kind: str = "cuda"
    problem: str | None = None

    @property
    def usable(self) -> bool:
        return self.installed and self.problem is None

    @property
    def devices(self) -> tuple[str, ...]:
        """Device names that `choose_backend` accepts for this backend."""
        return ("cpu", *(f"gpu:{index}" for index in range(len(self.gpus)))) if self.usable else ()


@dataclass(frozen=True)
class Chosen:
    """The decision: backend name, device ("cpu" or "gpu:N"), and the device in words."""

    backend: str
    device: str
    description: str


_chosen: Chosen | None = None


def probe_backends() -> list[Backend]:
    """What is installed and which devices each backend sees. Each installed one is asked once per process."""
    return [probe_backend(name) for name in BACKENDS]


@lru_cache
def probe_backend(name: str) -> Backend:
    """Ask one backend, in a subprocess with a time limit."""
    if importlib.util.find_spec(name) is None:
        return Backend(name, installed=False, problem="not installed")
    command = [sys.executable, str(Path(__file__).with_name("_probe.py")), name]
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, creationflags=flags,
            env=environment, stdin=subprocess.DEVNULL, cwd=Path(__file__).parent.parent.parent,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Backend(name, installed=True, problem=f"did not answer within {PROBE_SECONDS:.0f} s")
    except OSError as error:
        return Backend(name, installed=True, problem=f"could not be asked: {error}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Backend(name, installed=True, problem=f"fails to start (exit {done.returncode}): {last}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return Backend(name, True, answer["version"], tuple(answer["gpus"]), answer["kind"])


def choose_backend(preference: str | None = None, device: str = "auto", threads: int | None = None) -> Chosen:
    """Fix Keras' backend and the device of this process.

    Parameters
    ----------
    preference
        "tensorflow", "torch" or "jax"; None takes the environment's ``KERAS_BACKEND``, else the first
        installed one that sees a GPU, else the first installed one.
    device
        "auto" (a GPU if there is one), "cpu", "gpu", "gpu:N", "cuda", "cuda:N" or "mps".
    threads
        CPU threads of the backend; None leaves its default (all cores).

    Raises
    ------
    BackendError
        Nothing usable is installed, the device does not exist, or Keras already runs on another
        backend: that cannot be changed within a process.
    """
    global _chosen
    wanted = _parse_device(device)
    loaded = _loaded_backend()
    if preference is not None and preference not in BACKENDS:
        raise BackendError(f"The backend {preference!r} is unknown; choose {', '.join(BACKENDS)}.")
    if loaded and preference and preference != loaded:
        raise BackendError(
            f"Keras already runs on {loaded} in this process and cannot change to {preference}; start a new process, "
            f"or choose the backend before anything imports Keras."
        )
    if _chosen and loaded == _chosen.backend and _matches(_chosen.device, wanted):
        _set_threads(_chosen.backend, threads)
        return _chosen
    found = _select(loaded or preference or os.environ.get("KERAS_BACKEND") or None, wanted)
    chosen = _decide(found, wanted)
    _apply(chosen, threads, bool(loaded))
    _chosen = chosen
    return chosen


def chosen_backend() -> Chosen | None:
    """What `choose_backend` decided in this process, or None."""
    return _chosen


def _parse_device(device: str) -> tuple[str, int | None]:
    kind, _, number = device.lower().partition(":")
    numbered = kind in ("gpu", "cuda", "mps")
    if kind not in ("auto", "cpu", "gpu", "cuda", "mps") or (number and not (numbered and number.isdigit())):
        raise BackendError(f"The device {device!r} is unknown; choose auto, cpu, gpu, gpu:0, cuda or mps.")
    return kind, int(number) if number else None


def _matches(decided: str, wanted: tuple[str, int | None]) -> bool:
    kind, index = wanted
    if kind == "auto":
        return True
    return decided == "cpu" if kind == "cpu" else decided == f"gpu:{index or 0}"


def _loaded_backend() -> str | None:
    keras = sys.modules.get("keras")
    return keras.backend.backend() if keras is not None and hasattr(keras, "backend") else None


def _select(name: str | None, wanted: tuple[str, int | None]) -> Backend:
    if name is not None:
        if name not in BACKENDS:
            raise BackendError(f"KERAS_BACKEND is {name!r}; set it to one of {', '.join(BACKENDS)}, or unset it.")
        found = probe_backend(name) if _worth_probing(wanted) else _import_here(name)
        if not found.usable:
            raise BackendError(f"The backend {name} cannot be used: {found.problem}; choose another or install it.")
        return found
    usable = [found for found in _candidates(wanted) if found.usable]
    if not usable:
        problems = "; ".join(f"{found.name}: {found.problem}" for found in probe_backends())
        raise BackendError(f"No deep-learning backend can be used ({problems}); {_INSTALL}.")
    return next((found for found in usable if _has_device(found, wanted) and found.gpus), usable[0])


def _candidates(wanted: tuple[str, int | None]) -> Iterator[Backend]:
    """Backends to choose among: all, when a GPU may decide; otherwise the first that starts will do."""
    if _worth_probing(wanted):
        yield from probe_backends()
        return
    for name in BACKENDS:
        found = _import_here(name)
        yield found
        if found.usable:
            return


def _worth_probing(wanted: tuple[str, int | None]) -> bool:
    """Whether starting every backend just to look for GPUs (half a minute) can change anything."""
    return wanted[0] not in ("cpu", "auto") or (wanted[0] == "auto" and _gpu_may_exist())


def _gpu_may_exist() -> bool:
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return Path("/dev/kfd").exists()  # AMD's driver on Linux
    return True


def _import_here(name: str) -> Backend:
    """Start a backend in this process, for the CPU; it would be imported by Keras in a moment anyway."""
    if importlib.util.find_spec(name) is None:
        return Backend(name, installed=False, problem="not installed")
    _quiet()
    try:
        with _standard_error_muted():
            module = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        return Backend(name, installed=True, problem=f"fails to start: {error}")
    return Backend(name, True, module.__version__)


@contextlib.contextmanager
def _standard_error_muted() -> Iterator[None]:
    """TensorFlow greets on the file descriptor before its log level counts; Python errors still raise."""
    try:
        kept = os.dup(2)
    except OSError:  # a process without standard error, such as a windowed one
        yield
        return
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _quiet() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leave the GPU's memory to others too
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # Every scan has its own shape; that a function is traced anew for it is no news to anybody.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _has_device(found: Backend, wanted: tuple[str, int | None]) -> bool:
    kind, index = wanted
    if kind in ("auto", "cpu"):
        return True
    return (kind == "gpu" or kind == found.gpu_kind) and (index or 0) < len(found.gpus)


def _decide(found: Backend, wanted: tuple[str, int | None]) -> Chosen:
    kind, index = wanted
    if not _has_device(found, wanted):
        name = kind if index is None else f"{kind}:{index}"
        sees = ", ".join(found.gpus) or "no GPU"
        raise BackendError(f"The device {name} was asked for, but {found.name} sees {sees}; choose cpu, or auto.")
    if kind == "cpu" or not found.gpus:
        return Chosen(found.name, "cpu", f"CPU ({found.name} {found.version})")
    number = index or 0
    return Chosen(found.name, f"gpu:{number}", f"{found.gpus[number]} ({found.name} {found.version})")


def _apply(chosen: Chosen, threads: int | None, keras_is_loaded: bool) -> None:
    _quiet()
    if not keras_is_loaded:
        os.environ["KERAS_BACKEND"] = chosen.backend
    if chosen.backend == "jax" and "jax" not in sys.modules and chosen.device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    with _standard_error_muted():
        importlib.import_module(chosen.backend)
    _set_threads(chosen.backend, threads)


def _set_threads(backend: str, threads: int | None) -> None:
    """Limit CPU threads. XLA (jax) has no such setting; its pool follows the process' affinity."""
    if threads is None:
        return
    if threads < 1:
        raise BackendError(f"The number of threads is {threads}; give 1 or more.")
    if backend == "torch":
        import torch

        torch.set_num_threads(threads)
    elif backend == "tensorflow":
        _set_tensorflow_threads(threads)
    elif hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _set_tensorflow_threads(threads: int) -> None:
    import tensorflow

    threading = tensorflow.config.threading
    if threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise BackendError(
            f"TensorFlow has already started, so it cannot change to {threads} threads; set the threads at the start."
        ) from error


def on_device(device: str) -> Any:
    """Context in which Keras puts tensors on ``device`` ("cpu" or "gpu:N")."""
    import keras

    return keras.device(_keras_name(device, keras.backend.backend()))


def _keras_name(device: str, backend: str) -> str:
    """Keras calls every GPU "gpu:N", and has torch take that for one of CUDA's; Apple's keeps its own name."""
    if backend != "torch" or device == "cpu":
        return device
    import torch

    return device if torch.cuda.is_available() else "mps"
