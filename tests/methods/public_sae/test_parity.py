"""Codes and reconstructions are those of sae-lens, as `make_golden.py` stored them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = ("standard", "topk", "topk-rescaled", "abstopk", "jumprelu", "gated", "batchtopk")
NORMALISATIONS = ("none", "layer_norm", "constant_norm_rescale", "expected_average_only_in")


@pytest.fixture(params=FOLDERS)
def folder(request):
    return request.param


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("subtract", [False, True])
def test_codes_and_reconstructions_are_those_of_sae_lens(expected, fitted, folder, normalisation, subtract):
    dictionary = fitted(
        GOLDEN / folder,
        correction={"normalize_activations": normalisation, "apply_b_dec_to_input": subtract},
        norm_scaling_factor=float(expected["scale"]),
        unit_atoms=False,
    ).dictionary
    case = f"{folder}/{normalisation}/{int(subtract)}"
    codes = dictionary.encode(expected["x"])
    torch.testing.assert_close(codes, expected[f"{case}/codes"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dictionary.decode(codes, like=expected["x"]), expected[f"{case}/decoded"])


@pytest.mark.parametrize(
    ("name", "normalisation", "subtract"),
    [
        ("standard", "expected_average_only_in", 1),
        ("topk", "layer_norm", 1),
        ("topk-rescaled", "none", 1),
        ("abstopk", "constant_norm_rescale", 1),
        ("jumprelu", "none", 0),
        ("gated", "none", 1),
        ("batchtopk", "none", 1),
    ],
)
def test_a_folder_is_encoded_as_its_own_configuration_says(expected, fitted, name, normalisation, subtract):
    fit = fitted(GOLDEN / name, norm_scaling_factor=float(expected["scale"]), unit_atoms=False)
    codes = expected[f"{name}/{normalisation}/{subtract}/codes"]
    torch.testing.assert_close(fit.dictionary.encode(expected["x"]), codes, rtol=1e-5, atol=1e-5)
    assert fit.diagnostics["normalize_activations"] == normalisation
    assert fit.diagnostics["apply_b_dec_to_input"] == bool(subtract)


def test_a_configuration_from_before_version_6_is_understood(expected, fitted, activations):
    dictionary = fitted(GOLDEN / "legacy", unit_atoms=False).dictionary
    codes = dictionary.encode(expected["x"])
    torch.testing.assert_close(codes, expected["legacy/codes"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dictionary.decode(codes, like=expected["x"]), expected["legacy/decoded"])


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_unit_atoms_move_the_norm_of_the_decoder_into_the_codes(expected, fitted, folder, normalisation):
    dictionary = fitted(
        GOLDEN / folder,
        correction={"normalize_activations": normalisation},
        norm_scaling_factor=float(expected["scale"]),
    ).dictionary
    torch.testing.assert_close(dictionary.atoms.norm(dim=1), torch.ones(10))
    subtract = 0 if folder == "jumprelu" else 1
    codes = dictionary.encode(expected["x"])
    case = f"{folder}/{normalisation}/{subtract}"
    torch.testing.assert_close(dictionary.decode(codes, like=expected["x"]), expected[f"{case}/decoded"])
    assert torch.equal(codes != 0, expected[f"{case}/codes"] != 0)
    if folder != "topk-rescaled" and normalisation == "none":
        norms = load_file(GOLDEN / folder / "sae_weights.safetensors")["W_dec"].norm(dim=1)
        torch.testing.assert_close(codes, expected[f"{case}/codes"] * norms)


def test_a_finetuning_scale_acts_on_the_codes_that_are_decoded(expected, fitted, changed):
    scale = torch.linspace(0.5, 2, 10)
    folder = changed("gated", {"finetuning_scaling_factor": True}, {"scaling_factor": scale})
    dictionary = fitted(folder, unit_atoms=False).dictionary
    codes = expected["gated/none/1/codes"]
    torch.testing.assert_close(dictionary.encode(expected["x"]), codes, rtol=1e-5, atol=1e-5)
    weights = load_file(GOLDEN / "gated" / "sae_weights.safetensors")
    torch.testing.assert_close(dictionary.decode(codes), (codes * scale) @ weights["W_dec"] + weights["b_dec"])


def test_rows_of_a_model_with_centred_weights_lose_their_mean_and_get_it_back(expected, fitted, changed):
    folder = changed("gated", {"metadata": {"model_from_pretrained_kwargs": {"center_writing_weights": True}}})
    centred, plain = fitted(folder).dictionary, fitted(GOLDEN / "gated").dictionary
    x = expected["x"]
    mean = x.mean(dim=1, keepdim=True)
    codes = centred.encode(x)
    torch.testing.assert_close(codes, plain.encode(x - mean))
    torch.testing.assert_close(centred.decode(codes, like=x), plain.decode(codes) + mean)
    assert centred.traits.normalisation == "row_mean"
