"""From trained weights to a model set that the engine loads."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.cli import main
from SynthSegPlusLib.commands.models import describe
from SynthSegPlusLib.contract.errors import ModelError, OptionsError
from SynthSegPlusLib.networks import build_regressor, build_unet, load_network, save_weights
from SynthSegPlusLib.training.export import TrainedRole, sha256, within_half, write_model_set
from SynthSegPlusLib.training.tasks import role_spec

NETWORK = {"features": 4, "levels": 2}
ROLES = ("segmenter", "tissue", "denoiser", "structure", "parcellation", "quality")


@pytest.fixture
def trained(tmp_path):
    roles = []
    for role in ROLES:
        spec = role_spec(role, NETWORK)
        model = build_regressor(spec) if role == "quality" else build_unet(spec)
        save_weights(model, tmp_path / f"{role}_trained.h5")
        roles.append(TrainedRole(role, tmp_path / f"{role}_trained.h5", NETWORK))
    return roles


def test_a_trained_cascade_becomes_a_model_set_that_runs_every_mode(tmp_path, trained):
    made = write_model_set(
        tmp_path / "set", trained, name="toy", title="Toy", description="For a test.", resolution=2.0,
        grid=(32, 32, 32), multiple=2,
    )  # fmt: skip
    assert set(made.roles) == set(ROLES)
    assert set(made.modes) >= {"robust", "default", "fast"}
    assert made.working_resolution_mm == 2.0
    assert made.quality.grid == (32, 32, 32)
    for role in made.roles.values():
        assert role.verify().sha256 == sha256(role.path)


def test_the_share_of_s_goes_into_the_set(tmp_path, trained):
    made = write_model_set(tmp_path / "set", trained, name="toy", title="Toy", description="", segmenter_share=0.25)
    assert made.postprocessing.segmenter_share == 0.25
    assert made.averages_segmenter("robust")
    assert "robust    75% the cascade's posteriors, 25% those of the single network" in describe(made)
    plain = write_model_set(tmp_path / "plain", trained, name="toy", title="Toy", description="")
    assert not plain.averages_segmenter("robust")
    assert "posteriors" not in describe(plain)


def test_how_much_intensities_say_goes_into_the_set(tmp_path, trained):
    made = write_model_set(
        tmp_path / "set", trained, name="toy", title="Toy", description="", resolution=2.0, appearance=0.5,
        gaps_mm=5.0,
    )
    assert made.postprocessing.appearance == 0.5
    assert made.postprocessing.gaps_mm == 5.0


def test_the_thresholds_of_a_set_are_those_of_the_paper_or_what_is_asked_for(tmp_path, trained):
    paper = write_model_set(tmp_path / "paper", trained, name="toy", title="Toy", description="").postprocessing
    assert (paper.tails, paper.counts_tails, paper.posterior_threshold) == (0.25, False, 0.2)
    made = write_model_set(
        tmp_path / "set", trained, name="toy", title="Toy", description="", tails=0.05,
        posterior_threshold=0.02,
    ).postprocessing  # fmt: skip
    assert (made.tails, made.counts_tails, made.posterior_threshold) == (0.05, True, 0.02)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--tails", "0.3", "from 0 to 0.25"), ("--posterior-threshold", "-0.1", "from 0 to 1"),
     ("--appearance", "1.5", "from 0 to 1"), ("--appearance", "0.5", "coarser than 1 mm"),
     ("--gaps", "11", "from 0 to 10 mm"), ("--gaps", "5", "coarser than 1 mm")],
)  # fmt: skip
def test_a_say_of_intensities_and_gaps_that_cannot_be_are_refused(tmp_path, capsys, option, value, message):
    out = tmp_path / "set"
    command = ["export", "--out", str(out), "--name", "toy", "--configs", "gpu_1mm", option, value]
    assert main([*command, "--weights", "segmenter=s.h5"]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("share", "weights", "message"),
    [("1.5", ["segmenter=s.h5"], "share from 0 to 1"), ("0.5", ["tissue=t.h5", "structure=s.h5"], "robust mode")],
)
def test_a_share_of_s_that_cannot_be_is_refused(tmp_path, capsys, share, weights, message):
    out = tmp_path / "set"
    command = ["export", "--out", str(out), "--name", "toy", "--configs", "cpu_2mm", "--segmenter-share", share]
    assert main([*command, "--weights", *weights]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_half_precision_weights_predict_what_the_trained_ones_do(tmp_path, trained):
    made = write_model_set(tmp_path / "set", trained, name="toy", title="Toy", description="For a test.", multiple=2)
    role = made.roles["tissue"]
    image = np.random.default_rng(0).random((8, 8, 8, 1)).astype(np.float32)
    original = load_network(role.network, trained[1].weights).softmax(image)
    assert np.allclose(load_network(role.network, role.path).softmax(image), original, atol=0.01)


def test_weights_of_another_architecture_are_refused(tmp_path, trained):
    wrong = [TrainedRole("tissue", trained[0].weights, NETWORK)]
    with pytest.raises(ModelError, match="shape"):
        write_model_set(tmp_path / "set", wrong, name="toy", title="Toy", description="")


def test_an_empty_set_is_refused(tmp_path):
    with pytest.raises(OptionsError, match="at least one"):
        write_model_set(tmp_path / "set", [], name="toy", title="Toy", description="")


def test_a_variance_beyond_half_precision_is_moved_into_gamma():
    rng = np.random.default_rng(0)
    norm = {name: rng.normal(1, 0.1, 4).astype(np.float32) for name in ("gamma", "beta", "moving_mean")}
    norm["moving_variance"] = np.array([0.5, 2.0, 7e4, 1e9], np.float32)
    x = rng.normal(0, 100, (5, 4))

    def normalise(values):
        spread = np.sqrt(values["moving_variance"] + 1e-3)
        return (x - values["moving_mean"]) * values["gamma"] / spread + values["beta"]

    found = within_half({"bn": norm})["bn"]
    assert found["moving_variance"].max() < 65504
    assert np.allclose(normalise(found), normalise(norm), rtol=1e-5)
