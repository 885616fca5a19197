"""Banks of mistakes, perturbed partitions, and scans of nothing."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import InputError, ModelError, OptionsError
from SynthSegPlusLib.labels import qc_regions, structures
from SynthSegPlusLib.networks import build_unet, save_weights
from SynthSegPlusLib.synthesis import Generator, generator_config
from SynthSegPlusLib.training import tasks
from SynthSegPlusLib.training.config import training_config
from SynthSegPlusLib.training.displace import displaced
from SynthSegPlusLib.training.nothing import not_a_brain
from SynthSegPlusLib.training.pairs import (
    BANK,
    DenoiserPairs,
    QualityPairs,
    fill_bank,
    frozen_cascade,
    ordinary_scans,
    random_box,
    region_dice,
)
from SynthSegPlusLib.training.perturb import perturb_partition
from SynthSegPlusLib.training.recipes import make_task, make_trainer
from SynthSegPlusLib.training.tasks import role_spec
from SynthSegPlusLib.training.trainer import CHECKPOINT, Trainer
from Testing.synthesis.phantoms import numpy, phantom, tensor

NETWORK = {"features": 4, "levels": 2}
REGRESSOR = {"features": 2, "levels": 2}
SHAPE = (24, 24, 24)
GENERATOR = {"shape": SHAPE, "resolution": 2.0, "preset": "degraded"}
TABLE, REGIONS = structures("2.0"), qc_regions("paper")


@pytest.fixture
def frozen(tmp_path):
    depends = {}
    for role in ("tissue", "denoiser", "structure"):
        save_weights(build_unet(role_spec(role, NETWORK)), tmp_path / f"{role}.h5")
        depends[role] = {"file": str(tmp_path / f"{role}.h5"), "network": NETWORK}
    return depends


def config(role, frozen, network=NETWORK):
    return training_config(
        {"role": role, "network": network, "generator": GENERATOR, "steps": 2, "pairs": 3, "depends": frozen}
    )


@pytest.mark.parametrize(
    ("role", "network", "cell"),
    [("denoiser", NETWORK, 1), ("quality", REGRESSOR, 1), ("quality", REGRESSOR, 2)],
)
def test_denoiser_and_quality_train_on_their_bank(tmp_path, frozen, role, network, cell):
    settings = training_config({**config(role, frozen, network).to_dict(), "cell": cell})
    generator = Generator([phantom()], generator_config(GENERATOR))
    task = make_task(settings, generator, tmp_path)
    files = sorted((tmp_path / "pairs").glob("*.npz"))
    assert len(files) == 3
    made = [path.stat().st_mtime_ns for path in files]
    shape = tuple(side // cell for side in SHAPE)
    one = Trainer(task, settings, tmp_path, shape, say=lambda words: None)
    one.run()
    assert one.step == 2
    make_task(settings, generator, tmp_path)
    assert [path.stat().st_mtime_ns for path in files] == made


def bank(folder, frozen, **values):
    settings = training_config({**config("denoiser", frozen).to_dict(), **values})
    said = []
    fill_bank(settings, Generator([phantom()], generator_config(settings.generator)), folder, said.append)
    return said


def test_a_bank_may_grow_and_a_part_of_it_be_used(tmp_path, frozen):
    bank(tmp_path / "pairs", frozen, pairs=2)
    bank(tmp_path / "pairs", frozen, pairs=4)
    assert len(list((tmp_path / "pairs").glob("*.npz"))) == 4
    assert [path.name for path in DenoiserPairs(tmp_path / "pairs", 3).paths] == [f"0000{n}.npz" for n in range(3)]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"seed": 2}, "seed"),
        ({"ordinary": 0.5}, "ordinary"),
        ({"generator": {**GENERATOR, "preset": "fast"}}, "generator"),
    ],
)
def test_pairs_that_were_made_otherwise_are_refused(tmp_path, frozen, values, named):
    bank(tmp_path / "pairs", frozen)
    with pytest.raises(OptionsError, match=rf"other settings \({named}\)"):
        bank(tmp_path / "pairs", frozen, **values)


def test_pairs_of_other_networks_are_refused(tmp_path, frozen):
    bank(tmp_path / "pairs", frozen)
    save_weights(build_unet(role_spec("structure", NETWORK)), frozen["structure"]["file"])
    bank(tmp_path / "pairs", frozen)  # D's cascade has no S2
    save_weights(build_unet(role_spec("tissue", NETWORK)), frozen["tissue"]["file"])
    with pytest.raises(OptionsError, match=r"other settings \(depends\)"):
        bank(tmp_path / "pairs", frozen)


def test_a_bank_that_does_not_say_what_it_was_made_from_is_used_when_complete_only(tmp_path, frozen):
    bank(tmp_path / "pairs", frozen)
    (tmp_path / "pairs" / BANK).unlink()
    assert "used as they are" in bank(tmp_path / "pairs", frozen, seed=2)[0]
    with pytest.raises(OptionsError, match="lacks 1 of 4 pairs and does not say"):
        bank(tmp_path / "pairs", frozen, pairs=4)


@pytest.mark.parametrize(
    ("role", "values", "words"),
    [
        ("quality", {"cell": 4}, r"quality network in cells of 4 voxels all sides must be multiples of 16"),
        ("denoiser", {"network": {"features": 4, "levels": 5}}, r"denoiser network all sides must be multiples of 16"),
        ("tissue", {"network": {"features": 4, "levels": 5}}, r"tissue network all sides must be multiples of 16"),
    ],
)
def test_a_grid_that_the_network_cannot_have_is_refused_before_anything_is_made(tmp_path, frozen, role, values, words):
    settings = training_config({**config(role, frozen).to_dict(), "network": {"features": 2, "levels": 3}, **values})
    with pytest.raises(OptionsError, match=words):
        make_trainer(settings, tmp_path / "no label maps", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_grid_that_a_network_before_cannot_have_is_refused(tmp_path, frozen):
    frozen["tissue"]["network"] = {**NETWORK, "levels": 5}
    with pytest.raises(OptionsError, match="tissue network all sides must be multiples of 16"):
        make_trainer(config("denoiser", frozen), tmp_path / "no label maps", tmp_path / "out")


def test_what_a_training_starts_from_is_looked_for_before_the_bank(tmp_path, frozen):
    def make(out, resume=False, **values):
        settings = training_config({**config("denoiser", frozen).to_dict(), **values})
        make_trainer(settings, tmp_path / "no label maps", out, resume=resume)

    with pytest.raises(ModelError, match="to start from does not exist"):
        make(tmp_path / "new", warm_start=str(tmp_path / "none.h5"))
    with pytest.raises(InputError, match=CHECKPOINT):
        make(tmp_path / "new", resume=True)
    generator = Generator([phantom()], generator_config(GENERATOR))
    task = make_task(config("denoiser", frozen), generator, tmp_path / "old")
    Trainer(task, config("denoiser", frozen), tmp_path / "old", SHAPE, say=lambda words: None).run()
    with pytest.raises(OptionsError, match="holds a training"):
        make(tmp_path / "old")
    with pytest.raises(OptionsError, match="another configuration"):
        make(tmp_path / "old", resume=True, seed=2)


def test_a_share_of_the_bank_shows_ordinary_scans(tmp_path, frozen):
    generator = Generator([phantom()], generator_config(GENERATOR))
    ordinary = ordinary_scans(generator)
    assert ordinary.config == generator_config({**GENERATOR, "preset": "fast"})
    made = {}
    for share in (0.0, 0.5, 1.0):
        settings = training_config({**config("denoiser", frozen).to_dict(), "pairs": 8, "ordinary": share})
        bank = fill_bank(settings, generator, tmp_path / str(share), say=lambda words: None)
        made[share] = [np.load(path)["truth"] for path in sorted(bank.glob("*.npz"))]
    usual = [np.array_equal(one, two) for one, two in zip(made[0.5], made[1.0], strict=True)]
    degraded = [np.array_equal(one, two) for one, two in zip(made[0.5], made[0.0], strict=True)]
    assert 0 < sum(usual) < 8
    assert usual == [not one for one in degraded]


def test_only_banks_have_ordinary_scans(frozen):
    with pytest.raises(OptionsError, match=r"ordinary is 0\.5 in a training of the role structure"):
        training_config({**config("structure", frozen).to_dict(), "ordinary": 0.5})


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_s2_is_given_the_tissues_that_s1_finds_when_asked(tmp_path, frozen, share):
    settings = training_config({**config("structure", frozen).to_dict(), "found_tissues": share})
    generator = Generator([phantom()], generator_config(GENERATOR))
    inputs, _ = make_task(settings, generator, tmp_path).batch([3, 4])
    seen = numpy(inputs)[0, ..., 1:].argmax(-1)
    image = numpy(inputs)[0, ..., 0]
    found = frozen_cascade(settings)(image)
    assert np.array_equal(seen, found) == bool(share)
    del frozen["denoiser"]
    alone = training_config({**config("structure", frozen).to_dict(), "found_tissues": 1.0})
    assert not np.array_equal(frozen_cascade(alone)(image), found)


def test_networks_look_outside_the_context_of_generation(tmp_path, frozen, monkeypatch):
    """That context has one thread only, which suits the generator's small operations and no network."""
    inside, seen = [], {}

    @contextmanager
    def context():
        inside.append(True)
        yield
        inside.pop()

    def watched(name, do):
        def call(*given):
            seen[name] = bool(inside)
            return do(*given)

        return call

    monkeypatch.setattr(tasks, "generation", context)
    settings = training_config({**config("structure", frozen).to_dict(), "found_tissues": 1.0})
    task = make_task(settings, Generator([phantom()], generator_config(GENERATOR)), tmp_path)
    task.find, task.generator.sample = watched("find", task.find), watched("sample", task.generator.sample)
    Trainer(task, settings, tmp_path, SHAPE, say=lambda words: None).run(1)
    assert seen == {"find": False, "sample": True}


def test_only_s2_can_be_given_found_tissues(frozen):
    with pytest.raises(OptionsError, match=r"found_tissues is 0\.5 in a training of the role quality"):
        training_config({**config("quality", frozen).to_dict(), "found_tissues": 0.5})


def test_a_cascade_without_weights_is_refused(frozen):
    del frozen["tissue"]
    with pytest.raises(OptionsError, match="no weights for tissue"):
        frozen_cascade(config("quality", frozen))


def test_region_dice_by_hand():
    truth, found = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    truth[0, 0, :4] = TABLE.channel(17)
    found[0, 0, :2] = TABLE.channel(53)  # the other hippocampus belongs to the same region
    scores = region_dice(found, truth, REGIONS.channels(TABLE), len(REGIONS))
    expected = dict.fromkeys(REGIONS.names[1:], 0.0) | {"hippocampus": 2 * 2 / 6}
    assert scores.tolist() == pytest.approx(list(expected.values()))


def test_what_r_sees_depends_on_the_seed_alone(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        np.savez(tmp_path / f"{number:05d}.npz", found=rng.integers(0, 33, SHAPE).astype(np.uint8),
                 truth=rng.integers(0, 33, SHAPE).astype(np.uint8))  # fmt: skip
    pairs = QualityPairs(tmp_path, generator_config(GENERATOR))
    (one, scores), (two, again), (other, _) = pairs.draw([1, 5]), pairs.draw([1, 5]), pairs.draw([1, 6])
    assert np.array_equal(one.groups, two.groups)
    assert np.array_equal(scores, again)
    assert not np.array_equal(one.groups, other.groups)
    assert one.groups.max() <= 10
    assert one.n_groups == len(REGIONS)


def test_r_can_be_shown_displaced_truth_in_cells(tmp_path):
    truth = np.zeros(SHAPE, np.uint8)
    truth[6:18, 6:18, 6:18] = TABLE.channel(17)
    np.savez(tmp_path / "00000.npz", found=np.zeros(SHAPE, np.uint8), truth=truth)
    pairs = QualityPairs(tmp_path, generator_config(GENERATOR), cell=2, moved=1.0)
    place, scores = REGIONS.names[1:].index("hippocampus"), []
    for seed in range(12):
        seen, dice = pairs.draw([2, seed])
        assert seen.shape == (12, 12, 12)
        assert seen.image.sum(-1) == pytest.approx(np.ones((12, 12, 12)))
        scores.append(dice[place])
    assert min(scores) < 0.8 < max(scores)  # all degrees of wrong
    not_moved = QualityPairs(tmp_path, generator_config(GENERATOR), cell=2, moved=0.0)
    assert all(not_moved.draw([2, seed])[1][place] == 0 for seed in range(12))


def test_displacement_moves_labels_and_makes_none():
    truth = np.zeros(SHAPE, np.uint8)
    truth[6:18, 6:18, 6:18] = 3
    truth[10:14, 10:14, 10:14] = 7
    moved = [displaced(truth, np.random.default_rng(seed), 2.0) for seed in range(8)]
    assert all(set(np.unique(one)) <= {0, 3, 7} for one in moved)
    assert np.array_equal(moved[0], displaced(truth, np.random.default_rng(0), 2.0))
    assert np.median([(one != truth).mean() for one in moved]) > 0.01
    centres = [np.argwhere(one > 0).mean(0) for one in moved]
    assert np.abs(np.array(centres) - 11.5).max() < 6  # voxels: out of place, not out of sight


def test_cells_and_displacement_are_for_r_only(frozen):
    with pytest.raises(OptionsError, match=r"displaced is 0\.5 and cell 1 in a training of the role denoiser"):
        training_config({**config("denoiser", frozen).to_dict(), "displaced": 0.5})


def test_a_box_covers_at_least_forty_percent_of_each_side():
    for seed in range(20):
        where = np.argwhere(random_box(np.random.default_rng(seed), (20, 30, 40)))
        assert (np.ptp(where, axis=0) + 1 >= [8, 12, 16]).all()


def test_scans_of_nothing_differ_and_fill_the_range():
    one, two = (not_a_brain(seed, (20, 22, 24)) for seed in (1, 2))
    assert one.dtype == np.float32
    assert (one.min(), one.max()) == (0.0, 1.0)
    assert np.abs(one - two).mean() > 0.02


def test_a_perturbed_partition_stays_close_and_keeps_its_classes():
    truth = np.zeros((32, 32, 32), int)
    truth[8:24, 8:24, 8:24] = 1
    truth[12:20, 12:20, 12:20] = 2
    onehot = tensor(np.eye(3)[truth])
    changed = []
    for seed in range(8):
        found = numpy(perturb_partition(onehot, seed, 1.0))
        assert set(np.unique(found)) <= {0, 1, 2}
        changed.append((found != truth).mean())
    assert 0 < np.median(changed) < 0.1
    assert np.array_equal(numpy(perturb_partition(onehot, 3, 1.0)), numpy(perturb_partition(onehot, 3, 1.0)))
