"""Networks: descriptions, Keras models, weight files, choice of backend, and lean execution.

Importing this package imports neither Keras nor a backend; choose the backend first
(`choose_backend`), because Keras fixes it at its own first import.
"""

from __future__ import annotations

from SynthSegPlusLib.networks._backend import Backend, Chosen, choose_backend, chosen_backend, probe_backends
from SynthSegPlusLib.networks._inputs import Inputs
from SynthSegPlusLib.networks._memory import estimate_memory
from SynthSegPlusLib.networks._regressor import build_regressor
from SynthSegPlusLib.networks._runner import Network, Regressor, load_network, load_regressor
from SynthSegPlusLib.networks._specs import PAPER, PUBLISHED, RegressorSpec, UNetSpec, WeightedLayer
from SynthSegPlusLib.networks._unet import build_unet
from SynthSegPlusLib.networks._weights import load_weights, read_weights, save_weights, write_weights

__all__ = [
    "PAPER",
    "PUBLISHED",
    "Backend",
    "Chosen",
    "Inputs",
    "Network",
    "Regressor",
    "RegressorSpec",
    "UNetSpec",
    "WeightedLayer",
    "build_regressor",
    "build_unet",
    "choose_backend",
    "chosen_backend",
    "estimate_memory",
    "load_network",
    "load_regressor",
    "load_weights",
    "probe_backends",
    "read_weights",
    "save_weights",
    "write_weights",
]
