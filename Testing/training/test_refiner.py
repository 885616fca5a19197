"""The refiner's training: its bank of heads, its patches, and what it begins with."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from SynthSegPlusLib.cli import main
from SynthSegPlusLib.contract.errors import InputError, OptionsError
from SynthSegPlusLib.inference import ModelSet, Segmenter, segmenter
from SynthSegPlusLib.inference._rules import refiner_channels
from SynthSegPlusLib.inference._to_output import Looked
from SynthSegPlusLib.inference._window import BrainBox
from SynthSegPlusLib.labels import structures
from SynthSegPlusLib.networks import build_unet, load_network, save_weights
from SynthSegPlusLib.synthesis import Generator, generator_config, label_space
from SynthSegPlusLib.training import closeups
from SynthSegPlusLib.training.closeups import LEAST, PATCHES, Refiner, misplaced, smooth_noise, uneven_noise
from SynthSegPlusLib.training.config import read_config, training_config
from SynthSegPlusLib.training.heads import fill_heads, read_head
from SynthSegPlusLib.training.recipes import make_task, make_trainer
from SynthSegPlusLib.training.tasks import role_spec
from SynthSegPlusLib.training.trainer import Trainer
from SynthSegPlusLib.volume import Volume
from Testing.inference.tiny import write_tiny_set
from Testing.synthesis.phantoms import numpy, phantom, tensor

SHAPE, SIDE = (40, 48, 40), 16
TABLE = structures("2.0")
KINDS = refiner_channels(TABLE)[1]
GENERATOR = {"preset": "fast", "shape": list(SHAPE), "resolution": 1.0, "deformation": {"crop_jitter": 0.0},
             "acquisition": {"full": 1.0}}  # fmt: skip
RULES = {"foreground_threshold": 0.0, "posterior_threshold": 0.0, "segmenter_sigma": 0, "appearance": 0.5}


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cascade")
    return write_tiny_set(folder / "set", postprocessing=RULES, working_resolution_mm=2.0)


def config(folder, **values):
    values = {"ema": 0.0, **values}  # the weights that are written are then the model's own
    return training_config({
        "role": "refiner", "cascade": str(folder), "patch": SIDE, "pairs": 2, "steps": 2, "seed": 4,
        "network": {"features": 2, "levels": 2}, "freeze_norm": 0, "generator": GENERATOR, **values,
    })  # fmt: skip


def generator():
    return Generator([phantom()], generator_config(GENERATOR), "numpy")


@pytest.fixture(scope="module")
def bank(cascade, tmp_path_factory):
    return fill_heads(config(cascade), generator(), tmp_path_factory.mktemp("bank"), lambda words: None)


@pytest.fixture
def task(cascade, bank):
    return Refiner(config(cascade), generator(), bank)


def test_a_head_is_what_the_networks_made_of_its_image(cascade, bank):
    head = read_head(bank / "00000.npz")
    models = ModelSet.load(cascade)
    conformed, posteriors = Segmenter(models, mode="robust").coarse(Volume(head.image, np.eye(4), "again"))
    assert head.labels.shape == head.image.shape == SHAPE
    assert np.allclose(head.posteriors, posteriors, atol=0.02)  # the image is kept in half precision
    assert head.conformed(head.image, models).image.shape == conformed.image.shape
    assert len(np.unique(label_space().channel[head.labels])) > 4


@pytest.mark.parametrize(
    ("box", "seen"),
    [(None, (40, 48, 48)), (BrainBox((37.3, 51.8, 40.2), (64, 64, 64)), (32, 32, 32)),
     (BrainBox((37.3, 51.8, 40.2), (64, 80, 64)), (32, 40, 32))],
)  # fmt: skip
def test_a_head_is_found_again_where_the_networks_saw_it(tmp_path, monkeypatch, box, seen):
    monkeypatch.setattr(segmenter, "brain_box", lambda *about: box)
    folder = write_tiny_set(tmp_path / "set", postprocessing=RULES, working_resolution_mm=2.0,
                            field_of_view_mm=[64, 64, 64])  # fmt: skip
    large = {**GENERATOR, "shape": [80, 96, 88]}
    settings = config(folder, generator=large, pairs=1)
    bank = fill_heads(settings, Generator([phantom()], generator_config(large), "numpy"), tmp_path / "bank", print)
    head = read_head(bank / "00000.npz")
    models = ModelSet.load(folder)
    conformed, _ = Segmenter(models, mode="robust").coarse(Volume(head.image, np.eye(4), "again"))
    again = head.conformed(head.image, models)
    assert again.image.shape == conformed.image.shape == seen
    assert again.patch == conformed.patch
    assert np.allclose(again.affine, conformed.affine)


def test_a_bank_of_heads_is_not_made_twice_and_knows_its_networks(cascade, bank, tmp_path):
    made = [path.stat().st_mtime_ns for path in sorted(bank.glob("*.npz"))]
    fill_heads(config(cascade), generator(), bank)
    assert [path.stat().st_mtime_ns for path in sorted(bank.glob("*.npz"))] == made
    other = write_tiny_set(tmp_path / "other", postprocessing={**RULES, "gaps_mm": 2.0}, working_resolution_mm=2.0)
    with pytest.raises(OptionsError, match=r"other settings \(postprocessing\)"):
        fill_heads(config(other), generator(), bank)


def test_a_patch_depends_on_its_seed_alone(cascade, bank, task):
    one = [numpy(part) for part in task.batch([4, 3])]
    for step in (0, PATCHES):
        task.batch([4, step])
    again = [numpy(part) for part in Refiner(config(cascade), generator(), bank).batch([4, 3])]
    for a, b in zip(one, again, strict=True):
        assert np.allclose(a, b, atol=1e-5)
    assert np.abs(numpy(task.batch([4, 4])[0]) - one[0]).max() > 0.1


def test_a_patch_shows_posteriors_and_knows_the_truth(task):
    shown, target = (numpy(part)[0] for part in task.batch([4, 1]))
    assert shown.shape == (SIDE, SIDE, SIDE, 1 + 2 * KINDS)
    assert target.shape == (SIDE, SIDE, SIDE, 1 + KINDS)
    assert np.allclose(shown[..., 1 : 1 + KINDS].sum(-1), 1, atol=1e-3)
    assert np.allclose(shown[..., 1 + KINDS :].sum(-1), 1, atol=1e-2)  # less what is kept as 0
    assert np.allclose(np.exp(target[..., 1:]), shown[..., 1 : 1 + KINDS] + LEAST, atol=1e-5)
    assert set(np.unique(target[..., 0])) <= set(TABLE.kinds)


def test_the_networks_own_image_is_shown_as_they_saw_it(task, bank, monkeypatch):
    monkeypatch.setattr(closeups, "AS_SEEN", 1.1)
    shown = [numpy(task.batch([4, number])[0])[0, ..., 0] for number in range(PATCHES)]
    heads, compared = [read_head(path).image for path in sorted(bank.glob("*.npz"))], []

    def is_part(patch, image):
        """Whether a patch is a part of an image, up to a field that is nearly constant in it."""
        windows = np.lib.stride_tricks.sliding_window_view(image[..., :], (1, 1, SIDE))[..., 0, 0, :]
        flat = windows.reshape(-1, SIDE)
        for line in (patch[SIDE // 2, SIDE // 2], patch[SIDE // 3, SIDE // 2]):
            if line.std() < 1e-3:
                continue
            compared.append(True)
            with np.errstate(all="ignore"):
                centred = flat - flat.mean(1, keepdims=True)
                match = centred @ (line - line.mean()) / (np.linalg.norm(centred, axis=1) * line.std() * SIDE**0.5)
            if np.nanmax(match) < 0.999:
                return False
        return True

    assert all(any(is_part(patch, image) for image in heads) for patch in shown[:4])
    assert len(compared) > 4


def test_it_begins_with_the_posteriors_as_they_are(task, tmp_path):
    trainer = Trainer(task, task.config, tmp_path, (SIDE,) * 3, say=lambda words: None)
    shown, target = task.batch([4, 5])
    logits = numpy(trainer.model(shown))
    assert not logits.any()
    known = numpy(target)[0, ..., 1:].reshape(-1, KINDS)
    probability = np.exp(known) / np.exp(known).sum(-1, keepdims=True)
    truth = numpy(target)[0, ..., 0].reshape(-1).astype(int)
    one_hot = np.eye(KINDS)[truth]
    present = one_hot.any(0)
    top = 2 * (one_hot * probability).sum(0) + 1e-3
    dice = top / (one_hot.sum(0) + (probability**2).sum(0) + 1e-3)
    entropy = -np.log(np.maximum((one_hot * probability).sum(-1), 1e-7)).mean()
    expected = 1 - dice[present].mean() + task.config.cross_entropy * entropy
    assert float(task.loss()(target, tensor(logits))) == pytest.approx(expected, rel=1e-4)


def test_it_trains_resumes_and_its_weights_run_in_the_engine(cascade, bank, tmp_path):
    settings = config(cascade, steps=4)
    run = Trainer(Refiner(settings, generator(), bank), settings, tmp_path / "one", (SIDE,) * 3, say=lambda _: None)
    run.run(2)
    rest = Trainer(
        Refiner(settings, generator(), bank), settings, tmp_path / "one", (SIDE,) * 3, resume=True, say=lambda _: None
    )
    rest.run()
    whole = Trainer(Refiner(settings, generator(), bank), settings, tmp_path / "two", (SIDE,) * 3, say=lambda _: None)
    whole.run()
    for a, b in zip(rest.model.variables, whole.model.variables, strict=True):
        assert np.allclose(numpy(a), numpy(b), atol=1e-5)
    assert any(numpy(variable).any() for variable in whole.model.get_layer("refine_likelihood").weights)
    net = load_network(whole.task.spec, tmp_path / "two" / "refine.h5", device="cpu")
    shown = numpy(whole.task.batch([4, 9])[0])
    logits = numpy(whole.model(shown))[0]
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert np.allclose(net.softmax(shown[0]), expected, atol=1e-3)


def test_smooth_noise_is_smooth_and_of_unit_variance():
    rng = np.random.default_rng(0)
    noise = numpy(smooth_noise((32, 36, 40), 6.0, rng))
    assert noise.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(noise, axis=0)).mean() < 0.5
    white = numpy(smooth_noise((32, 36, 40), 1.0, rng))
    assert np.abs(np.diff(white, axis=0)).mean() > 1.0
    spreads = [numpy(uneven_noise((24, 24, 24), np.random.default_rng(seed))).std() for seed in range(8)]
    assert 0.85 < min(spreads) < max(spreads) < 1.35


def test_labels_are_out_of_place_by_about_as_much_as_asked(monkeypatch):
    labels = np.zeros((48, 48, 48), np.int32)
    labels[24:] = 1
    monkeypatch.setattr(closeups, "MISPLACED", (1.5, 1.5))
    moved = numpy(misplaced(tensor(labels), np.random.default_rng(0)))
    border = 48 - moved.sum(axis=0)  # where the second half begins
    assert set(np.unique(moved)) == {0, 1}
    assert border.std() == pytest.approx(1.5, abs=0.5)
    assert border.mean() == pytest.approx(24, abs=0.6)
    monkeypatch.setattr(closeups, "MISPLACED", (0.0, 0.0))
    assert np.array_equal(numpy(misplaced(tensor(labels), np.random.default_rng(0))), labels)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"patch": 64}, "patches of 64 voxels"),
        ({"generator": {**GENERATOR, "resolution": 2.0}}, "voxels of 2 mm"),
        ({"generator": {**GENERATOR, "oversampling": 2}}, "oversampling 2"),
        ({"patch": 17}, "refiner network all sides must be multiples of 2"),
        ({"cascade": None}, "names no model set under cascade"),
    ],
)
def test_settings_that_do_not_fit_are_refused(cascade, tmp_path, values, words):
    maps = tmp_path / "maps"
    settings = config(cascade, **values)
    if values == {"cascade": None}:
        with pytest.raises(OptionsError, match=words):
            make_task(settings, generator(), tmp_path / "out")
        return
    with pytest.raises(OptionsError, match=words):
        make_trainer(settings, maps, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_set_without_appearance_has_nothing_to_show(tmp_path):
    plain = write_tiny_set(tmp_path / "plain", working_resolution_mm=2.0)
    with pytest.raises(OptionsError, match="no appearance in its postprocessing"):
        make_task(config(plain), generator(), tmp_path / "out")


def test_a_folder_without_a_set_is_named_before_anything_is_made(tmp_path):
    with pytest.raises(OptionsError, match=r"no model set in .*name the folder of the one to refine with --models"):
        make_trainer(config(tmp_path / "nothing"), tmp_path / "maps", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bank_in_which_nothing_is_seen_ends_with_a_reason(task, monkeypatch):
    monkeypatch.setattr(closeups, "look", lambda *about: Looked())
    monkeypatch.setattr(closeups, "BLIND", 2)
    with pytest.raises(InputError, match="found no brain in 2 heads"):
        task.batch([4, 0])


def test_a_set_at_1_mm_has_nothing_to_refine(tmp_path):
    fine = ModelSet.load(write_tiny_set(tmp_path / "fine"))
    with pytest.raises(OptionsError, match="work at 1 mm"):
        Segmenter(fine, mode="robust").coarse(Volume(np.zeros((8, 8, 8), np.float32), np.eye(4), "none"))


def test_a_cascade_is_for_the_refiner_only_and_lies_where_the_models_are(tmp_path):
    with pytest.raises(OptionsError, match="cascade is for the refiner only"):
        training_config({"role": "tissue", "cascade": "."})
    (tmp_path / "refiner.toml").write_text('cascade = "set"\n')
    assert read_config(tmp_path / "refiner.toml", "refiner").cascade == str(tmp_path / "set")
    assert read_config(tmp_path / "refiner.toml", "refiner", tmp_path / "models").cascade == str(
        tmp_path / "models" / "set"
    )


def test_a_set_is_exported_with_its_refiner(tmp_path, capsys):
    weights = []
    for role, bundled in (("segmenter", {"features": 32, "levels": 4, "norm": "instance"}),
                          ("refiner", {"features": 16, "levels": 3})):  # fmt: skip
        save_weights(build_unet(role_spec(role, bundled)), tmp_path / f"{role}.h5")
        weights.append(f"{role}={tmp_path / f'{role}.h5'}")
    command = ["export", "--out", str(tmp_path / "set"), "--name", "toy", "--configs", "cpu_2mm", "--weights", *weights]
    assert main([*command, "--refinement", "0.5"]) == 2
    assert "--appearance; give all three" in capsys.readouterr().err
    assert main([*command, "--appearance", "0.5"]) == 2
    assert main([*command, "--appearance", "0.5", "--refinement", "2"]) == 2
    alone = [*command[:-2], weights[1], "--appearance", "0.5", "--refinement", "0.5"]
    assert main(alone) == 2
    assert "name their weights too" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
    counting = ["--tails", "0.05", "--posterior-threshold", "0.02"]
    assert main([*command, "--appearance", "0.5", "--refinement", "0.5", *counting]) == 0
    made = ModelSet.load(tmp_path / "set")
    assert made.refines
    assert made.postprocessing.described(False) == {
        "appearance": 0.5, "refinement": 0.5, "tails": 0.05, "posterior_threshold": 0.02}  # fmt: skip
    assert made.working_resolution_mm == 2.0
    assert made.padding.multiple == 8
    assert dataclasses.asdict(made.roles["refiner"].network)["in_channels"] == 39
