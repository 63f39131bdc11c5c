import json
from pathlib import Path

import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError
from unweave.methods import public_sae
from unweave.methods.dictionary import load, save
from unweave.methods.public_sae.estimate import CHECKED_ROWS, measured
from unweave.methods.raw_dimensions import RawDimensions, Traits

GOLDEN = Path(__file__).parent / "golden"
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["standard", "topk", "abstopk", "jumprelu", "gated", "batchtopk", "legacy"])
def test_a_saved_one_loads_and_encodes_the_same(fitted, expected, tmp_path, name):
    fit = fitted(GOLDEN / name)
    save(fit, tmp_path / "dictionary", {})
    loaded = load(tmp_path / "dictionary")
    codes = fit.dictionary.encode(expected["x"])
    assert torch.equal(loaded.encode(expected["x"]), codes)
    assert torch.equal(loaded.decode(codes, like=expected["x"]), fit.dictionary.decode(codes, like=expected["x"]))
    json.dumps(fit.diagnostics, allow_nan=False)


def test_traits_are_true(fitted, expected):
    for name, normalisation in (("abstopk", "row_norm"), ("topk", "layer_norm"), ("gated", "none")):
        dictionary = fitted(GOLDEN / name).dictionary
        assert dictionary.traits.normalisation == normalisation
        assert dictionary.traits.signed == bool((dictionary.encode(expected["x"]) < 0).any())
        assert dictionary.readers is None
        same = torch.allclose(dictionary.encode(3 * expected["x"]), dictionary.encode(expected["x"]), atol=1e-3)
        assert same == (normalisation != "none")


def test_facts_tell_where_it_is_from_and_how_it_is_fed(fitted):
    facts = fitted(GOLDEN / "topk").diagnostics
    assert facts["folder"] == "topk"
    assert len(facts["weights_sha256"]) == 64
    assert (facts["architecture"], facts["k"], facts["normalize_activations"]) == ("topk", 3, "layer_norm")
    assert (facts["model_name"], facts["hook_name"]) == ("tiny", "blocks.1.hook_resid_post")


def test_the_fit_is_measured_on_the_activations(fitted, expected):
    fit = fitted(GOLDEN / "gated")
    x = expected["x"].double()
    codes = fit.dictionary.encode(expected["x"])
    error = (fit.dictionary.decode(codes).double() - x).square().sum()
    # Twelve rows are fewer than the stretches that are measured, so all of them are.
    assert fit.diagnostics["rows_checked"] == len(x)
    assert fit.diagnostics["fve"] == pytest.approx(float(1 - error / (x - x.mean(0)).square().sum()), abs=1e-6)
    assert fit.diagnostics["l0"] == pytest.approx(float((codes != 0).sum(1).double().mean()))


def identity(center):
    return RawDimensions({"center": torch.full((6,), center)}, Traits(signed=True, linear=True, firing="dense"))


def test_a_perfect_reconstruction_has_an_fve_of_one_and_is_not_suspect():
    activations = InMemoryActivations(torch.randn(3 * CHECKED_ROWS, 6) + 100)
    facts = measured(identity(0.0), activations, CPU)
    assert facts["fve"] == pytest.approx(1)
    assert not facts["normalisation_suspect"]
    assert facts["rows_checked"] == CHECKED_ROWS


def test_a_reconstruction_that_is_worse_than_the_mean_row_is_flagged(fitted):
    facts = fitted(GOLDEN / "standard", norm_scaling_factor=40.0).diagnostics
    assert facts["fve"] < 0
    assert facts["normalisation_suspect"]


def test_rows_that_are_all_the_same_have_no_fve():
    facts = measured(identity(0.0), InMemoryActivations(torch.full((50, 6), 3.0)), CPU)
    assert facts["fve"] is None
    assert not facts["normalisation_suspect"]


def test_the_scale_of_the_activations_is_used_where_none_is_stated(fitted, expected):
    scale = fitted(GOLDEN / "standard").diagnostics["norm_scaling_factor"]
    assert scale == pytest.approx(float(6**0.5 / expected["x"].norm(dim=1).mean()), rel=1e-5)
    assert fitted(GOLDEN / "gated").diagnostics["norm_scaling_factor"] == 1


def test_rows_that_are_not_finite_are_refused():
    x = torch.randn(50, 6)
    x[7, 2] = float("nan")
    with pytest.raises(UnweaveError, match="NaN or infinite activations"):
        measured(identity(0.0), InMemoryActivations(x[:16]), CPU)


def test_a_scale_that_the_activations_cannot_give_must_be_stated(fitted, changed):
    folder = changed("standard", {"metadata": {"model_from_pretrained_kwargs": {"center_writing_weights": True}}})
    with pytest.raises(UnweaveError, match="state norm_scaling_factor"):
        fitted(folder)
    assert fitted(folder, norm_scaling_factor=2.0).diagnostics["norm_scaling_factor"] == 2


def test_a_decoder_row_of_zeros_is_counted_and_stays_zero(fitted, changed):
    weights = torch.randn(10, 6)
    weights[4] = 0
    fit = fitted(changed("topk-rescaled", weights={"W_dec": weights}))
    assert fit.diagnostics["decoder_rows_of_zero_norm"] == 1
    assert torch.equal(fit.dictionary.atoms[4], torch.zeros(6))
    assert fit.dictionary.encode(torch.randn(5, 6)).isfinite().all()


def test_the_block_of_the_activations_is_put_into_the_name_of_the_folder(fitted, changed, activations):
    folder = changed("gated")
    folder.rename(folder.with_name("layer-1"))
    assert fitted(folder.with_name("layer-{layer}")).diagnostics["folder"] == "layer-1"
    activations.layer = None
    with pytest.raises(UnweaveError, match="the block of the activations is not known"):
        fitted(folder.with_name("layer-{layer}"))


def test_an_sae_of_another_block_is_refused(fitted, activations):
    activations.layer = 2
    with pytest.raises(UnweaveError, match="reads the resid of block 1"):
        fitted(GOLDEN / "gated")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"release": "r"},
        {"sae_id": "s"},
        {"folder": "f", "sae_id": "s"},
        {"folder": "f", "release": "r", "sae_id": "s"},
    ],
)
def test_settings_must_name_one_place(settings):
    with pytest.raises(ValueError, match="name"):
        public_sae.Settings(**settings)
