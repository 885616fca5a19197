"""Too little memory, on the computer and on a GPU; networks that are kept for the next scan."""

from __future__ import annotations

import math

import numpy as np
import pytest

from SynthSegPlusLib.contract import MemoryShortage
from SynthSegPlusLib.inference import ModelSet, Segmenter, _memory, _pool
from SynthSegPlusLib.inference import segmenter as engine
from SynthSegPlusLib.inference._window import BrainBox
from Testing.inference.running import forget, segment
from Testing.inference.tiny import scan, write_tiny_set

TORCH_ON_LINUX = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "281474976710656 bytes. Error code 12 (Cannot allocate memory)"
)
TORCH_ON_WINDOWS = (
    "[enforce fail at alloc_cpu.cpp:115] data. DefaultCPUAllocator: not enough memory: you tried to allocate "
    "281474976710656 bytes."
)


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


def test_too_little_memory_is_said_with_numbers_before_running(tiny, monkeypatch):
    monkeypatch.setattr(_memory, "free_memory", lambda: 1_000_000)
    with pytest.raises(MemoryShortage, match=r"needs about \d+\.\d GB .* 0\.0 GB are free"):
        segment(tiny, mode="fast")


class _Failing:
    """A network that runs out of memory on a GPU."""

    def __init__(self, error):
        self.error = error

    def slabs(self, *arguments):
        raise self.error


@pytest.fixture
def gpu_without_memory(monkeypatch):
    """A pool whose device "gpu:0" fails with a given error, always (with another for small pieces, if there is one) or
    but for small pieces; the CPU works."""
    real = _pool.load_network

    def make(error, small_pieces_fit=False, then=None):
        def load(spec, path, precision, device, chunk_voxels):
            if device != "cpu" and not (chunk_voxels and small_pieces_fit):
                return _Failing(then if chunk_voxels and then else error)
            return real(spec, path, precision, "cpu", chunk_voxels)

        forget()
        monkeypatch.setattr(_pool, "load_network", load)
        original = _pool.NetworkPool.__init__

        def start(pool, model_set, precision, device, keep):
            original(pool, model_set, precision, "gpu:0", keep)

        monkeypatch.setattr(_pool.NetworkPool, "__init__", start)

    yield make
    forget()


def test_after_a_gpu_ran_out_of_memory_the_cpu_goes_on_and_the_record_says_so(tiny, gpu_without_memory):
    expected = segment(tiny, mode="fast")
    gpu_without_memory(RuntimeError("CUDA out of memory. Tried to allocate 3 GiB"))
    result = segment(tiny, mode="fast")
    assert np.array_equal(result.labels.data, expected.labels.data)
    assert len(result.record["warnings"]) == 1
    assert "ran on the CPU instead" in result.record["warnings"][0]
    assert not expected.record["warnings"]


def test_a_gpu_that_is_a_little_too_small_works_in_smaller_pieces(tiny, gpu_without_memory):
    expected = segment(tiny, mode="fast")
    gpu_without_memory(RuntimeError("CUDA out of memory"), small_pieces_fit=True)
    result = segment(tiny, mode="fast")
    assert np.array_equal(result.labels.data, expected.labels.data)
    assert [warning.partition("; ")[2] for warning in result.record["warnings"]] == ["it ran in smaller pieces."]


@pytest.mark.parametrize(
    ("error", "whose"), [(MemoryError(), "computer"), (RuntimeError("std::bad_alloc"), "computer"),
                         (RuntimeError(TORCH_ON_LINUX), "computer"), (RuntimeError(TORCH_ON_WINDOWS), "computer"),
                         (RuntimeError("CUDA out of memory"), "GPU")],
)  # fmt: skip
def test_a_shortage_is_blamed_on_the_memory_that_ran_out(tiny, gpu_without_memory, error, whose):
    gpu_without_memory(error, small_pieces_fit=True)
    (warning,) = segment(tiny, mode="fast").record["warnings"]
    assert warning.startswith(f"The {whose}'s memory did not suffice")


def test_both_memories_are_named_where_one_ran_out_after_the_other(tiny, gpu_without_memory):
    gpu_without_memory(RuntimeError("CUDA out of memory"), then=MemoryError())
    (warning,) = segment(tiny, mode="fast").record["warnings"]
    assert warning.startswith("The GPU's and the computer's memory did not suffice for the single")


def test_a_network_that_runs_short_twice_is_named_once(tmp_path, backend, gpu_without_memory, monkeypatch):
    models = write_tiny_set(tmp_path / "framed", ("segmenter",), field_of_view_mm=[64, 80, 64])
    monkeypatch.setattr(engine, "brain_box", lambda *_: BrainBox((0.0, 0.0, 0.0), (64, 80, 64)))
    monkeypatch.setattr(_Failing, "argmax", _Failing.slabs, raising=False)
    gpu_without_memory(RuntimeError("CUDA out of memory"), small_pieces_fit=True)
    assert len(segment(models, mode="fast").record["warnings"]) == 1


def test_another_error_of_a_gpu_is_not_hidden(tiny, gpu_without_memory):
    gpu_without_memory(RuntimeError("illegal instruction"))
    with pytest.raises(RuntimeError, match="illegal instruction"):
        segment(tiny, mode="fast")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: OOM when allocating tensor"),
     RuntimeError("std::bad_alloc"), type("OutOfMemoryError", (RuntimeError,), {})("x"),
     RuntimeError(TORCH_ON_LINUX), RuntimeError(TORCH_ON_WINDOWS),
     ResourceExhaustedError("{{function_node __wrapped__AddV2_device_/job:localhost/replica:0/task:0/device:GPU:0}} "
                            "failed to allocate memory [Op:AddV2]"),
     RuntimeError("failed to allocate memory [Op:AddV2]"), RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
     RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")],
)  # fmt: skip
def test_every_backends_shortage_is_recognised(error):
    assert _pool.is_memory_shortage(error)
    assert not _pool.is_memory_shortage(ValueError("shape mismatch"))


def test_a_cpu_without_memory_is_said_in_words(tiny, monkeypatch):
    monkeypatch.setattr(_pool, "load_network", lambda *arguments: _Failing(MemoryError()))
    forget()
    with pytest.raises(MemoryShortage, match="did not suffice for the single segmentation network"):
        segment(tiny, mode="fast")
    forget()


def test_kept_networks_are_used_again_and_give_the_same(tiny, monkeypatch):
    loads = []
    real = _pool.load_network
    monkeypatch.setattr(_pool, "load_network", lambda *values: loads.append(values) or real(*values))
    monkeypatch.setattr(_pool, "free_memory", lambda: math.inf)
    segmenter = Segmenter(ModelSet.load(tiny), mode="robust", device="cpu", keep_networks=True)
    first, second = segmenter.segment(scan()), segmenter.segment(scan())
    assert len(loads) == 3
    assert np.array_equal(first.labels.data, second.labels.data)
    segmenter.release()
    segmenter.segment(scan())
    assert len(loads) == 6


def test_kept_networks_are_freed_where_memory_is_scarce(tiny, monkeypatch):
    segmenter = Segmenter(ModelSet.load(tiny), mode="fast", device="cpu", keep_networks=True)
    monkeypatch.setattr(_pool, "free_memory", lambda: 0)
    segmenter.segment(scan())
    assert not segmenter._pool._loaded
