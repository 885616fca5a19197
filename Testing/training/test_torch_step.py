"""Training on torch by torch's own operators: the numbers of the Keras model, and of torch's plain operators."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("low_first", [True, False])
def test_upsampling_into_a_concatenation_equals_doing_one_after_the_other(low_first):
    from SynthSegPlusLib.training._torch_upsample import UpsampleConcatenate

    generator = torch.Generator().manual_seed(1)
    low, skip = (
        torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
        for shape in ((1, 4, 3, 4, 5), (1, 2, 6, 8, 10))
    )
    found = UpsampleConcatenate.apply(low, skip, low_first)
    upsampled = torch.nn.functional.interpolate(low, scale_factor=2, mode="nearest")
    expected = torch.cat([upsampled, skip] if low_first else [skip, upsampled], 1)
    assert torch.equal(found, expected)
    weights = torch.randn(found.shape, generator=generator)
    ours = torch.autograd.grad((found * weights).sum(), (low, skip))
    theirs = torch.autograd.grad((expected * weights).sum(), (low, skip))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


FORWARD = """
import keras, numpy as np, torch
from SynthSegPlusLib.networks import RegressorSpec, UNetSpec, build_regressor, build_unet
from SynthSegPlusLib.training._torch import forward

assert keras.backend.backend() == "torch"
shape = (16, 16, 8)
specs = [UNetSpec("unet", 2, 5, features=4, levels=3, skips=skips, norm="instance") for skips in ("all", "none")]
models = [build_unet(spec, False, shape) for spec in specs]
models.append(build_regressor(RegressorSpec("qc", 2, 3, features=4, levels=3, variant="paper"), shape))
models.append(build_regressor(RegressorSpec("qc", 2, 3, features=4, levels=3), shape))
image = torch.from_numpy(np.random.default_rng(2).normal(size=(1, *shape, 2)).astype(np.float32))
with torch.no_grad():
    for model in models:
        print(float((forward(model, image) - model(image, training=False)).abs().max()))
"""


def test_a_forward_pass_is_that_of_the_keras_model():
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    command = [sys.executable, "-c", FORWARD]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    differences = [float(line) for line in done.stdout.split()]
    assert len(differences) == 4
    assert max(differences) < 1e-4


FROZEN = """
import keras, numpy as np, sys
from SynthSegPlusLib.networks import Inputs, UNetSpec, build_unet, load_network, save_weights
from SynthSegPlusLib.training.frozen import load_frozen

keras.utils.set_random_seed(1)
spec = UNetSpec("unet", 3, 4, features=4, levels=2, norm="instance")
save_weights(build_unet(spec, False), sys.argv[1])
rng = np.random.default_rng(2)
shape = (16, 16, 8)
inputs = Inputs(rng.random(shape).astype(np.float32), rng.integers(0, 2, shape).astype(np.uint8), 2)
frozen, engine = load_frozen(spec, sys.argv[1]), load_network(spec, sys.argv[1])
print(type(frozen).__name__)
print(float(np.abs(frozen.softmax(inputs) - engine.softmax(inputs)).max()))
print(float((frozen.argmax(inputs) == engine.argmax(inputs)).mean()))
"""


def test_a_frozen_network_is_the_engine_s_in_another_way(tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    command = [sys.executable, "-c", FROZEN, str(tmp_path / "w.h5")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    kind, difference, same = done.stdout.split()
    assert kind == "FrozenNetwork"
    assert float(difference) < 1e-5
    assert float(same) > 0.999


def test_sums_of_labels_do_not_depend_on_the_shares():
    from SynthSegPlusLib.training._torch_loss import sums_of_labels

    generator = torch.Generator().manual_seed(1)
    labels, values = torch.randint(0, 5, (1000,), generator=generator), torch.rand(1000, generator=generator)
    expected = torch.stack([values[labels == label].sum() for label in range(6)])
    for shares in (1, 7, 2048):
        assert torch.allclose(sums_of_labels(labels, values, 6, shares), expected, atol=1e-4)


HALF = """
import keras, numpy as np, torch
from SynthSegPlusLib.networks import UNetSpec, build_unet
from SynthSegPlusLib.training._torch import TorchStep
from SynthSegPlusLib.training.losses import segmentation_loss

def made(precision):
    keras.utils.set_random_seed(1)
    model = build_unet(UNetSpec("unet", 1, 3, features=4, levels=2, norm="instance"), False, (8, 8, 8))
    optimizer = keras.optimizers.SGD(0.1)  # whose steps are as long as its gradients
    optimizer.build(model.trainable_variables)
    return model, TorchStep(model, optimizer, segmentation_loss("combined", 0.3), precision)

def values(model):
    return np.concatenate([variable.numpy().ravel() for variable in model.trainable_variables])

image = torch.from_numpy(np.random.default_rng(2).random((1, 8, 8, 8, 1)).astype(np.float32))
labels = (image[..., 0] * 3).long()
model, step = made("float16")
before = values(model)
step.scale = 2.0**60
step(image, labels)
print(np.array_equal(before, values(model)), step.scale == 2.0**59)
step.scale, step.good_steps = 2.0**12, 999
step(image, labels)
print(step.scale == 2.0**13)
exact, other = made("float32")
other(image, labels)
moved, wanted = values(model) - before, values(exact) - before
print(np.linalg.norm(moved - wanted) < 0.05 * np.linalg.norm(wanted))
for variable in model.trainable_variables:
    variable.assign(variable * np.nan)
step.scale = 1.0
step(image, labels)
print(not np.isfinite(values(model)).all())
"""


def test_half_precision_scales_the_loss_and_leaves_steps_that_are_too_large(tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    command = [sys.executable, "-c", HALF]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 5


KEEP = """
import resource, sys
import numpy as np
from SynthSegPlusLib.training._allocator import keep_memory

print(keep_memory())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(16_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_is_kept_for_the_next_array():
    done = subprocess.run([sys.executable, "-c", KEEP], capture_output=True, text=True, timeout=120, check=True)
    kept, faults = done.stdout.split()
    assert kept == "True"
    assert int(faults) < 2 * 16_000_000 / 4096  # pages of two arrays at most, not of twenty
