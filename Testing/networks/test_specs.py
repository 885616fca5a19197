"""Descriptions of networks count and name what the published files hold."""

from __future__ import annotations

import pytest

from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.networks import PAPER, PUBLISHED, RegressorSpec, UNetSpec

# Parameters of the published files, and their number of datasets.
FILES = {
    ("S 1.0",): (13_242_824, 74),
    ("S 2.0",): (13_242_849, 74),
    ("S1", "D", "S2"): (53_574_739, 222),
    ("S3",): (13_245_045, 74),
    ("R",): (12_450_663, 44),
}


@pytest.mark.parametrize("roles", list(FILES))
def test_a_published_file_has_as_many_parameters_and_datasets_as_described(roles):
    specs = [PUBLISHED[role] for role in roles]
    datasets = sum(len(layer.shapes) for spec in specs for layer in spec.layers())
    assert (sum(spec.parameters() for spec in specs), datasets) == FILES[roles]


def test_decoder_layers_are_numbered_after_the_encoders_levels():
    names = [layer.name for layer in UNetSpec("unet", 1, 33, features=16, levels=4).layers()]
    assert [name for name in names if "uparm" in name] == [
        f"unet_conv_uparm_{step}_{index}" for step in (4, 5, 6) for index in (0, 1)
    ]


def test_a_plateau_keeps_the_finest_width_for_so_many_levels():
    spec = UNetSpec("unet", 1, 33, features=16, levels=5, plateau=1)
    assert [spec.level_features(level) for level in range(5)] == [16, 16, 32, 64, 128]


def test_the_papers_denoiser_is_light_and_has_skips_at_the_two_deepest_levels_only():
    spec = PAPER["D"]
    assert isinstance(spec, UNetSpec)
    assert [spec.has_skip(level) for level in range(4)] == [False, False, True, True]
    kernels = [layer.shapes["kernel"] for layer in spec.layers() if "conv" in layer.name]
    assert len(kernels) == 9
    assert {shape[-1] for shape in kernels} == {16}
    assert spec.parameters() < PUBLISHED["D"].parameters() / 100


def test_the_papers_regressor_gives_ten_regions():
    shapes = {layer.name: layer.shapes for layer in PAPER["R"].layers()}
    assert shapes["qc_final_conv_1"]["kernel"] == (5, 5, 5, 10, 10)
    assert not any("expand" in name for name in shapes)


@pytest.mark.parametrize("spec", [*PUBLISHED.values(), *PAPER.values()], ids=lambda spec: f"{spec.prefix}")
def test_a_description_survives_json(spec):
    assert type(spec).from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: UNetSpec("unet", 1, 33, kernel=4), "odd"),
        (lambda: UNetSpec("unet", 0, 33), "in_channels is 0"),
        (lambda: UNetSpec("unet", 1, 33, levels=True), "levels is True"),
        (lambda: UNetSpec("unet", 1, 33, skips="shallowest"), "shallowest"),
        (lambda: UNetSpec("unet", 1, 33, norm="layer"), "'layer'; write batch or instance"),  # type: ignore[arg-type]
        (lambda: UNetSpec("unet", 1, 33, levels=3, plateau=3), "plateau is 3; .* from 0 to 2"),
        (lambda: UNetSpec("unet", 1, 33, plateau=1, constant_features=True), "both a plateau"),
        (lambda: UNetSpec("unet", 1, 33, plateau=True), "plateau is True"),
        (lambda: RegressorSpec("qc", 9, 9, variant="mine"), "mine"),  # type: ignore[arg-type]
        (lambda: UNetSpec.from_dict({"prefix": "unet", "in_channels": 1, "n_labels": 3, "depth": 4}), "depth"),
        (lambda: RegressorSpec.from_dict({"prefix": "qc", "in_channels": 9}), "n_outputs"),
    ],
)
def test_an_unusable_description_is_refused_by_name(make, named):
    with pytest.raises(ModelError, match=named):
        make()
