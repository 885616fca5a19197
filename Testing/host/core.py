"""Slicer's core without its application: one scene, the application logic, every module's logic, reading of bundles."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import slicer
import vtk

# Slicer's module name -> class of its logic. The colours' logic belongs to the application logic.
MODULE_LOGICS = {
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}


class CoreModule:
    """What `slicer.modules.<name>` of a module without a panel in the host answers."""

    def __init__(self, name: str, logic: object) -> None:
        self.name, self.title, self.path = name, name, ""
        self._logic = logic

    def logic(self) -> object:
        return self._logic

    def widgetRepresentation(self) -> None:
        return None


class Core:
    """The scene and its logics. `folder` is where Slicer would keep temporary and cached files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.modules: dict[str, CoreModule] = {}
        errors_to_stderr()
        self._fill_scene()
        slicer.mrmlScene = self.scene
        slicer.modules = sys.modules["slicer.modules"] = types.ModuleType("slicer.modules")
        self._make_module_logics()
        self._make_bundle_reader()

    def _folder(self, name: str) -> str:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    def _fill_scene(self) -> None:
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        logic = self.application_logic
        logic.SetMRMLScene(self.scene)
        logic.SetTemporaryPath(self._folder("temporary"))
        colors = logic.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        colors.AddDefaultColorNodes()
        logic.SetSliceLogics(vtk.vtkCollection())
        logic.SetViewLogics(vtk.vtkCollection())
        for factory in (
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory,
            slicer.vtkMRMLSliceViewDisplayableManagerFactory,
        ):
            factory.GetInstance().SetMRMLApplicationLogic(logic)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def _make_module_logics(self) -> None:
        self._add_module("Colors", self.application_logic.GetColorLogic())
        for name, class_name in MODULE_LOGICS.items():
            logic = getattr(slicer, class_name)()
            # The share folder must be known before the scene: some logics read files when the scene is set.
            if hasattr(logic, "SetModuleShareDirectory"):
                logic.SetModuleShareDirectory(self._folder(f"share/{name}"))
            # Slicer's terminology files are not part of its core; that they are missing is known.
            with silent_vtk(name == "Terminologies"):
                logic.SetMRMLScene(self.scene)
            logic.SetMRMLApplicationLogic(self.application_logic)
            self._add_module(name, logic)

    def _add_module(self, name: str, logic: object) -> None:
        self.application_logic.SetModuleLogic(name, logic)
        self.modules[name] = CoreModule(name, logic)
        setattr(slicer.modules, name.lower(), self.modules[name])

    def _make_bundle_reader(self) -> None:
        """`ReadFromMRB` needs a data manager and a cache folder, though nothing is downloaded."""
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.SetMRMLScene(self.scene)
        self._remote.SetMRMLApplicationLogic(self.application_logic)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(self._folder("cache"))
        self._data = slicer.vtkDataIOManagerLogic()
        self._data.SetMRMLScene(self.scene)
        self._data.SetMRMLApplicationLogic(self.application_logic)
        self._data.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self._remote.AddDataIOToScene()

    def logic(self, name: str) -> object:
        return self.modules[name].logic()


@contextmanager
def silent_vtk(silent: bool = True) -> Iterator[None]:
    """Keep VTK's errors and warnings back for a while."""
    shown = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.SetGlobalWarningDisplay(0 if silent else shown)
    try:
        yield
    finally:
        vtk.vtkObject.SetGlobalWarningDisplay(shown)


def errors_to_stderr() -> None:
    """VTK's messages go to stderr everywhere, instead of to a window on Windows."""
    window = vtk.vtkOutputWindow()
    window.SetDisplayModeToAlwaysStdErr()
    vtk.vtkOutputWindow.SetInstance(window)
