"""Networks of a model set on the chosen device: loaded one at a time, with a way out when memory runs short."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, TypeVar

from SynthSegPlusLib.contract.errors import MemoryShortage
from SynthSegPlusLib.inference._memory import free_memory
from SynthSegPlusLib.inference.model_set import ModelSet
from SynthSegPlusLib.networks import RegressorSpec, load_network, load_regressor

T = TypeVar("T")

SMALL_CHUNK_VOXELS = 600_000
"""How much a GPU works on at a time after its memory ran out: a quarter of what suits it."""

KEEP_BYTES = 4_000_000_000
"""Networks are kept for the next scan only while so much memory is free."""

_SIGNS_OF_SHORTAGE = (
    "out of memory", "outofmemory", "resource_exhausted", "resource exhausted", "resourceexhausted",
    "oom when allocating", "failed to allocate memory", "bad_alloc", "alloc_failed", "cpuallocator",
)  # fmt: skip


class NetworkPool:
    """Gives each stage its network and frees it afterwards, unless networks are kept for the next scan."""

    def __init__(self, model_set: ModelSet, precision: str, device: str, keep: bool):
        self.model_set = model_set
        self.precision = precision
        self.device = device
        self.keep = keep
        self.warnings: list[str] = []
        self._loaded: dict[tuple[str, str, int | None], Any] = {}

    def run(self, role: str, work: Callable[[Any], T]) -> T:
        """Run ``work(network)``; when a GPU's memory runs out, again with smaller pieces, then on the CPU.

        ``work`` must begin anew when it is called again. Raises `MemoryShortage` when the CPU has too little too.
        """
        title = self.model_set.require(role).title
        attempts: list[tuple[str, int | None, str]] = [(self.device, None, "")]
        if self.device != "cpu":
            attempts.append((self.device, SMALL_CHUNK_VOXELS, "it ran in smaller pieces"))
            attempts.append(("cpu", None, "it ran on the CPU instead"))
        shortage = ""
        owners: list[str] = []
        for device, chunk_voxels, way_out in attempts:
            if way_out:
                self.release()
            try:
                result = self._attempt(role, work, device, chunk_voxels)
            except Exception as error:
                if not is_memory_shortage(error):
                    raise
                owners.append("computer's" if _is_of_the_computer(error) else "GPU's")
                shortage = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
                continue
            if way_out:
                whose = " and the ".join(dict.fromkeys(owners))
                self.warnings.append(f"The {whose} memory did not suffice for the {title}; {way_out}.")
            return result
        raise MemoryShortage(
            f"The memory did not suffice for the {title} ({shortage}); close other programs, choose a crop, or run "
            f"without parcellation and quality control."
        )

    def fits(self, model_set: ModelSet, precision: str) -> bool:
        """Whether the loaded networks are those of this set and precision."""
        return precision == self.precision and dict(model_set.roles) == dict(self.model_set.roles)

    def release(self) -> None:
        """Forget all networks."""
        self._loaded.clear()
        gc.collect()

    def _attempt(self, role: str, work: Callable[[Any], T], device: str, chunk_voxels: int | None) -> T:
        network = self._network(role, device, chunk_voxels)
        try:
            return work(network)
        finally:
            del network
            if not self.keep or _is_scarce():
                self.release()

    def _network(self, role: str, device: str, chunk_voxels: int | None) -> Any:
        key = (role, device, chunk_voxels)
        if key not in self._loaded:
            found = self.model_set.require(role)
            found.verify()
            load: Any = load_regressor if isinstance(found.network, RegressorSpec) else load_network
            self._loaded[key] = load(found.network, found.path, self.precision, device, chunk_voxels)
        return self._loaded[key]


def _is_scarce() -> bool:
    free = free_memory()
    return free is not None and free < KEEP_BYTES


def _is_of_the_computer(error: BaseException) -> bool:
    """Whether the memory that ran out was not a GPU's, for which backends have errors of their own."""
    return isinstance(error, (MemoryError, MemoryShortage)) or "bad_alloc" in str(error) or "CPUAllocator" in str(error)


def is_memory_shortage(error: BaseException) -> bool:
    """Whether an error of any backend means that memory ran out."""
    if isinstance(error, (MemoryError, MemoryShortage)):
        return True
    text = f"{type(error).__name__} {error}".lower()
    return any(sign in text for sign in _SIGNS_OF_SHORTAGE)
