"""Several modes on one scan in one pass: what two modes compute alike is computed once.

Every mode runs through the public `Segmenter`; only its conformed scan and its networks' outputs are remembered
from the mode before, so each result is what the mode gives alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from SynthSegPlusLib.inference import ModelSet, Result, Segmenter
from SynthSegPlusLib.inference._pool import NetworkPool
from SynthSegPlusLib.networks import Chosen, Inputs
from SynthSegPlusLib.volume import Conformed, Volume

T = TypeVar("T")

CASCADE = "cascade"
"""Robust mode without S, of a set whose robust mode is averaged with it: the cascade as the paper has it."""
ORDER = ("fast", "s-d", "default", CASCADE, "robust", "s1-s2", "s1-s2-d")
"""Modes in the order in which the last posteriors of a network are those that the next mode needs."""
TITLES = {
    "robust": "robust", CASCADE: "S1-D-S2 without S", "s1-s2": "S1-S2", "fast": "S", "s-d": "S-D",
    "s1-s2-d": "S1-S2-D", "default": "S, mirrored (default)",
}  # fmt: skip
SCORED = ("robust", "fast", "default")
"""Modes whose results R looks at, and that get parcels where a scan has true ones."""
SHARED_ROLES = ("segmenter", "tissue", "structure")
"""Networks that two modes give the same input; D, S3 and R see something else in every mode."""


class Variants:
    """Segments a scan in several modes. ``runs`` counts how often each network really ran."""

    def __init__(self, model_set: ModelSet, modes: Sequence[str], **machine: Any) -> None:
        self.model_set = model_set
        averages = model_set.averages_segmenter("robust")
        known = (*model_set.modes, *([CASCADE] if averages else []))
        self.modes = tuple(mode for mode in ORDER if mode in modes and mode in known)
        self._machine = machine
        self._shared = _Shared()

    @property
    def runs(self) -> dict[str, int]:
        """Number of runs of each network so far."""
        return {} if self._shared.pool is None else dict(self._shared.pool.runs)

    def segment(
        self, volume: Volume, modes: Sequence[str] | None = None, ct: bool = False, parcellation: bool = False
    ) -> Iterator[tuple[str, Result]]:
        """(mode, result) of the modes, one after the other; with parcels where asked for and S3 is there."""
        self._shared.forget()
        for mode in self.modes if modes is None else [one for one in self.modes if one in modes]:
            scored = mode in SCORED
            model_set, real_mode = (_alone(self.model_set), "robust") if mode == CASCADE else (self.model_set, mode)
            segmenter = _SharingSegmenter(
                model_set, mode=real_mode, ct=ct, quality=scored and self.model_set.has("quality"),
                parcellation=scored and parcellation and self.model_set.has("parcellation"),
                quality_from_denoiser=mode == "robust", **self._machine,
            )  # fmt: skip
            segmenter.shared = self._shared
            yield mode, segmenter.segment(volume)
        self._shared.forget()


def _alone(model_set: ModelSet) -> ModelSet:
    rules = dataclasses.replace(model_set.postprocessing, segmenter_share=0.0)
    return dataclasses.replace(model_set, postprocessing=rules)


class _Shared:
    """What outlives one mode: the networks, and the conformed scan."""

    def __init__(self) -> None:
        self.pool: _RememberingPool | None = None
        self.conformed: dict[Any, Conformed] = {}

    def forget(self) -> None:
        self.conformed.clear()
        if self.pool is not None:
            self.pool.outputs.clear()


class _SharingSegmenter(Segmenter):
    shared: _Shared

    def _conform(self, volume: Volume, *patch: Any) -> Conformed:
        if patch not in self.shared.conformed:
            self.shared.conformed[patch] = super()._conform(volume, *patch)
        return self.shared.conformed[patch]

    def _networks(self, chosen: Chosen) -> NetworkPool:
        if self.shared.pool is None:
            self.shared.pool = _RememberingPool(self.model_set, self.options.precision, chosen.device, keep=True)
        self.shared.pool.warnings.clear()
        return self.shared.pool


class _RememberingPool(NetworkPool):
    """Keeps the outputs of each network that several modes give the same input; of its posteriors only the last two:
    those of a scan and of its mirror image.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.outputs: dict[tuple[str, str], dict[bytes, Any]] = {}
        self.runs: dict[str, int] = {}

    def run(self, role: str, work: Callable[[Any], T]) -> T:
        return super().run(role, lambda net: work(_Remembering(role, net, self)))

    def output(self, role: str, method: str, inputs: Inputs, make: Callable[[], T]) -> T:
        """``make()``, unless this network has just seen the same input."""
        if role not in SHARED_ROLES:
            return self._counted(role, make)
        digest, known = digest_of(inputs), self.outputs.setdefault((role, method), {})
        if digest not in known:
            while method == "slabs" and len(known) > 1:
                known.pop(next(iter(known)))  # their memory is free while the next ones are made
            known[digest] = self._counted(role, make)
        return known[digest]

    def _counted(self, role: str, make: Callable[[], T]) -> T:
        self.runs[role] = self.runs.get(role, 0) + 1
        return make()


class _Remembering:
    """A network whose outputs a pool remembers. What it hands out twice cannot be written to."""

    def __init__(self, role: str, net: Any, pool: _RememberingPool) -> None:
        self._role, self._net, self._pool = role, net, pool

    def argmax(self, inputs: Inputs, *callbacks: Any) -> np.ndarray:
        return self._pool.output(self._role, "argmax", inputs, lambda: _fixed(self._net.argmax(inputs, *callbacks)))

    def slabs(self, inputs: Inputs, *callbacks: Any) -> Iterator[tuple[slice, np.ndarray]]:
        def make() -> list[tuple[slice, np.ndarray]]:
            return [(planes, _fixed(slab)) for planes, slab in self._net.slabs(inputs, *callbacks)]

        return iter(self._pool.output(self._role, "slabs", inputs, make))

    def predict(self, groups: np.ndarray, *callbacks: Any) -> np.ndarray:
        inputs = Inputs(groups=groups)
        return self._pool.output(self._role, "predict", inputs, lambda: self._net.predict(groups, *callbacks))


def digest_of(inputs: Inputs) -> bytes:
    """The same for inputs that a network cannot tell apart."""
    found = hashlib.blake2b(str((inputs.shape, inputs.n_groups)).encode())
    for array in (inputs.image, inputs.groups):
        found.update(b"-" if array is None else str((array.shape, array.dtype)).encode())
        if array is not None:
            found.update(np.ascontiguousarray(array).data)
    return found.digest()


def _fixed(array: np.ndarray) -> np.ndarray:
    found = np.array(array)
    found.setflags(write=False)
    return found
