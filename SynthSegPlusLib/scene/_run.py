"""One segmentation of a node: export, worker, nodes. The panel and the console both come through here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract.errors import Cancelled, InputError, OutputError, SynthSegPlusError, WorkerError
from SynthSegPlusLib.contract.exchange import write_array_volume
from SynthSegPlusLib.contract.options import SegmentOptions
from SynthSegPlusLib.contract.protocol import SegmentReply
from SynthSegPlusLib.scene._engine import Engine, Job, Progress
from SynthSegPlusLib.scene._geometry import arrayAndAffine
from SynthSegPlusLib.scene._result import ResultNodes, makeNodes


@dataclass(frozen=True)
class Request:
    """How to run: what to compute, with which model set, on what.

    `models` None takes the set found first; `backend` None and `device` "auto" leave the choice to the worker;
    `threads` None takes all. `resampled` also brings the scan as the networks saw it.
    """

    options: SegmentOptions = SegmentOptions()
    models: Path | None = None
    backend: str | None = None
    device: str = "auto"
    threads: int | None = None
    resampled: bool = False

    def fields(self) -> dict[str, Any]:
        """As the worker's `segment` command wants them."""
        return {
            "options": self.options.to_dict(),
            "models": None if self.models is None else str(self.models),
            "backend": self.backend,
            "device": self.device,
            "threads": self.threads,
            "resampled": self.resampled,
        }


class SegmentRun:
    """A run under way or over. `result` or `error` is set when `finished`.

    A scan that is deleted, or whose scene is closed, ends the run at the next poll.
    """

    def __init__(self, engine: Engine, inputNode: Any, request: Request, onProgress: Progress | None = None,
                 onDone: Callable[[ResultNodes], None] | None = None,
                 onError: Callable[[SynthSegPlusError], None] | None = None) -> None:
        self.result: ResultNodes | None = None
        self.error: SynthSegPlusError | None = None
        self.inputName = inputNode.GetName()
        self.started = time.monotonic()
        self._engine, self._scene, self._input = engine, inputNode.GetScene(), inputNode
        self._onDone, self._onError = onDone, onError
        data, affine = arrayAndAffine(inputNode)
        self._job = Job("segment", self._done, self._failed, onProgress)
        try:
            exported = write_array_volume(self._job.folder, "input", data, affine)
        except OSError as error:
            self._job.discard()
            raise OutputError(
                f"The scan could not be handed to the worker ({error}); free some disk space and try again."
            ) from error
        outputs = self._job.folder / "outputs"
        outputs.mkdir()
        engine.submit(self._job, {"input": str(exported), "name": self.inputName, "outputs": str(outputs),
                                  **request.fields()})

    @property
    def finished(self) -> bool:
        return self.result is not None or self.error is not None

    @property
    def cancelling(self) -> bool:
        return self._job.cancelling and not self.finished

    def cancel(self) -> None:
        """Stop; the end comes with a later poll."""
        self._engine.cancel(self._job)

    def poll(self) -> bool:
        """Bring the run forward; whether it is finished."""
        if not self.finished and not self._job.cancelling and not self._scene.IsNodePresent(self._input):
            self.cancel()
        self._engine.poll()
        return self.finished

    def _done(self, values: Any) -> None:
        if not self._scene.IsNodePresent(self._input):
            self._failed(Cancelled())
            return
        try:
            result = makeNodes(self._input, SegmentReply.from_dict(values))
        except SynthSegPlusError as error:
            self._failed(error)
        except (KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
            self._failed(WorkerError(f"The worker's result could not be shown ({type(error).__name__}: {error}); "
                                     "copy the diagnostics and report this."))
        else:
            self.result = result
            if self._onDone is not None:
                self._onDone(result)

    def _failed(self, error: SynthSegPlusError) -> None:
        if isinstance(error, Cancelled) and not self._scene.IsNodePresent(self._input):
            error = InputError(f"The scan {self.inputName!r} was removed from the scene during the run; "
                               "nothing was made. Load it again to segment it.")
        self.error = error
        if self._onError is not None:
            self._onError(error)
