"""Stand-ins for the ctk and qMRML widgets in use.

A stand-in has the properties, slots, invokable functions and signals of its C++ counterpart as far as they are in use,
under the same names, and no others: what is not visible to PythonQt in Slicer is not visible here.
"""

from . import ctk_collapsible, ctk_paths, ctk_values, qmrml_base, qmrml_node_combo, qmrml_table
from ._registry import STAND_INS, stand_in

__all__ = [
    "STAND_INS",
    "ctk_collapsible",
    "ctk_paths",
    "ctk_values",
    "qmrml_base",
    "qmrml_node_combo",
    "qmrml_table",
    "stand_in",
]
