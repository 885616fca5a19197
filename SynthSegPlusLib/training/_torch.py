"""A faster way to train on the torch backend: the Keras model's layers and variables, executed by torch directly.

Keras on torch spends two thirds of a CPU step on copies between layouts and on casts. Here the same variables go
through torch's own operators, channels last, under autocast; optimiser, checkpoints and export stay Keras'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_FIRST_SCALE, _STEPS_TO_DOUBLE = 2.0**12, 1000  # of the loss, in float16
_MOMENTUM = 0.01  # torch's convention: 1 - Keras' momentum of 0.99


@contextmanager
def generation() -> Iterator[None]:
    """No gradients; one CPU thread, because many small operations lose more to waking threads than they gain."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)


class TorchStep:
    """One optimisation step of a functional Keras model made of the project's layers; batch size 1.

    ``loss`` maps (targets, predictions) with channels last to a scalar tensor.
    """

    def __init__(
        self, model: Any, optimizer: Any, loss: Callable[[Any, Any], Any], precision: str, frozen_norm: bool = False
    ) -> None:
        import torch

        self.training = not frozen_norm

        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.half = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
        self.scale = _FIRST_SCALE if precision == "float16" else 1.0
        self.good_steps = 0

    def __call__(self, inputs: Any, targets: Any) -> Any:
        """Do a step; returns the loss as a tensor."""
        import torch

        variables = self.model.trainable_variables
        self.model.zero_grad()
        with torch.autocast(inputs.device.type, self.half or torch.bfloat16, enabled=self.half is not None):
            predicted = forward(self.model, inputs, self.training)
        loss = self.loss(targets, predicted)
        (loss * self.scale).backward()
        with torch.no_grad():
            gradients = [variable.value.grad for variable in variables]
            if self.half is not torch.float16 or self._unscale(gradients):
                self.optimizer.apply(gradients, variables)
        return loss.detach()

    def _unscale(self, gradients: list[Any]) -> bool:
        """Divide by the scale that kept small gradients above float16's zero; False: too large for it, leave this step.

        The scale is halved after a step that was too large, and doubled after many that were not. What is not finite
        without any scale is no matter of float16's range: it goes on into the weights, where the trainer finds it.
        """
        import torch

        finite = bool(torch.stack([torch.isfinite(one).all() for one in gradients]).all())
        if not finite and self.scale > 1.0:
            self.scale, self.good_steps = self.scale / 2, 0
            return False
        for one in gradients:
            one /= self.scale
        self.good_steps += 1
        if self.good_steps == _STEPS_TO_DOUBLE:
            self.scale, self.good_steps = self.scale * 2, 0
        return True


def forward(model: Any, inputs: Any, training: bool = False) -> Any:
    """Output of ``model`` for ``inputs`` [1, x, y, z, c], in Keras' layout (channels last)."""
    import torch

    first = inputs.permute(0, 4, 1, 2, 3).contiguous(memory_format=torch.channels_last_3d)
    values = {id(model.inputs[0]): first}
    for layer in model.layers:
        node = layer._inbound_nodes[0]
        if not node.input_tensors:
            continue
        given = [values[id(tensor)] for tensor in node.input_tensors]
        if _is_upsampled_for_concatenation(layer):
            values[id(node.output_tensors[0])] = _Upsampled(*given)
        else:
            values[id(node.output_tensors[0])] = _LAYERS[type(layer).__name__](layer, training, *given)
    out = values[id(model.outputs[0])]
    return out.permute(0, 2, 3, 4, 1) if out.ndim == 5 else out


def _activate(layer: Any, x: Any, inplace: bool = False) -> Any:
    from torch.nn import functional

    name = layer.activation.__name__
    return x if name == "linear" else {"elu": functional.elu, "relu": functional.relu}[name](x, inplace=inplace)  # type: ignore[operator]


def _convolve(layer: Any, training: bool, x: Any) -> Any:
    from torch.nn import functional

    kernel = layer.kernel.value.permute(4, 3, 0, 1, 2)
    convolved = functional.conv3d(x, kernel, layer.bias.value, padding=layer.kernel_size[0] // 2)
    return _activate(layer, convolved, inplace=True)  # a convolution's gradient does not need its own result


def _normalise(layer: Any, training: bool, x: Any) -> Any:
    from torch.nn import functional

    return functional.batch_norm(
        x, layer.moving_mean.value, layer.moving_variance.value, layer.gamma.value, layer.beta.value, training,
        _MOMENTUM, layer.epsilon,
    )  # fmt: skip


def _normalise_alone(layer: Any, training: bool, x: Any) -> Any:
    """Instance norm; with one volume a batch norm without memory is the same, and faster channels last."""
    from torch.nn import functional

    assert len(x) == 1
    return functional.batch_norm(
        x, None, None, layer.gamma.value.reshape(-1), layer.beta.value.reshape(-1), True, 0.0, layer.epsilon
    )


def _functional(name: str, **options: Any) -> Callable[..., Any]:
    def call(layer: Any, training: bool, x: Any) -> Any:
        from torch.nn import functional

        return getattr(functional, name)(x, **options)

    return call


@dataclass
class _Upsampled:
    """A tensor that is to be upsampled where it is concatenated."""

    low: Any


def _is_upsampled_for_concatenation(layer: Any) -> bool:
    users = [node.operation for node in layer._outbound_nodes]
    return type(layer).__name__ == "UpSampling3D" and [type(user).__name__ for user in users] == ["Concatenate"]


def _concatenate(layer: Any, training: bool, *given: Any) -> Any:
    import torch

    waiting = [isinstance(one, _Upsampled) for one in given]
    if not any(waiting):
        return torch.cat(given, 1)
    from SynthSegPlusLib.training._torch_upsample import UpsampleConcatenate

    place = waiting.index(True)
    low, skip = given[place].low, given[1 - place]
    return UpsampleConcatenate.apply(low, skip.to(low.dtype), place == 0)  # type: ignore[no-untyped-call]


_LAYERS: dict[str, Callable[..., Any]] = {
    "Conv3D": _convolve,
    "BatchNormalization": _normalise,
    "GroupNormalization": _normalise_alone,
    "MaxPooling3D": _functional("max_pool3d", kernel_size=2),
    "UpSampling3D": _functional("interpolate", scale_factor=2, mode="nearest"),
    "Concatenate": _concatenate,
    "GlobalMaxPooling3D": lambda layer, training, x: x.amax((2, 3, 4)),
    "GlobalAveragePooling3D": lambda layer, training, x: x.mean((2, 3, 4)),
    "Add": lambda layer, training, *given: sum(given[1:], given[0]),
    "Activation": lambda layer, training, x: _activate(layer, x),
}
