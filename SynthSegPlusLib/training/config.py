"""Settings of a training, read from TOML: frozen dataclasses, checked once."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SynthSegPlusLib.contract.errors import OptionsError

ROLES = ("segmenter", "tissue", "denoiser", "structure", "refiner", "parcellation", "quality")
LOSSES = ("combined", "labelled", "dice", "wl2")
OPTIMIZERS = ("adamw", "muon")
BALANCED = ("segmenter", "tissue", "structure")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the steps: linear warm-up, then "cosine" to ``final`` or "constant"."""

    rate: float = 1e-3
    warmup: int = 50
    shape: str = "cosine"
    final: float = 1e-6

    def at(self, step: int, steps: int) -> float:
        """Learning rate of a step (0-based) of a training of ``steps`` steps."""
        import math

        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))) if self.shape == "cosine" else 1.0
        return self.final + (self.rate - self.final) * rise * fall


@dataclass(frozen=True)
class TrainingConfig:
    """One training.

    Attributes
    ----------
    network
        Numbers of the architecture (`UNetSpec` or `RegressorSpec` fields beyond prefix and channels).
    generator
        Overrides of a generator preset, with "preset" naming it.
    maps, steps, seed
        Ids of the training label maps, optimisation steps, and the seed of everything random.
    loss, cross_entropy, warmup_l2
        Loss by name, weight of the cross-entropy in "combined" (over all voxels) and "labelled" (over those that are
        not background), steps of weighted L2 before it.
    freeze_norm
        Step from which batch norm uses its moving statistics in training too, as at test time (None: never). A short
        training with batches of one needs it where scans differ much, as the label maps that R sees do.
    optimizer, schedule, weight_decay, clip_norm, ema
        "adamw", or "muon" for the kernels of convolutions (`optimizers.ConvolutionMuon`): learning rate, decay,
        global gradient norm, decay of the averaged weights (0: none).
    precision
        "bfloat16" and "float16" are mixed precision; weights stay float32.
    warm_start
        Weight file of another role's network to start from.
    log_every, save_every
        Steps between log lines and between checkpoints.
    depends
        Weight files and architecture of frozen networks, by role (denoiser: tissue; quality: tissue, denoiser,
        structure; structure with ``found_tissues``: tissue, denoiser); each {"file": ..., "network": {...}}.
    pairs
        Size of the bank of segmented scans (denoiser, quality and refiner).
    cascade
        Refiner: folder of the model set whose results it learns to refine.
    patch
        Refiner: side of the patches that it learns from, in voxels of 1 mm.
    ordinary
        Share of the bank whose scans come from the generator's preset "fast" instead (denoiser and quality): D must
        also learn to leave good tissues alone, and R what good results look like.
    cell
        Quality: side of the cells, in voxels, that R works on (`QualityRule.cell`).
    displaced
        Quality: share of the steps in which R is shown the truth itself, moved out of place, instead of what the
        networks found. It costs no network, and shows R good anatomy and all degrees of wrong.
    found_tissues
        Share of S2's steps in which it is given the tissue classes that the frozen networks of ``depends`` find in the
        scan (S1, and D where it is named), instead of the true ones.
    balance
        Scans on which the finished weights' last biases are balanced (`balance.balance_volumes`), which brings the sum
        of every label's posteriors nearer to its true volume; 0: none. Segmenter, tissue and structure only.
    """

    role: str
    network: Mapping[str, Any] = field(default_factory=dict)
    generator: Mapping[str, Any] = field(default_factory=dict)
    maps: tuple[str, ...] = tuple(f"{number:02d}" for number in range(1, 15))
    steps: int = 1000
    seed: int = 1
    loss: str = "combined"
    cross_entropy: float = 0.3
    warmup_l2: int = 0
    freeze_norm: int | None = None
    optimizer: str = "adamw"
    schedule: Schedule = field(default_factory=Schedule)
    weight_decay: float = 1e-5
    beta_2: float = 0.99
    clip_norm: float | None = 5.0
    ema: float = 0.98
    precision: str = "float32"
    warm_start: str | None = None
    log_every: int = 20
    save_every: int = 100
    depends: Mapping[str, Any] = field(default_factory=dict)
    pairs: int = 200
    ordinary: float = 0.0
    cell: int = 1
    displaced: float = 0.0
    found_tissues: float = 0.0
    balance: int = 0
    cascade: str | None = None
    patch: int = 64

    def __post_init__(self) -> None:
        _choice("role", self.role, ROLES)
        _choice("loss", self.loss, LOSSES)
        _choice("optimizer", self.optimizer, OPTIMIZERS)
        _choice("precision", self.precision, PRECISIONS)
        _choice("schedule.shape", self.schedule.shape, ("cosine", "constant"))
        for name in ("steps", "log_every", "save_every", "pairs", "cell", "patch"):
            if getattr(self, name) < 1:
                raise OptionsError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if not 0 <= self.found_tissues <= 1 or (self.found_tissues and self.role != "structure"):
            raise OptionsError(
                f"found_tissues is {self.found_tissues} in a training of the role {self.role}; it is a share from 0 "
                f"to 1, and of S2 (structure) only."
            )
        if not 0 <= self.ordinary <= 1 or (self.ordinary and self.role not in ("denoiser", "quality")):
            raise OptionsError(
                f"ordinary is {self.ordinary} in a training of the role {self.role}; it is a share from 0 to 1, and of "
                f"the banks of D (denoiser) and R (quality) only."
            )
        if not 0 <= self.displaced <= 1 or ((self.displaced or self.cell > 1) and self.role != "quality"):
            raise OptionsError(
                f"displaced is {self.displaced} and cell {self.cell} in a training of the role {self.role}; the first "
                f"is a share from 0 to 1, and both are for R (quality) only."
            )
        if self.balance < 0 or (self.balance and self.role not in BALANCED):
            raise OptionsError(
                f"balance is {self.balance} in a training of the role {self.role}; it is a number of scans, and of the "
                f"roles {', '.join(BALANCED)} only."
            )
        if self.cascade is not None and self.role != "refiner":
            raise OptionsError(f"cascade is for the refiner only; leave it out of a training of the role {self.role}.")
        if not 0 <= self.ema < 1:
            raise OptionsError(f"ema is {self.ema}; it must lie in [0, 1).")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionsError(f"{name} is {value!r}; choose {', '.join(allowed)}.")


def training_config(values: Mapping[str, Any], role: str | None = None) -> TrainingConfig:
    """Check plain values (as from TOML); ``role``, when given, must agree with the file's. `OptionsError`."""
    values = dict(values)
    if role is not None:
        if values.setdefault("role", role) != role:
            raise OptionsError(f"The configuration is for {values['role']!r}, not {role!r}; give the one of that role.")
    if "role" not in values:
        raise OptionsError(f"The configuration names no role; choose {', '.join(ROLES)}.")
    known = {entry.name for entry in dataclasses.fields(TrainingConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise OptionsError(f"The configuration has unknown entries {unknown}; known are {', '.join(sorted(known))}.")
    if "schedule" in values:
        try:
            values["schedule"] = Schedule(**values["schedule"])
        except TypeError as error:
            raise OptionsError(f"The configuration's schedule is wrong: {error}.") from error
    if "maps" in values:
        values["maps"] = tuple(str(one) for one in values["maps"])
    return TrainingConfig(**values)


def read_config(path: str | Path, role: str | None = None, models: str | Path | None = None) -> TrainingConfig:
    """Read a TOML file. Weight files that it names are relative to ``models``, or else to the file itself.

    `OptionsError` where it cannot be used.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise OptionsError(f"The configuration {path} is not valid TOML: {error}.") from error
    base = path.parent if models is None else Path(models)
    if values.get("warm_start"):
        values["warm_start"] = str(base / values["warm_start"])
    if values.get("cascade"):
        values["cascade"] = str(base / values["cascade"])
    for entry in values.get("depends", {}).values():
        entry["file"] = str(base / entry["file"])
    return training_config(values, role)
