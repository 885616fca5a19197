"""`synthsegplus train`: what it is asked reaches the training, and what it says of the machine."""

import argparse

import pytest

from SynthSegPlusLib import networks
from SynthSegPlusLib.networks import Chosen
from SynthSegPlusLib.training import command, recipes

torch = pytest.importorskip("torch")


@pytest.fixture
def trained(monkeypatch):
    """Configurations of trainings that were begun, on a CPU with torch; nothing is trained."""
    begun = []

    class Nothing:
        def run(self, steps):
            pass

    monkeypatch.setattr(networks, "choose_backend", lambda *about: Chosen("torch", "cpu", "a CPU"))
    monkeypatch.setattr(recipes, "make_trainer", lambda config, *about: begun.append(config) or Nothing())
    return begun


def train(tmp_path, *options):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    config = tmp_path / "s.toml"
    config.write_text('steps = 2\nprecision = "bfloat16"\n', encoding="utf-8")
    asked = ["segmenter", "--labels", str(tmp_path), "--config", str(config), "--out", str(tmp_path / "out"), *options]
    return command.run(parser.parse_args(asked))


def processor(monkeypatch, supported):
    for name in ("_is_mkldnn_bf16_supported", "_is_mkldnn_fp16_supported"):
        monkeypatch.setattr(torch.ops.mkldnn, name, lambda: supported, raising=False)


def test_a_precision_that_the_processor_must_emulate_is_told(tmp_path, monkeypatch, trained, capsys):
    processor(monkeypatch, supported=False)
    assert train(tmp_path) == 0
    assert "no arithmetic in bfloat16" in capsys.readouterr().out
    assert train(tmp_path, "--precision", "float16") == 0
    assert "no arithmetic in float16" in capsys.readouterr().out
    assert train(tmp_path, "--precision", "float32") == 0
    assert "arithmetic" not in capsys.readouterr().out
    assert [config.precision for config in trained] == ["bfloat16", "float16", "float32"]


def test_a_processor_that_has_it_is_told_nothing(tmp_path, monkeypatch, trained, capsys):
    processor(monkeypatch, supported=True)
    assert train(tmp_path) == 0
    assert "arithmetic" not in capsys.readouterr().out


@pytest.mark.parametrize(("backend", "device"), [("torch", "gpu:0"), ("jax", "cpu"), ("tensorflow", "cpu")])
def test_other_machines_are_not_judged(monkeypatch, backend, device):
    processor(monkeypatch, supported=False)
    assert not command.is_emulated("bfloat16", Chosen(backend, device, "?"))


def test_a_torch_that_cannot_be_asked_is_not_judged(monkeypatch):
    class Old:
        pass

    monkeypatch.setattr(torch.ops, "mkldnn", Old())
    assert not command.is_emulated("bfloat16", Chosen("torch", "cpu", "?"))
