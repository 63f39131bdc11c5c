from pathlib import Path

import pytest
import torch

from unweave.errors import UnweaveError
from unweave.methods.public_sae.released import read_folder
from unweave.methods.public_sae.settings import Correction

GOLDEN = Path(__file__).parent / "golden"


def read(folder, **correction):
    return read_folder(folder, Correction(**correction))


def test_an_old_configuration_has_the_defaults_of_its_time():
    sae = read(GOLDEN / "legacy")
    assert (sae.architecture, sae.k, sae.normalisation) == ("topk", 3, "layer_norm")
    assert sae.subtracts_decoder_bias
    assert sae.metadata["hook_name"] == "blocks.2.hook_resid_pre"


@pytest.mark.parametrize(("old", "new"), [(True, "expected_average_only_in"), (False, "none"), (None, "none")])
def test_old_switches_of_the_normalisation_are_understood(changed, old, new):
    assert read(changed("legacy", {"normalize_activations": old})).normalisation == new


def test_a_correction_replaces_what_the_configuration_says():
    sae = read(GOLDEN / "standard", architecture="topk", k=4, normalize_activations="layer_norm")
    assert (sae.architecture, sae.k, sae.normalisation) == ("topk", 4, "layer_norm")


def test_weights_become_float32(changed):
    folder = changed("gated", weights={"W_dec": torch.randn(10, 6).bfloat16()})
    assert read(folder).weights["W_dec"].dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "configuration", "weights", "message"),
    [
        ("standard", {"architecture": "temporal"}, {}, "architecture temporal is not supported"),
        ("standard", {"architecture": "transcoder"}, {}, "architecture transcoder is not supported"),
        ("standard", {"normalize_activations": "covariance_whitening"}, {}, "covariance_whitening is not supported"),
        ("standard", {"reshape_activations": "hook_z"}, {}, "attention heads one by one"),
        ("standard", {"architecture": "gated"}, {}, r"b_gate of a gated SAE must be \(10,\), there is nothing"),
        ("jumprelu", {}, {"threshold": torch.ones(3)}, r"threshold of a jumprelu SAE must be \(10,\), there is \(3,\)"),
        ("gated", {}, {"W_enc": torch.randn(10, 6)}, r"W_enc of a gated SAE must be \(6, 10\)"),
        ("gated", {}, {"b_mag": torch.full((10,), float("nan"))}, "b_mag has NaN or infinite values"),
        ("gated", {}, {"W_dec": None}, "has no decoder matrix W_dec"),
        ("topk", {"k": None}, {}, "k is None of 10 features"),
        ("topk", {"k": 11}, {}, "k is 11 of 10 features"),
        ("gated", {}, {"scaling_factor": torch.full((10,), 2.0)}, "a finetuning scale that its configuration"),
    ],
)
def test_what_cannot_be_encoded_rightly_is_refused_in_one_line(changed, name, configuration, weights, message):
    with pytest.raises(UnweaveError, match=message) as error:
        read(changed(name, configuration, weights))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", ["cfg.json", "sae_weights.safetensors"])
def test_a_missing_file_is_named(changed, file):
    folder = changed("gated")
    (folder / file).unlink()
    with pytest.raises(UnweaveError, match=f"{file}: no such file: `folder` must hold cfg.json"):
        read(folder)


@pytest.mark.parametrize(
    "content", ["[1, 2]", "null", '{"metadata": "x"}', '{"architecture": "topk", "activation_fn_kwargs": 5}']
)
def test_a_configuration_of_another_layout_is_refused_in_one_line(changed, content):
    folder = changed("gated")
    (folder / "cfg.json").write_text(content)
    with pytest.raises(
        UnweaveError, match="its configuration is not laid out as sae-lens saves it: save the SAE again"
    ):
        read(folder)


def test_a_configuration_without_an_end_is_damaged(changed):
    folder = changed("gated")
    (folder / "cfg.json").write_text("[" * 100_000)
    with pytest.raises(UnweaveError, match="damaged"):
        read(folder)


@pytest.mark.parametrize("file", ["cfg.json", "sae_weights.safetensors"])
def test_a_damaged_file_is_one_clear_line(changed, file):
    folder = changed("gated")
    path = folder / file
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UnweaveError, match="damaged") as error:
        read(folder)
    assert "\n" not in str(error.value)
