"""A test host for Slicer modules: Slicer's real core, PySide6 in PythonQt's manners, stand-ins for Slicer's widgets.

    from Testing import host
    slicer_host = host.start()
    panel = slicer_host.open_panel("SynthSegPlus")
    panel.ui.applyButton.click()
    slicer_host.save_view("Red", "red.png", size=(400, 400))

It lets the real module file, its real `.ui` and a real MRML scene run together. What it cannot show: PythonQt itself,
the C++ widgets of ctk and qMRML, plugins of the subject hierarchy, CLI modules, the Extensions Manager.
"""

from .environment import Host, missing_requirement, start

__all__ = ["Host", "missing_requirement", "start"]
