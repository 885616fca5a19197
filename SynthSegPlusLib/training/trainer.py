"""The training loop: any Keras backend, averaged weights, atomic checkpoints that resume to the same random stream."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from SynthSegPlusLib.contract.errors import InputError, OptionsError, OutputError, SynthSegPlusError
from SynthSegPlusLib.networks import save_weights
from SynthSegPlusLib.training.balance import balance_volumes
from SynthSegPlusLib.training.config import TrainingConfig
from SynthSegPlusLib.training.logs import Logs
from SynthSegPlusLib.training.tasks import Beginning, Task, build
from SynthSegPlusLib.training.warm_start import need_source, warm_start

CHECKPOINT = "checkpoint.npz"


class Diverged(SynthSegPlusError):
    """The loss or a weight is no longer finite; the message names the seed of the scan that did it."""


@dataclass
class Trainer:
    """Trains one network in ``folder``; `run` goes on from a checkpoint if ``resume``.

    `check_folder` says what ``folder`` must be for that.

    Scan number k of a training is made from the seed [config.seed, k], so a training that was interrupted sees the
    same scans as one that was not.
    """

    task: Task
    config: TrainingConfig
    folder: Path
    shape: tuple[int, int, int]
    resume: bool = False
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        import keras

        check_folder(self.config, self.folder, self.resume)
        self.folder.mkdir(parents=True, exist_ok=True)
        keras.utils.set_random_seed(self.config.seed)
        _set_precision(self.config.precision)
        self.model = build(self.task.spec, self.shape)
        keras.config.set_dtype_policy("float32")
        self.step = 0
        self._recent: list[float] = []
        if isinstance(self.task, Beginning):
            self.task.begin(self.model)
        if self.config.warm_start and not self.resume:
            filled = warm_start(self.model, self.config.warm_start)
            fresh = [layer.name for layer in self.model.layers if layer.weights and layer.name not in filled]
            rest = f"; fresh are {', '.join(fresh)}" if fresh else ""
            self.say(f"started from {self.config.warm_start}: {len(filled)} layers{rest}")
        self.optimizer = self._optimizer()
        self._compile()
        if self.resume:
            self._restore()

    def _optimizer(self) -> Any:
        from SynthSegPlusLib.training.optimizers import make_optimizer  # imports Keras, whose backend is chosen late

        return make_optimizer(self.config)

    def _compile(self) -> None:
        loss = self.task.loss(self.step < self.config.warmup_l2)
        self.optimizer.build(self.model.trainable_variables)
        self._do = _stepper(self.model, self.optimizer, loss, self.config.precision, self._norm_is_frozen)

    @property
    def _norm_is_frozen(self) -> bool:
        return self.config.freeze_norm is not None and self.step >= self.config.freeze_norm

    def run(self, steps: int | None = None) -> None:
        """Train up to ``steps`` (default: all of the configuration's), then leave a checkpoint and the weights."""
        end = self.config.steps if steps is None else min(steps, self.config.steps)
        logs = Logs(self.folder, append=self.step > 0)
        began, first, seconds = time.monotonic(), self.step, 0.0
        try:
            while self.step < end:
                if self.step and self.step == self.config.warmup_l2:
                    self.optimizer = self._optimizer()  # phase 2 starts with a fresh optimiser
                    self._compile()
                elif self.step == self.config.freeze_norm:
                    self._compile()
                seconds += self._one()
                if self.step % self.config.log_every == 0 or self.step == end:
                    pace = (time.monotonic() - began) / (self.step - first)
                    self._log(logs, pace, seconds / (self.step - first))
                if self.step % self.config.save_every == 0:
                    self.save()
        finally:
            logs.close()
        self.save()
        if self.config.balance and self.step >= self.config.steps:  # the checkpoint may lie beyond shortened steps
            self._balance()

    def _one(self) -> float:
        """One step; returns the seconds that the scan's generation took."""
        seed = [self.config.seed, self.step]
        began = time.monotonic()
        inputs, targets = self.task.batch(seed)
        generated = time.monotonic() - began
        self.optimizer.learning_rate.assign(self.config.schedule.at(self.step, self.config.steps))
        loss = float(self._do(inputs, targets))
        if not math.isfinite(loss):
            raise Diverged(
                f"The loss of step {self.step} is {loss}; the scan's seed is {seed}. The last checkpoint is unharmed: "
                f"lower schedule.rate or use float32, and resume."
            )
        self._recent.append(loss)
        self.step += 1
        return generated

    def _log(self, logs: Logs, pace: float, generation: float) -> None:
        values = {"loss": float(np.mean(self._recent)), "rate": float(self.optimizer.learning_rate)}
        values |= {"s_per_step": pace, "s_generation": generation}
        logs.write(self.step, values)
        self.say(f"step {self.step}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
        self._recent = []

    def save(self) -> None:
        """Write the checkpoint, and the (averaged) weights as <prefix>.h5, each replaced when complete."""
        arrays = {f"model_{i}": _numpy(v) for i, v in enumerate(self.model.variables)}
        arrays |= {f"optimizer_{i}": _numpy(v) for i, v in enumerate(self.optimizer.variables)}
        if not all(np.isfinite(value).all() for value in arrays.values()):
            raise Diverged(
                f"A weight is not finite at step {self.step} (scan seeds from {[self.config.seed, self.step - 1]} "
                f"backwards); the last checkpoint is unharmed: lower schedule.rate or use float32, and resume."
            )
        partial = self.folder / f".{CHECKPOINT}.part.npz"
        try:
            np.savez(partial, step=self.step, config=json.dumps(_identity(self.config)), **arrays)  # type: ignore[arg-type]
            os.replace(partial, self.folder / CHECKPOINT)
        except OSError as error:
            raise OutputError(f"The checkpoint in {self.folder} cannot be written: {error}; free space.") from error
        self.export(self.folder / f"{self.task.spec.prefix}.h5")

    def _balance(self) -> None:
        shifts = balance_volumes(
            self.folder / f"{self.task.spec.prefix}.h5", self.task, self.config.balance, self.config.seed
        )
        self.say(f"volumes balanced on {self.config.balance} scans: last biases shifted by {shifts.min():.2f} to "
                 f"{shifts.max():.2f}")  # fmt: skip

    def export(self, path: Path, dtype: Literal["float16", "float32"] = "float32") -> None:
        """Write the weights (averaged over the last steps when the configuration says so) in the published layout."""
        raw = [_numpy(variable) for variable in self.model.trainable_variables]
        if self.config.ema > 0 and self.step:
            self.optimizer.finalize_variable_values(self.model.trainable_variables)
        save_weights(self.model, path, dtype)
        for variable, value in zip(self.model.trainable_variables, raw, strict=True):
            variable.assign(value)

    def _restore(self) -> None:
        with np.load(self.folder / CHECKPOINT) as kept:
            self.step = int(kept["step"])
            self._compile()
            for kind, variables in (("model", self.model.variables), ("optimizer", self.optimizer.variables)):
                for index, variable in enumerate(variables):
                    variable.assign(kept[f"{kind}_{index}"])


def check_folder(config: TrainingConfig, folder: Path, resume: bool) -> None:
    """Refuse to begin a training where one would be lost or its start is missing, or to go on with another's.

    It takes no time, so it comes before everything that does. The project's errors say what to do.
    """
    path = folder / CHECKPOINT
    if not resume:
        if path.is_file():
            raise OptionsError(f"{folder} holds a training; go on with it with --resume or give another --out.")
        if config.warm_start:
            need_source(config.warm_start)
        return
    if not path.is_file():
        raise InputError(f"{folder} holds no {CHECKPOINT} to resume from; train without --resume.")
    with np.load(path) as kept:
        # An entry that this version brought has its default in older checkpoints.
        made_with = _identity(TrainingConfig(config.role)) | json.loads(str(kept["config"]))
    if any(made_with.get(name) != value for name, value in _identity(config).items()):
        raise OptionsError(
            f"The checkpoint in {folder} was made with another configuration; "
            f"resume with the configuration saved beside it, or choose a new folder."
        )


def _identity(config: TrainingConfig) -> dict[str, Any]:
    """What must not change between a checkpoint and its resumption (the steps may: a longer or shorter rest)."""
    values = config.to_dict()
    for name in ("steps", "log_every", "save_every", "warm_start", "depends", "freeze_norm", "balance",
                 "cascade"):  # fmt: skip
        values.pop(name)
    return json.loads(json.dumps(values))


def _numpy(variable: Any) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(variable)


def _stepper(
    model: Any, optimizer: Any, loss: Callable[[Any, Any], Any], precision: str, frozen_norm: bool
) -> Callable[[Any, Any], Any]:
    """What does one optimisation step: torch's own operators on the torch backend, Keras' otherwise."""
    import keras

    if keras.backend.backend() == "torch":
        from SynthSegPlusLib.training._torch import TorchStep

        return TorchStep(model, optimizer, loss, precision, frozen_norm)
    if frozen_norm:
        model = _with_frozen_norm(model)
    model.compile(optimizer=optimizer, loss=loss)

    def step(inputs: Any, targets: Any) -> Any:
        value = model.train_on_batch(inputs, targets)
        model.reset_metrics()  # otherwise Keras returns the mean over all steps so far
        return value

    return step


def _with_frozen_norm(model: Any) -> Any:
    """The same variables, but batch norm always with its moving statistics."""
    import keras

    class FrozenNorm(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs, training=False)

    return FrozenNorm()


def _set_precision(precision: str) -> None:
    import keras

    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
