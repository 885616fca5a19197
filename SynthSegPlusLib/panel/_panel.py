"""The panel: its parts, and what happens between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SynthSegPlusLib.contract.errors import Cancelled, SynthSegPlusError
from SynthSegPlusLib.panel._exportPart import ExportPart
from SynthSegPlusLib.panel._inputPart import InputPart, sampleScan
from SynthSegPlusLib.panel._logPart import LogPart
from SynthSegPlusLib.panel._modelPart import ModelPart
from SynthSegPlusLib.panel._optionsPart import OptionsPart, modeProblem
from SynthSegPlusLib.panel._packagesPart import PackagesPart
from SynthSegPlusLib.panel._parameters import ColourBy, Mode, Shown, SynthSegPlusParameterNode, optionsOf
from SynthSegPlusLib.panel._resultPart import ResultPart
from SynthSegPlusLib.panel._reviewPart import ReviewPart
from SynthSegPlusLib.panel._runPart import RunPart
from SynthSegPlusLib.panel._tablePart import TablePart
from SynthSegPlusLib.panel._words import lines, safe
from SynthSegPlusLib.scene import (
    Request,
    ResultNodes,
    SegmentRun,
    Session,
    colourBy,
    isShown,
    judge,
    jumpTo,
    resultsIn,
    setLook,
    showInSlices,
)


class Panel:
    """Everything that the module's window does. `ui` has the widgets of the .ui file by name.

    The parts know nothing of each other; this class carries what one says to the others.
    """

    def __init__(self, ui: Any, session: Session) -> None:
        self.ui, self.session = ui, session
        self.parameters: SynthSegPlusParameterNode | None = None
        self.result: ResultNodes | None = None
        self._refreshing = False
        self._running: SegmentRun | None = None
        self.options = OptionsPart(ui)
        self.model = ModelPart(ui, self._setFolder)
        self.input = InputPart(ui, session, lambda: self.model.folder, self._setMode, self._loadSample)
        self.run = RunPart(ui, self.apply, self.cancel)
        self.resultPart = ResultPart(ui, self._setShown, self._setColourBy, self._judge)
        self.table = TablePart(ui, self.goTo)
        self.review = ReviewPart(ui, self.table.mark)
        self.export = ExportPart(ui)
        self.log = LogPart(ui, session, self._facts)
        ui.logSection.connect("contentsCollapsed(bool)", lambda collapsed: self.log.show())
        self.packages = PackagesPart(ui, session, self._packagesChanged)
        ui.installButton.connect("clicked()", self.install)
        session.listeners.append(self._tick)
        self.model.setFolder("")
        self._showResult(None)
        if session.packagesKnown and session.readiness():
            ui.modelSection.collapsed = False

    # ---- life ---------------------------------------------------------------------------------------------

    def setParameters(self, parameters: SynthSegPlusParameterNode | None) -> None:
        """Follow another parameter node; None between two scenes."""
        self.parameters = parameters
        self.refresh()

    def setActive(self, active: bool) -> None:
        """The user is in this module, or not."""
        self.input.active = active
        if active:
            self.refresh()
            self.input.checkSoon()

    def close(self) -> None:
        """Leave nothing behind: timers, installation, observers of the session."""
        self.input.close()
        self.packages.close()
        if self._tick in self.session.listeners:
            self.session.listeners.remove(self._tick)
        self.parameters = None

    def refresh(self) -> None:
        """Bring every part up to what the parameters and the scene say."""
        if self._refreshing:
            return
        self._refreshing = True
        try:
            self._refresh()
        finally:
            self._refreshing = False

    def _refresh(self) -> None:
        parameters = self.parameters
        if parameters is None:
            self.input.setNode(None)
            self._showResult(None)
            self.run.setIdle(_("The scene is being closed."))
            return
        self.model.setFolder(parameters.modelFolder)
        self._fitMode(parameters)
        self.options.show(self.model.modes, self.model.roles, parameters.mode.value, parameters.quality)
        self.input.setNode(parameters.inputVolume, parameters.ct)
        self._followResult(parameters)
        busy = self.session.busy or self.packages.installing
        self.options.setRunning(busy)
        if not busy:
            self.run.setIdle(self.problem())
        self.packages.show()

    def problem(self) -> str:
        """Why Apply cannot be pressed; empty when it can. Missing packages are no reason: Apply asks."""
        if self.parameters is None or self.parameters.inputVolume is None:
            return _("Choose a scan.")
        if self.model.modelSet is None:
            return self.model.problem
        if not self.session.packagesKnown:
            return _("Looking for what is installed...")
        return modeProblem(self.model.modes, self.parameters.mode.value)

    def _fitMode(self, parameters: SynthSegPlusParameterNode) -> None:
        """Leave a mode that the set cannot run for the best that it can, and say so."""
        offered = [mode.value for mode in Mode if mode.value in self.model.modes]
        if offered and parameters.mode.value not in offered:
            self.session.say(f"The model set cannot run mode {parameters.mode.value}; {offered[0]} was chosen")
            parameters.mode = Mode(offered[0])

    # ---- running ------------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Segment the chosen scan; asks to install what is missing first."""
        if self.session.busy or self.packages.installing:
            return
        reason = self.problem()
        if reason:
            self.run.end(safe(reason))
        elif self.session.readiness():
            self.ui.modelSection.collapsed = False
            self._install(self._installedForRun)
        else:
            self._start()

    def install(self) -> None:
        """Ask to install the packages; no run follows."""
        self._install(self._installed)

    def _install(self, then: Callable[[str], None]) -> None:
        self.packages.askAndInstall(then)
        if self.packages.installing:
            self.run.begin(_("Installing packages"))

    def _installed(self, reason: str) -> None:
        self.run.end(f"\u26a0 {safe(reason)}" if reason else _("The packages are installed."))
        self.refresh()

    def _installedForRun(self, reason: str) -> None:
        if reason:
            self._installed(reason)
        else:
            self.run.end("")
            self._start()

    def _start(self) -> None:
        assert self.parameters is not None
        parameters = self.parameters
        request = Request(
            options=optionsOf(parameters, self.model.roles),
            models=self.model.folder,
            backend=self.packages.backendOfRun,
            device=parameters.device.value,
            threads=parameters.threads or None,
            resampled=parameters.resampled,
        )
        try:
            self.session.start(
                parameters.inputVolume, request,
                onProgress=lambda stage, fraction, overall: self.run.progress(stage, overall),
                onDone=self._done, onError=self._failed)
        except SynthSegPlusError as error:
            self._failed(error)
            return
        if self.session.busy:
            self._running = self.session.run
            self.run.begin(_("Starting the worker"))
        self.refresh()

    def cancel(self) -> None:
        """Stop the run or the installation."""
        if self.packages.installing:
            self.packages.cancel()
        elif self.session.run is not None and self.session.busy:
            self.run.cancelling()
            self.session.run.cancel()

    def _done(self, result: ResultNodes) -> None:
        record = result.record
        seconds = sum(float(stage["wall_s"]) for stage in record.get("timings", {}).values())
        self.session.say(f"Done: {result.verdict.value}, {seconds:.1f} s in the worker")
        self._running = None
        self.run.end(self._doneText(result))
        if self.parameters is None:
            return
        if self._isChosen(result):
            self._present(result, self.parameters)
        else:
            self.refresh()
        self._checkAgain()

    def _present(self, result: ResultNodes, parameters: SynthSegPlusParameterNode) -> None:
        """Show what the user waits to see, and make room for it."""
        if result.parcellation is None and parameters.shown is Shown.PARCELLATION:
            parameters.shown = Shown.SEGMENTATION
        elif result.parcellation is not None:
            parameters.shown = Shown.PARCELLATION
        if result.qualityColours is None:
            parameters.colourBy = ColourBy.ANATOMY
        self.refresh()
        self._display(layers=True)
        self.ui.optionsSection.collapsed = True
        self.ui.modelSection.collapsed = True

    def _isChosen(self, result: ResultNodes) -> bool:
        """Whether a result is of the chosen scan; the user may have gone on to another one."""
        return self.parameters is not None and self.parameters.inputVolume is result.input

    def _doneText(self, result: ResultNodes) -> str:
        name, scan = safe(result.segmentation.GetName()), safe(result.input.GetName())
        done = (_("Done: {name}").format(name=name) if self._isChosen(result)
                else _("Done: {name}. Choose {scan} to see it.").format(name=name, scan=scan))
        return lines([done, *(f"\u26a0 {safe(text)}" for text in result.record.get("warnings", []))])

    def _checkAgain(self) -> None:
        """The run came before the look at the scan, which was given up for it."""
        if not self.input.advice:
            self.input.checkSoon()

    def _failed(self, error: SynthSegPlusError) -> None:
        self.session.say(f"{type(error).__name__}: {error}")
        self._running = None
        self.run.end(errorText(error))
        self.refresh()
        self._checkAgain()

    def _follow(self, run: SegmentRun | None) -> None:
        """A run that a script started begins, or ends: show that as for one's own, whose callbacks come here."""
        over, self._running = self._running, run
        if over is not None and over.result is not None:
            self.run.end(self._doneText(over.result))
        elif over is not None:
            self.run.end(errorText(over.error) if over.error is not None else "")
        if run is not None:
            self.run.begin(_("{name}, started from Python").format(name=run.inputName))
        self.refresh()
        if run is None:
            self._checkAgain()

    # ---- results ------------------------------------------------------------------------------------------

    def _followResult(self, parameters: SynthSegPlusParameterNode) -> None:
        """Show the newest result of the chosen scan."""
        node = parameters.inputVolume
        results = resultsIn(node.GetScene(), node) if node is not None else []
        newest = results[-1] if results else None
        # Any of its nodes may have been deleted, or made, since.
        if newest != self.result:
            self._showResult(newest)
        if newest is not None:
            self.export.show(newest, self._shownOf(newest))
            self.resultPart.showChoice(self._shownOf(newest), self._colourByOf(newest), newest)
            self._display(layers=False)

    def _showResult(self, result: ResultNodes | None) -> None:
        self.result = result
        for section in (self.ui.resultSection, self.ui.tableSection, self.ui.exportSection):
            section.visible = result is not None
        if result is None:
            # What a part still held would stay in memory after the scene is closed.
            for part in (self.table, self.review, self.export):
                part.clear()
            return
        self.resultPart.show(result)
        self.table.show(result, self._colourByOf(result))
        self.review.show(result)
        self.review.choose(self.table.selected)

    def _shownOf(self, result: ResultNodes) -> Shown:
        chosen = self.parameters.shown if self.parameters is not None else Shown.SEGMENTATION
        return chosen if result.parcellation is not None else Shown.SEGMENTATION

    def _colourByOf(self, result: ResultNodes) -> ColourBy:
        chosen = self.parameters.colourBy if self.parameters is not None else ColourBy.ANATOMY
        return chosen if result.qualityColours is not None else ColourBy.ANATOMY

    def _display(self, layers: bool) -> None:
        """Bring colours and look to the views; `layers` also puts the labelmap there."""
        if self.result is None or self.parameters is None:
            return
        parameters, result = self.parameters, self.result
        colourBy(result, self._colourByOf(result).value)
        if layers:
            showInSlices(result, self._shownOf(result).value, parameters.opacity, parameters.outline)
        elif isShown(result):
            setLook(result.segmentation.GetScene(), parameters.opacity, parameters.outline)

    def goTo(self, label: int) -> None:
        """Bring the views to a structure and let the reviewer decide on it."""
        self.review.choose(label)
        if self.result is not None:
            if not isShown(self.result):
                self._display(layers=True)
            # During a run the line belongs to its progress.
            if jumpTo(self.result, label) is None and not self.session.busy:
                self.run.end(_("This structure has no voxel in the label map."))

    # ---- what the user changed ----------------------------------------------------------------------------

    def _setMode(self, mode: str) -> None:
        if self.parameters is not None and mode in [entry.value for entry in Mode]:
            self.parameters.mode = Mode(mode)

    def _setFolder(self, folder: str) -> None:
        if self.parameters is not None:
            self.parameters.modelFolder = folder
            self.input.checkSoon()

    def _setShown(self, shown: Shown) -> None:
        if self.parameters is not None and self.result is not None:
            self.parameters.shown = shown
            self.export.show(self.result, shown)
            self._choiceChanged()

    def _setColourBy(self, by: ColourBy) -> None:
        if self.parameters is not None and self.result is not None:
            self.parameters.colourBy = by
            self.table.recolour(by)
            self._choiceChanged()

    def _judge(self, threshold: float) -> None:
        """Another threshold for the result that is shown; what the reviewer chose and decided stays."""
        result = self.result
        if result is None or result.quality is None:
            return
        verdict = judge(result, threshold)
        self.session.say(f"{result.segmentation.GetName()}: {verdict.value} at threshold {threshold:g}")
        self.resultPart.show(result)
        self.resultPart.showChoice(self._shownOf(result), self._colourByOf(result), result)
        self.table.show(result, self._colourByOf(result))

    def _choiceChanged(self) -> None:
        assert self.result is not None
        self.resultPart.showChoice(self._shownOf(self.result), self._colourByOf(self.result), self.result)
        self._display(layers=True)

    def _loadSample(self) -> None:
        node = sampleScan()
        if node is not None and self.parameters is not None:
            self.parameters.inputVolume = node

    def _packagesChanged(self) -> None:
        if not hasattr(self, "packages"):
            return
        if self.packages.installing:
            self.run.tick()
        else:
            self.refresh()
            self.input.checkSoon()

    # ---- the rest -----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        run = self.session.run if self.session.busy else None
        if run is not self._running:
            self._follow(run)
        if run is not None:
            self.run.tick()
        self.log.show()

    def _facts(self) -> dict[str, Any]:
        parameters = self.parameters
        return {
            "modelSet": self.model.modelSet,
            "modelProblem": self.model.problem,
            "options": {} if parameters is None else optionsOf(parameters, self.model.roles).to_dict(),
        }


def errorText(error: SynthSegPlusError) -> str:
    """A run's error; the user's own cancel is none."""
    sign = "" if isinstance(error, Cancelled) else "\u2715 "
    return sign + safe(error)
