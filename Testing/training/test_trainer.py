"""The loop: it learns, resumes, stops, and exports."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import InputError, ModelError, OptionsError
from SynthSegPlusLib.networks import build_unet, load_weights, save_weights
from SynthSegPlusLib.synthesis import Generator, generator_config
from SynthSegPlusLib.training.config import training_config
from SynthSegPlusLib.training.recipes import SEGMENTATION
from SynthSegPlusLib.training.tasks import role_spec
from SynthSegPlusLib.training.trainer import CHECKPOINT, Diverged, Trainer
from SynthSegPlusLib.training.warm_start import warm_start
from Testing.synthesis.phantoms import numpy, phantom

SHAPE = (24, 24, 24)
NETWORK = {"features": 4, "levels": 2}
GENERATOR = {"shape": SHAPE, "resolution": 2.0, "acquisition": {"full": 1}}


def trainer(folder, role="tissue", resume=False, say=lambda words: None, **values):
    config = training_config(
        {"role": role, "network": NETWORK, "generator": GENERATOR, "steps": 6, "log_every": 1, "save_every": 100,
         "schedule": {"rate": 1e-2, "warmup": 1}, **values}
    )  # fmt: skip
    generator = Generator([phantom(parcels=True)], generator_config(GENERATOR))
    return Trainer(SEGMENTATION[role](config, generator), config, folder, SHAPE, resume, say=say)


def losses(folder):
    with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def weights(one):
    return [numpy(variable) for variable in one.model.variables]


def test_a_few_steps_lower_the_loss(tmp_path):
    one = trainer(tmp_path, steps=25, ema=0.0)
    one.run()
    found = losses(tmp_path)
    assert len(found) == 25
    assert np.mean(found[-5:]) < 0.9 * np.mean(found[:3])


@pytest.mark.parametrize("role", sorted(SEGMENTATION))
def test_every_role_takes_a_step(tmp_path, role):
    one = trainer(tmp_path, role, steps=1)
    one.run()
    assert one.step == 1
    assert np.isfinite(losses(tmp_path)).all()


def test_three_steps_and_three_after_resuming_equal_six(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.run()
    trainer(tmp_path / "parts").run(3)
    rest = trainer(tmp_path / "parts", resume=True)
    assert rest.step == 3
    rest.run()
    for one, two in zip(weights(whole), weights(rest), strict=True):
        assert np.allclose(one, two, atol=1e-6)
    assert losses(tmp_path / "whole") == pytest.approx(losses(tmp_path / "parts"), rel=1e-5)


def test_the_warm_up_loss_gives_way_to_the_asked_one(tmp_path):
    one = trainer(tmp_path, steps=4, warmup_l2=2, loss="dice")
    one.run()
    found = losses(tmp_path)
    assert min(found[:2]) > 2  # weighted L2 of fresh logits is near 25
    assert max(found[2:]) <= 1


def test_a_checkpoint_from_before_a_new_entry_resumes_with_its_default(tmp_path):
    trainer(tmp_path).run(1)
    with np.load(tmp_path / CHECKPOINT) as kept:
        arrays = dict(kept)
    made_with = json.loads(str(arrays["config"]))
    del made_with["ordinary"]
    np.savez(tmp_path / CHECKPOINT, **{**arrays, "config": json.dumps(made_with)})
    assert trainer(tmp_path, resume=True).step == 1


def test_a_folder_that_holds_a_training_is_not_trained_into_again(tmp_path):
    trainer(tmp_path).run(2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OptionsError, match=r"holds a training; .*--resume or give another --out"):
        trainer(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_steps_are_no_steps(tmp_path):
    one = trainer(tmp_path)
    one.run(0)
    assert one.step == 0
    assert losses(tmp_path) == []


def test_resuming_with_another_configuration_is_refused(tmp_path):
    trainer(tmp_path).run(1)
    with pytest.raises(OptionsError, match="another configuration"):
        trainer(tmp_path, resume=True, seed=2)


def test_resuming_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match=CHECKPOINT):
        trainer(tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops_with_the_seed_of_the_scan(tmp_path):
    one = trainer(tmp_path)
    one.run(2)
    before = (tmp_path / CHECKPOINT).read_bytes()
    one._do = lambda inputs, targets: float("nan")
    with pytest.raises(Diverged, match=r"seed is \[1, 2\]"):
        one.run()
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_the_averaged_weights_are_exported_and_training_goes_on_from_the_raw_ones(tmp_path):
    one = trainer(tmp_path, ema=0.5)
    one.run(4)
    raw = weights(one)
    one.export(tmp_path / "averaged.h5")
    assert all(np.array_equal(a, b) for a, b in zip(raw, weights(one), strict=True))
    model = build_unet(one.task.spec)
    load_weights(model, tmp_path / "averaged.h5")
    assert not np.allclose(numpy(model.trainable_variables[0]), raw[0])


def test_exported_weights_predict_what_the_trained_model_does(tmp_path):
    one = trainer(tmp_path, ema=0.0)
    one.run(3)
    model = build_unet(one.task.spec, softmax=False)
    load_weights(model, tmp_path / "unet.h5")
    inputs = np.random.default_rng(0).random((1, 16, 16, 16, 1)).astype(np.float32)
    fixed = build_unet(one.task.spec, softmax=False, shape=(16, 16, 16))
    fixed.set_weights([numpy(variable) for variable in one.model.variables])
    assert np.allclose(numpy(model(inputs)), numpy(fixed(inputs)), atol=1e-4)


def test_a_warm_start_does_at_first_what_its_source_did(tmp_path):
    import keras

    keras.utils.set_random_seed(3)
    source = build_unet(role_spec("segmenter", NETWORK), softmax=False)
    save_weights(source, tmp_path / "s.h5")
    target = build_unet(role_spec("structure", NETWORK), softmax=False)
    filled = warm_start(target, tmp_path / "s.h5")
    assert len(filled) == len([layer for layer in target.layers if layer.weights])
    rng = np.random.default_rng(0)
    image, masks = rng.random((1, 8, 8, 8, 1)).astype(np.float32), rng.random((1, 8, 8, 8, 5)).astype(np.float32)
    assert np.allclose(numpy(target(np.concatenate([image, masks], -1))), numpy(source(image)), atol=1e-5)


def test_a_warm_start_leaves_a_head_of_another_size_fresh(tmp_path):
    save_weights(build_unet(role_spec("segmenter", NETWORK), softmax=False), tmp_path / "s.h5")
    filled = warm_start(build_unet(role_spec("tissue", NETWORK), softmax=False), tmp_path / "s.h5")
    assert "unet_likelihood" not in filled
    assert "unet_conv_downarm_0_0" in filled


def test_what_a_warm_start_leaves_fresh_is_told(tmp_path):
    save_weights(build_unet(role_spec("segmenter", NETWORK), softmax=False), tmp_path / "s.h5")
    said = []
    trainer(tmp_path / "s", "segmenter", warm_start=str(tmp_path / "s.h5"), say=said.append)
    trainer(tmp_path / "s1", "tissue", warm_start=str(tmp_path / "s.h5"), say=said.append)
    assert "fresh" not in said[0]
    assert said[1].endswith("fresh are unet_likelihood")


def test_a_warm_start_from_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        warm_start(build_unet(role_spec("tissue", NETWORK)), tmp_path / "none.h5")


def test_tensorboard_event_files_hold_the_scalars_of_the_csv(tmp_path):
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow reads the event file in this test")
    from tensorflow.core.util import event_pb2

    trainer(tmp_path).run(2)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    records = [event_pb2.Event.FromString(one.numpy()) for one in tensorflow.data.TFRecordDataset(str(path))]
    assert records[0].file_version == "brain.Event:2"
    found = {event.step: {value.tag: value.simple_value for value in event.summary.value} for event in records[1:]}
    assert [found[step]["loss"] for step in (1, 2)] == pytest.approx(losses(tmp_path), rel=1e-4)


def test_frozen_norms_keep_their_statistics_and_still_learn(tmp_path):
    one = trainer(tmp_path, steps=4, freeze_norm=2)
    one.run(2)
    means = [numpy(layer.moving_mean) for layer in one.model.layers if hasattr(layer, "moving_mean")]
    kernel = numpy(one.model.trainable_variables[0])
    one.run()
    after = [numpy(layer.moving_mean) for layer in one.model.layers if hasattr(layer, "moving_mean")]
    assert all(np.array_equal(a, b) for a, b in zip(means, after, strict=True))
    assert not np.array_equal(kernel, numpy(one.model.trainable_variables[0]))
