"""The parts of the module's window, and the panel that ties them together. Needs Slicer with its windows."""

from SynthSegPlusLib.panel._logPart import diagnostics
from SynthSegPlusLib.panel._modelPart import SETTING
from SynthSegPlusLib.panel._packagesPart import consentText
from SynthSegPlusLib.panel._panel import Panel
from SynthSegPlusLib.panel._parameters import ColourBy, Device, Mode, Shown, SynthSegPlusParameterNode, optionsOf

__all__ = [
    "SETTING", "ColourBy", "Device", "Mode", "Panel", "Shown", "SynthSegPlusParameterNode", "consentText",
    "diagnostics", "optionsOf",
]
