"""One segmentation of a node: export, worker, nodes. The panel and the console both come through here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract.errors import Cancelled, InputError, OutputError, SynthSegPlusError, WorkerError
from SynthSegPlusLib.contract.exchange import write_array_volume
from SynthSegPlusLib.contract.options import SegmentOptions
from SynthSegPlusLib.contract.protocol import SegmentReply
from SynthSegPlusLib.scene._background import Background
from SynthSegPlusLib.scene._engine import Engine, Job, Progress, guarded
from SynthSegPlusLib.scene._geometry import Place, arrayAndAffine, transformFindings
from SynthSegPlusLib.scene._result import ResultNodes, makeNodes, readArrays


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


class _Command(ABC):
    """A command about a scan: the scan is written in a thread, then the worker is asked."""

    def __init__(self, kind: str, engine: Engine, inputNode: Any, fields: Mapping[str, Any],
                 onProgress: Progress | None = None) -> None:
        self.finished = False
        self._engine, self._fields = engine, dict(fields)
        data, affine = arrayAndAffine(inputNode)
        self._job = Job(kind, self._done, self._failed, onProgress)
        folder = self._job.folder
        # The array keeps its memory alive, whatever becomes of the node meanwhile.
        self._work: Background | None = Background("export", lambda: write_array_volume(folder, "input", data, affine))
        self._sent = False

    def cancel(self) -> None:
        """Stop; the end comes with a later poll."""
        if self._sent:
            self._engine.cancel(self._job)
        self._job.cancelling = True

    def abandon(self) -> None:
        """End the command at once, since nobody polls it any more, and delete its files."""
        if not self.finished:
            if self._work is not None:
                self._work.wait()
            self._end(Cancelled())

    def poll(self) -> bool:
        """Bring the command forward; whether it is finished."""
        if self.finished or self._work is None or not self._work.finished:
            return self.finished
        work, self._work = self._work, None
        if self._job.cancelling:
            self._end(Cancelled())
            return self.finished
        try:
            outcome = work.result()
        except OSError as error:
            self._end(OutputError(f"The scan and the worker could not exchange files ({error}); free some disk "
                                  "space and try again."))
        except SynthSegPlusError as error:
            self._end(error)
        except (KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
            self._end(_notShown(error))
        else:
            self._worked(outcome)
        return self.finished

    def _worked(self, outcome: Any) -> None:
        self._sent = True
        self._engine.submit(self._job, {"input": str(outcome), **self._fields})

    def _end(self, error: SynthSegPlusError) -> None:
        """Fail on this side of the worker."""
        self._failed(error)
        self._job.discard()

    @abstractmethod
    def _done(self, values: Any) -> object:
        """The worker answered."""

    @abstractmethod
    def _failed(self, error: SynthSegPlusError) -> None:
        """The command ended with an error, here or in the worker."""


class Check(_Command):
    """A look at a scan before any run."""

    def __init__(self, engine: Engine, inputNode: Any, fields: Mapping[str, Any], onDone: Callable[[Any], None],
                 onError: Callable[[SynthSegPlusError], None]) -> None:
        self._onDone, self._onError = onDone, onError
        # The worker sees the scan's own voxels and knows of no transform.
        self._findings = [finding.to_dict() for finding in transformFindings(inputNode)]
        super().__init__("check", engine, inputNode, fields)

    def _done(self, values: Any) -> None:
        self.finished = True
        self._onDone({**values, "findings": [*(values.get("findings") or []), *self._findings]})

    def _failed(self, error: SynthSegPlusError) -> None:
        self.finished = True
        if not isinstance(error, Cancelled):
            self._onError(error)


class SegmentRun(_Command):
    """A run under way or over. `result` or `error` is set when `finished`.

    A scan that is deleted, whose scene is closed, or whose voxels come to lie elsewhere ends the run at the next poll.
    """

    def __init__(self, engine: Engine, inputNode: Any, request: Request, onProgress: Progress | None = None,
                 onDone: Callable[[ResultNodes], None] | None = None,
                 onError: Callable[[SynthSegPlusError], None] | None = None) -> None:
        self.result: ResultNodes | None = None
        self.error: SynthSegPlusError | None = None
        self.inputName = inputNode.GetName()
        self._scene, self._input, self._place = inputNode.GetScene(), inputNode, Place(inputNode)
        self._lost = ""
        self._onDone, self._onError = onDone, onError
        self._reply: SegmentReply | None = None
        super().__init__("segment", engine, inputNode, {"name": self.inputName, **request.fields()}, onProgress)
        outputs = self._job.folder / "outputs"
        outputs.mkdir()
        self._fields["outputs"] = str(outputs)

    @property
    def cancelling(self) -> bool:
        return self._job.cancelling and not self.finished

    def poll(self) -> bool:
        if not self.finished and not self._job.cancelling and self._isLost():
            self.cancel()
        self._engine.poll()
        return super().poll()

    def _isLost(self) -> bool:
        """Whether the labels have no place any more. The reason stays, even if the scan is moved back."""
        self._lost = self._lost or self._whyLost()
        return bool(self._lost)

    def _whyLost(self) -> str:
        if not self._scene.IsNodePresent(self._input):
            return (f"The scan {self.inputName!r} was removed from the scene during the run; nothing was made. "
                    "Load it again to segment it.")
        if not self._place.isOf(self._input):
            return (f"The scan {self.inputName!r} was moved or resampled during the run, such as by hardening a "
                    "transform; nothing was made, because its labels would lie elsewhere. Segment it again.")
        return ""

    def _done(self, values: Any) -> object:
        """The worker is done: its files are read in a thread, and the folder stays for that."""
        try:
            reply = self._reply = SegmentReply.from_dict(values)
        except (KeyError, TypeError, ValueError) as error:
            self._failed(_notShown(error))
            return False
        self._work = Background("import", lambda: readArrays(reply))
        return True

    def _worked(self, outcome: Any) -> None:
        if self._reply is None:
            super()._worked(outcome)
        elif self._isLost():
            self._end(Cancelled())
        else:
            self._show(outcome)

    def _show(self, arrays: Any) -> None:
        assert self._reply is not None
        try:
            self.result = makeNodes(self._input, self._reply, arrays)
        except Exception as error:  # whatever it is, the run must end
            self._end(error if isinstance(error, SynthSegPlusError) else _notShown(error))
            return
        self.finished = True
        self._job.discard()
        if self._onDone is not None:
            guarded(self._onDone, self.result)

    def _failed(self, error: SynthSegPlusError) -> None:
        if isinstance(error, Cancelled) and self._lost:
            error = InputError(self._lost)
        self.error, self.finished = error, True
        if self._onError is not None:
            guarded(self._onError, error)


def _notShown(error: Exception) -> WorkerError:
    return WorkerError(f"The worker's result could not be shown ({type(error).__name__}: {error}); "
                       "copy the diagnostics and report this.")
