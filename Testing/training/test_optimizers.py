"""The optimisers that a configuration can name."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.training.config import training_config
from Testing.synthesis.phantoms import numpy
from Testing.training.test_trainer import losses, trainer, weights


def muon(**values):
    from SynthSegPlusLib.training.optimizers import make_optimizer

    return make_optimizer(training_config({"role": "tissue", "optimizer": "muon", **values}))


def test_muon_moves_a_kernel_equally_strongly_in_every_direction():
    import keras

    kernel = keras.Variable(np.zeros((3, 3, 3, 4, 8), np.float32), name="kernel")
    one = muon(weight_decay=0.0, clip_norm=None, ema=0.0, schedule={"rate": 0.01})
    one.build([kernel])
    gradient = np.random.default_rng(0).normal(size=kernel.shape).astype(np.float32)
    one.apply([keras.ops.convert_to_tensor(gradient)], [kernel])
    moved = -numpy(kernel.value).reshape(108, 8)
    strengths = np.linalg.svd(moved, compute_uv=False)
    # Five Newton-Schulz steps bring every singular value near 1; the update is scaled by 0.2 sqrt(larger side).
    assert strengths / (0.01 * 0.2 * np.sqrt(108)) == pytest.approx(np.ones(8), abs=0.35)
    assert (moved * gradient.reshape(108, 8)).sum() > 0


def test_norms_and_the_last_layer_stay_with_adamw(tmp_path):
    one = trainer(tmp_path, optimizer="muon")
    with_adamw = {
        variable.path for variable in one.model.trainable_variables if one.optimizer._should_use_adamw(variable)
    }
    kernels = {v.path for v in one.model.trainable_variables if v.path.endswith("/kernel")}
    assert {path for path in kernels & with_adamw} == {path for path in kernels if "likelihood" in path} != set()
    assert all("/kernel" in path for path in {v.path for v in one.model.trainable_variables} - with_adamw)


def test_muon_lowers_the_loss_and_resumes_to_the_same_weights(tmp_path):
    whole = trainer(tmp_path / "whole", optimizer="muon", steps=20)
    whole.run()
    found = losses(tmp_path / "whole")
    assert np.mean(found[-4:]) < 0.9 * np.mean(found[:3])
    trainer(tmp_path / "parts", optimizer="muon", steps=20).run(10)
    rest = trainer(tmp_path / "parts", optimizer="muon", steps=20, resume=True)
    rest.run()
    for one, two in zip(weights(whole), weights(rest), strict=True):
        assert np.allclose(one, two, atol=1e-5)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(OptionsError, match="'sgd'; choose adamw, muon"):
        training_config({"role": "tissue", "optimizer": "sgd"})
