"""Settings of a training."""

from __future__ import annotations

import numpy as np
import pytest

from SynthSegPlusLib.contract.errors import OptionsError
from SynthSegPlusLib.synthesis import generator_config
from SynthSegPlusLib.training.command import CONFIGS, bundled_configs, load
from SynthSegPlusLib.training.config import Schedule, read_config, training_config
from SynthSegPlusLib.training.tasks import role_spec


@pytest.mark.parametrize("name", bundled_configs())
def test_every_bundled_configuration_describes_a_network_and_a_generator_that_fit(name):
    config = load(name, name.split("/")[-1])
    spec, generator = role_spec(config.role, config.network), generator_config(config.generator)
    shape = (config.patch,) * 3 if config.role == "refiner" else generator.shape
    assert all(side % (config.cell * spec.multiple) == 0 for side in shape)
    for role, entry in config.depends.items():
        role_spec(role, entry["network"])


def test_every_set_of_configurations_trains_the_whole_cascade():
    for folder in (path for path in CONFIGS.iterdir() if path.is_dir()):
        refiner = {"refiner"} if folder.name.startswith("cpu") else set()  # for sets that work at 2 mm
        assert {path.stem for path in folder.glob("*.toml")} == {
            "segmenter", "tissue", "denoiser", "structure", "parcellation", "quality", *refiner,
        }  # fmt: skip


def test_dependencies_have_the_architecture_with_which_they_are_trained():
    for name in bundled_configs():
        for role, entry in load(name, name.split("/")[-1]).depends.items():
            own = load(f"{name.split('/')[0]}/{role}", role)
            assert role_spec(role, entry["network"]) == role_spec(role, own.network)


def test_the_rate_rises_falls_and_ends_at_the_final_value():
    schedule = Schedule(rate=1.0, warmup=10, final=0.0)
    rates = [schedule.at(step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0, abs=0.03)
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[100] == pytest.approx(0.0)
    assert Schedule(rate=1.0, warmup=1, shape="constant").at(70, 100) == 1.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"role": "surgeon"}, "role is 'surgeon'"),
        ({"role": "tissue", "stepz": 3}, "unknown entries"),
        ({"role": "tissue", "steps": 0}, "steps is 0"),
        ({"role": "tissue", "loss": "hinge"}, "loss is 'hinge'"),
        ({"role": "tissue", "ema": 1.0}, "ema is 1.0"),
        ({"role": "tissue", "schedule": {"rat": 1}}, "schedule is wrong"),
        ({}, "names no role"),
    ],
)
def test_a_wrong_entry_is_named(values, words):
    with pytest.raises(OptionsError, match=words):
        training_config(values)


def test_a_configuration_of_another_role_is_refused():
    with pytest.raises(OptionsError, match="is for 'tissue', not 'structure'"):
        training_config({"role": "tissue"}, "structure")


def test_weight_files_are_looked_for_beside_the_file_or_where_told(tmp_path):
    path = tmp_path / "tissue.toml"
    path.write_text('warm_start = "s.h5"\n', encoding="utf-8")
    assert read_config(path, "tissue").warm_start == str(tmp_path / "s.h5")
    assert read_config(path, "tissue", tmp_path / "models").warm_start == str(tmp_path / "models" / "s.h5")


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    path = tmp_path / "tissue.toml"
    path.write_text("steps = = 3", encoding="utf-8")
    with pytest.raises(OptionsError, match="not valid TOML"):
        read_config(path, "tissue")


def test_an_unknown_configuration_lists_the_bundled_ones():
    with pytest.raises(OptionsError, match="cpu_2mm/tissue"):
        load("nowhere", "tissue")
