"""Volumes: reading and writing them, bringing them to the networks' grid and back, and looking at them first."""

from SynthSegPlusLib.volume._advice import advise
from SynthSegPlusLib.volume._checks import check
from SynthSegPlusLib.volume._conform import conform
from SynthSegPlusLib.volume._conformed import Conformed
from SynthSegPlusLib.volume._intensity import CT_RANGE_HU
from SynthSegPlusLib.volume._reading import READABLE
from SynthSegPlusLib.volume._volume import Volume
from SynthSegPlusLib.volume._writing import WRITABLE

__all__ = ["CT_RANGE_HU", "READABLE", "WRITABLE", "Conformed", "Volume", "advise", "check", "conform"]
