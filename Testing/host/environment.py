"""One host for each process: Qt's application, the scene, the application object, views, and the modules."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOUR_UP = 3  # vtkMRMLLayoutNode.SlicerLayoutFourUpView
MODULE_FILE = ROOT / "SynthSegPlus" / "SynthSegPlus.py"


class Host:
    """What `start()` returns."""

    def __init__(self, views: bool, testing: bool, platform: str | None) -> None:
        _choose_platform(platform)
        import slicer
        from PySide6 import QtWidgets

        from . import pythonqt

        self.folder = Path(tempfile.mkdtemp(prefix="slicer-host-"))
        self.qt = pythonqt.install()
        self.qt_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(sys.argv[:1])
        _set_style(self.qt_application)
        _keep_settings_in(self.folder)
        from . import ui_loader  # noqa: F401 - puts QUiLoader and all stand-ins in place
        from .application import Application, make_python_slicer
        from .core import Core
        from .subject_hierarchy import SubjectHierarchy

        self.core = Core(self.folder)
        self.scene = self.core.scene
        self.subject_hierarchy = SubjectHierarchy(self.scene)
        self.app = slicer.app = Application(self.core, testing)
        make_python_slicer(self.folder / "bin")  # after the application has seen the start-up environment
        slicer.selfTests = {}
        _install_python_modules()
        self.window: Any = None
        self._modules: dict[str, Any] = {}
        if views:
            from .layout import LayoutManager

            self.app.setLayoutManager(LayoutManager(self.core))

    # ---- modules ----------------------------------------------------------------------------------------

    def load_module(self, path: str | Path = MODULE_FILE) -> Any:
        """Load a scripted module's file, once. Returns what `slicer.modules.<name>` is."""
        from .module_loader import ScriptedModule

        name = Path(path).stem
        if name not in self._modules:
            module = ScriptedModule(Path(path).resolve())
            module.load()
            self._modules[name] = module
            self.app.moduleManager().add(module)
            self.app.startupCompleted.emit()
        return self._modules[name]

    def open_panel(self, name: str = "SynthSegPlus") -> Any:
        """Open a loaded module's panel. Returns its Python widget (`.ui`, `.logic`)."""
        if name not in self._modules:
            self.load_module(ROOT / name / f"{name}.py")
        return self._modules[name].enter()

    def close_panel(self, name: str = "SynthSegPlus") -> None:
        """Go to another module; the panel stays, as in Slicer."""
        self._modules[name].leave()

    # ---- views and events -------------------------------------------------------------------------------

    @property
    def layout(self) -> Any:
        return self.app.layoutManager()

    def process_events(self, milliseconds: int = 0) -> None:
        """Run Qt's event loop for a while; 0: until nothing waits."""
        from PySide6 import QtCore

        self.qt_application.processEvents()
        if milliseconds:
            loop = QtCore.QEventLoop()
            QtCore.QTimer.singleShot(milliseconds, loop.quit)
            loop.exec()

    def wait_until(self, condition: Any, seconds: float = 60.0) -> bool:
        """Run the event loop until a condition holds. False when it did not in time, which is for slow computers."""
        import time

        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self.process_events(10)
        return True

    def save_view(self, name: str, path: str | Path, size: tuple[int, int] | None = None) -> None:
        """Write a slice view ("Red", "Green", "Yellow") or the 3-D view ("3D") as PNG."""
        view = self.layout.threeDWidget(0).threeDView() if name == "3D" else self.layout.sliceWidget(name).sliceView()
        if size is not None:
            view.set_view_size(*size)
        view.save_png(path)

    def make_window(self, name: str = "SynthSegPlus", size: tuple[int, int] = (1366, 768)) -> Any:
        """A main window with a module's panel at the left and the views at the right."""
        from .window import make_window

        self.open_panel(name)
        self.window = make_window(self._modules[name].widgetRepresentation(), self.layout, size)
        return self.window

    def save_screenshot(self, path: str | Path) -> None:
        """Write the main window, panel and views, as one PNG."""
        self.process_events(50)
        if self.layout is not None:
            self.layout.render_now()
        self.qt_application.processEvents()
        (self.window or self.make_window()).grab().save(str(path))

    def clear_scene(self) -> None:
        """Close the scene, as the user does."""
        self.scene.Clear(0)

    def reset(self) -> None:
        """What a test may count on: no panel, no data, testing mode, three slice views and a 3-D view."""
        for module in self._modules.values():
            module.unload()
        self.clear_scene()
        self.app.setTestingEnabled(True)
        if self.layout is not None:
            self.layout.setLayout(FOUR_UP)
        self.process_events()

    def stop(self) -> None:
        """Unload the modules, let go of the views, delete the temporary folder."""
        for module in self._modules.values():
            module.unload()
        if self.window is not None:
            self.window.close()
        self.qt_application.processEvents()
        if self.layout is not None:
            self.layout.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)


_host: Host | None = None


def start(views: bool = True, testing: bool = True, platform: str | None = None) -> Host:
    """The process's host; made at the first call. `platform` is Qt's (default: a real screen if asked for, else none).

    `testing=False` lets message boxes appear. `views=False` is Slicer without a main window.
    """
    global _host
    if _host is None:
        _host = Host(views, testing, platform)
    return _host


def missing_requirement() -> str | None:
    """Why no host can run here, in words; None when one can."""
    for package in ("slicer", "vtk", "PySide6"):
        try:
            __import__(package)
        except ImportError as error:
            return f"the Python package {package} cannot be loaded: {error}"
    try:
        from PySide6 import QtUiTools, QtWidgets  # noqa: F401
    except ImportError as error:
        return f"Qt cannot be loaded, a system package is missing: {error}"
    if sys.platform.startswith("linux") and _offscreen_window() is None:
        return "neither EGL nor OSMesa is installed (Debian: libegl1 libegl-mesa0 libgl1-mesa-dri)"
    return None


def _choose_platform(platform: str | None) -> None:
    """Qt's platform and VTK's kind of window, before either is loaded."""
    if platform is not None:
        os.environ["QT_QPA_PLATFORM"] = platform
    if not sys.platform.startswith("linux"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    # The views are always drawn offscreen, so they never need an X server.
    window = _offscreen_window()
    if window is not None:
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", window)


def _offscreen_window() -> str | None:
    for library, window in (("libEGL.so.1", "vtkEGLRenderWindow"), ("libOSMesa.so.8", "vtkOSOpenGLRenderWindow")):
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return window
    return None


def _set_style(application: Any) -> None:
    application.setStyle("Fusion")  # the same everywhere, so that screenshots compare


def _keep_settings_in(folder: Path) -> None:
    """`qt.QSettings()` is Slicer's settings file, and never one of the person's own."""
    from PySide6 import QtCore

    QtCore.QCoreApplication.setOrganizationName("NA-MIC")
    QtCore.QCoreApplication.setApplicationName("Slicer")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, str(folder / "settings"))


def _install_python_modules() -> None:
    """Make `slicer.ScriptedLoadableModule` and its neighbours importable."""
    import slicer

    from . import i18n, packaging_equivalent, parameters, scripted_module

    for name, module in {
        "ScriptedLoadableModule": scripted_module,
        "parameterNodeWrapper": parameters,
        "i18n": i18n,
        "packaging": packaging_equivalent,
    }.items():
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
    _install_sample_data(slicer)


def _install_sample_data(slicer: types.ModuleType) -> None:
    from . import sample_data

    sys.modules["SampleData"] = sample_data
    slicer.modules.sampledata = sample_data.MODULE
    slicer.modules.sampleDataSources = sample_data.SOURCES
