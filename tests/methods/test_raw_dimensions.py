import pytest
import torch

from unweave.methods import raw_dimensions
from unweave.methods.dictionary import load, save


@pytest.fixture(params=["zero", "mean"])
def fitted(request, planted, cpu):
    return raw_dimensions.fit(planted.activations, raw_dimensions.Settings(center=request.param), 0, cpu)


def test_codes_about_zero_are_the_activations_themselves(planted, cpu):
    dictionary = raw_dimensions.fit(planted.activations, raw_dimensions.Settings(), 0, cpu).dictionary
    assert torch.equal(dictionary.encode(planted.x), planted.x)


def test_nothing_is_read_for_codes_about_zero(in_memory, cpu):
    activations = in_memory(torch.randn(50, 3))
    raw_dimensions.fit(activations, raw_dimensions.Settings(), 0, cpu)
    assert activations.passes == 0


def test_codes_about_the_mean_have_none(planted, cpu):
    dictionary = raw_dimensions.fit(planted.activations, raw_dimensions.Settings(center="mean"), 0, cpu).dictionary
    torch.testing.assert_close(dictionary.encode(planted.x).mean(0), torch.zeros(6), atol=1e-5, rtol=0)


def test_decoding_undoes_encoding(fitted, planted):
    dictionary = fitted.dictionary
    torch.testing.assert_close(dictionary.decode(dictionary.encode(planted.x)), planted.x)


def test_the_general_formulas_of_a_linear_dictionary_hold(fitted, planted):
    dictionary = fitted.dictionary
    center = dictionary.tensors["center"]
    codes = (planted.x - center) @ dictionary.readers.T
    torch.testing.assert_close(dictionary.encode(planted.x), codes)
    torch.testing.assert_close(dictionary.decode(codes), codes @ dictionary.atoms + center)
    assert dictionary.n_features == len(dictionary.atoms) == 6


def test_a_saved_one_needs_no_more_room_than_its_center(fitted, planted, tmp_path):
    save(fitted, tmp_path / "dictionary", {})
    loaded = load(tmp_path / "dictionary")
    assert torch.equal(loaded.encode(planted.x), fitted.dictionary.encode(planted.x))
    assert set(loaded.tensors) == {"center"}
