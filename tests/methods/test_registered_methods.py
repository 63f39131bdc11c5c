"""What every entry of config/methods.yaml must do, whatever its method."""

import json
from types import SimpleNamespace

import jsonschema
import pytest
import torch

from unweave.config import PROJECT, MethodEntry, read_yaml, validated
from unweave.methods.dictionary import load, save
from unweave.methods.fit import method_module

REGISTRY = PROJECT / "config" / "methods.yaml"
ENTRIES = {name: validated(MethodEntry, entry, name) for name, entry in read_yaml(REGISTRY).items()}


QUICK = {"tokens": 20_000, "batch_size": 256, "iterations": 30, "warmup_steps": 10, "fine_tuning_iterations": 10}
"""What limits the work of a fit, where a method has such a setting: these tests are about the interface."""


LATENTS = 96
"""Of a method whose number of latents follows the dimensions, of which there are only six here."""


def quick(settings):
    lowered = {name: min(value, getattr(settings, name)) for name, value in QUICK.items() if hasattr(settings, name)}
    if hasattr(settings, "expansion"):
        lowered["n_features"] = LATENTS
    return settings.model_copy(update=lowered)


@pytest.fixture(scope="module", params=ENTRIES)
def arm(request, planted, cpu):
    entry = ENTRIES[request.param]
    module = method_module(entry.method)
    settings = quick(validated(module.Settings, entry.settings, request.param))
    if getattr(settings, "needs_network", False):
        pytest.skip("downloads what it fits")

    def refit(seed=0):
        return module.fit(planted.activations, settings, seed, cpu)

    fit = refit()
    return SimpleNamespace(
        fit=fit, dictionary=fit.dictionary, refit=refit, x=planted.x, codes=fit.dictionary.encode(planted.x)
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_the_settings_of_an_entry_satisfy_the_schema_of_its_method(name):
    schema = method_module(ENTRIES[name].method).Settings.model_json_schema()
    jsonschema.validate(ENTRIES[name].settings, schema)
    assert schema["additionalProperties"] is False
    assert all("description" in field for field in schema["properties"].values())


def test_shapes_are_those_of_the_interface(arm):
    features = arm.dictionary.n_features
    assert arm.dictionary.atoms.shape == (features, 6)
    assert arm.codes.shape == (len(arm.x), features)
    assert arm.dictionary.decode(arm.codes).shape == arm.x.shape
    assert features % arm.dictionary.traits.group_size == 0


def test_everything_is_finite_float32(arm):
    for tensor in (*arm.dictionary.tensors.values(), arm.codes, arm.dictionary.decode(arm.codes)):
        assert tensor.dtype == torch.float32
        assert tensor.isfinite().all()


def test_the_same_seed_gives_the_same_dictionary(arm):
    again = arm.refit()
    assert again.history == arm.fit.history
    assert again.diagnostics == arm.fit.diagnostics
    for name, tensor in arm.dictionary.tensors.items():
        assert torch.equal(again.dictionary.tensors[name], tensor)


def test_a_saved_dictionary_loads_and_encodes_the_same(arm, tmp_path):
    save(arm.fit, tmp_path / "dictionary", {})
    loaded = load(tmp_path / "dictionary")
    assert loaded.traits == arm.dictionary.traits
    assert torch.equal(loaded.encode(arm.x), arm.codes)
    assert torch.equal(loaded.decode(arm.codes), arm.dictionary.decode(arm.codes))


def test_signed_codes_take_both_signs_and_others_do_not(arm):
    assert bool((arm.codes < 0).any()) == arm.dictionary.traits.signed
    assert (arm.codes > 0).any()


def test_binary_codes_are_bits(arm):
    assert arm.codes.unique().numel() > 2 or arm.dictionary.traits.binary


def test_a_linear_dictionary_encodes_affinely_by_its_readers(arm):
    traits = arm.dictionary.traits
    assert (arm.dictionary.readers is not None) == traits.linear
    if traits.linear:
        assert traits.normalisation in ("none", "row_norm", "median_norm")
        x = arm.x - arm.dictionary.tensors["median"] if traits.normalisation == "median_norm" else arm.x
        x = x if traits.normalisation == "none" else torch.nn.functional.normalize(x)
        differences = (x[1:] - x[:-1]) @ arm.dictionary.readers.T
        torch.testing.assert_close(arm.codes[1:] - arm.codes[:-1], differences, rtol=1e-3, atol=1e-3)


def test_a_dictionary_that_normalises_rows_ignores_their_scale_and_others_do_not(arm):
    same = torch.isclose(arm.dictionary.encode(2 * arm.x), arm.codes, atol=1e-4).all(1)
    # Rounding may carry a few codes across a threshold.
    assert (same.float().mean() > 0.99) == (arm.dictionary.traits.normalisation in ("row_norm", "layer_norm"))


def test_the_scale_of_rows_is_restored_where_they_were_normalised(arm):
    restored = arm.dictionary.decode(arm.codes, like=arm.x)
    normalisation = arm.dictionary.traits.normalisation
    if normalisation == "row_norm":
        torch.testing.assert_close(restored.norm(dim=1), arm.x.norm(dim=1), rtol=1e-4, atol=1e-4)
    elif normalisation == "none":
        assert torch.equal(restored, arm.dictionary.decode(arm.codes))
    else:
        assert not torch.equal(restored, arm.dictionary.decode(arm.codes))


def test_there_is_one_strength_for_each_feature(arm):
    strengths = arm.dictionary.strengths(arm.codes)
    assert strengths.shape == (len(arm.x), arm.dictionary.n_features // arm.dictionary.traits.group_size)
    assert strengths.isfinite().all()


def test_a_feature_of_a_sparse_dictionary_is_silent_on_some_tokens(arm):
    silent = bool((arm.codes == 0).any())
    assert silent == (arm.dictionary.traits.firing == "nonzero")


def test_rows_are_encoded_one_by_one(arm):
    torch.testing.assert_close(arm.dictionary.encode(arm.x[100:107]), arm.codes[100:107], rtol=1e-4, atol=1e-4)


def test_curves_and_facts_can_be_written_as_json(arm):
    json.dumps([arm.fit.diagnostics, arm.fit.history], allow_nan=False)


def test_the_scale_of_a_row_is_what_decoding_multiplies_a_code_by(arm):
    x = arm.x[:20]
    scales = arm.dictionary.row_scales(x)
    if scales is None:
        pytest.skip("decoding does not add up over codes")
    codes = arm.codes[:20].clone()
    codes[:, 0] += 1
    added = arm.dictionary.decode(codes, like=x) - arm.dictionary.decode(arm.codes[:20], like=x)
    torch.testing.assert_close(added, scales * arm.dictionary.atoms[0], atol=1e-4, rtol=1e-4)
