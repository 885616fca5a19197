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

KEEP_BYTES = 4_000_000_000
"""Networks are kept for the next scan only while so much memory is free."""

_SIGNS_OF_SHORTAGE = ("out of memory", "resource_exhausted", "resource exhausted", "oom when allocating", "bad_alloc")


class NetworkPool:
    """Gives each stage its network and frees it afterwards, unless networks are kept for the next scan."""

    def __init__(self, model_set: ModelSet, precision: str, device: str, keep: bool):
        self.model_set = model_set
        self.precision = precision
        self.device = device
        self.keep = keep
        self.warnings: list[str] = []
        self._loaded: dict[tuple[str, str], Any] = {}

    def run(self, role: str, work: Callable[[Any], T]) -> T:
        """Run ``work(network)``; after a GPU ran out of memory, once more on the CPU.

        ``work`` must begin anew when it is called again. Raises `MemoryShortage` when the CPU has too little too.
        """
        try:
            return self._attempt(role, work, self.device)
        except Exception as error:
            if not is_memory_shortage(error):
                raise
            shortage = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        title = self.model_set.require(role).title
        self.release()
        if self.device == "cpu":
            raise MemoryShortage(
                f"The memory did not suffice for the {title} ({shortage}); close other programs, choose a crop, or run "
                f"without parcellation and quality control."
            )
        self.warnings.append(f"The GPU's memory did not suffice for the {title}; it ran on the CPU instead.")
        return self._attempt(role, work, "cpu")

    def fits(self, model_set: ModelSet, precision: str) -> bool:
        """Whether the loaded networks are those of this set and precision."""
        return precision == self.precision and dict(model_set.roles) == dict(self.model_set.roles)

    def release(self) -> None:
        """Forget all networks."""
        self._loaded.clear()
        gc.collect()

    def _attempt(self, role: str, work: Callable[[Any], T], device: str) -> T:
        network = self._network(role, device)
        try:
            return work(network)
        finally:
            del network
            if not self.keep or _is_scarce():
                self.release()

    def _network(self, role: str, device: str) -> Any:
        key = (role, device)
        if key not in self._loaded:
            found = self.model_set.require(role)
            found.verify()
            load = load_regressor if isinstance(found.network, RegressorSpec) else load_network
            self._loaded[key] = load(found.network, found.path, self.precision, device)  # type: ignore[arg-type]
        return self._loaded[key]


def _is_scarce() -> bool:
    free = free_memory()
    return free is not None and free < KEEP_BYTES


def is_memory_shortage(error: BaseException) -> bool:
    """Whether an error of any backend means that memory ran out."""
    if isinstance(error, (MemoryError, MemoryShortage)):
        return True
    text = f"{type(error).__name__} {error}".lower()
    return any(sign in text for sign in _SIGNS_OF_SHORTAGE) or "outofmemory" in text
