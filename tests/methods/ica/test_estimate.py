import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from unweave.methods.ica import Settings, fit

V2 = Settings(iterations=50)
V1 = Settings(
    preprocessing="row_norm", iterations=300, tolerance=1e-4, accept_p95=1e-4, order="as_fitted", sign="as_fitted"
)


@pytest.mark.parametrize("contrast", ["logcosh", "exp", "cube"])
def test_planted_sources_are_recovered(planted, matched_cosines, cpu, contrast):
    dictionary = fit(planted.activations, Settings(iterations=60, contrast=contrast), 0, cpu).dictionary
    assert matched_cosines(dictionary.atoms, planted.mixing.T).min() > 0.95
    codes = dictionary.encode(planted.x)
    assert matched_cosines(codes.T, planted.sources.T).min() > 0.95


def test_mixing_the_data_once_more_leaves_the_recovered_sources(planted, in_memory, matched_cosines, cpu):
    again = in_memory(planted.x @ torch.randn(6, 6, generator=torch.Generator().manual_seed(8)) + 3)
    one, other = (
        fit(a, Settings(iterations=200), 0, cpu).dictionary.encode(a.rows()) for a in (planted.activations, again)
    )
    assert matched_cosines(one.T, other.T).min() > 0.9999


def test_scaling_rows_leaves_a_fit_on_unit_rows_unchanged(planted, in_memory, cpu):
    scales = 2.0 ** torch.randint(-3, 4, (len(planted.x), 1), generator=torch.Generator().manual_seed(0))
    one = fit(planted.activations, V1, 0, cpu)
    other = fit(in_memory(planted.x * scales), V1, 0, cpu)
    assert one.history == other.history
    for name, tensor in one.dictionary.tensors.items():
        assert torch.equal(tensor, other.dictionary.tensors[name])


@pytest.mark.parametrize("settings", [V1, V2])
def test_a_fit_from_disk_equals_a_fit_in_memory(planted, cpu, settings):
    resident = fit(planted.activations, settings, 0, cpu)
    streamed = fit(planted.activations, settings.model_copy(update={"memory_gb": 0.0}), 0, cpu)
    torch.testing.assert_close(streamed.dictionary.readers, resident.dictionary.readers, rtol=1e-3, atol=1e-4)
    assert streamed.history["contrast"] == pytest.approx(resident.history["contrast"], rel=1e-4)


def test_decoding_the_codes_of_a_full_basis_returns_the_rows(planted, cpu):
    dictionary = fit(planted.activations, V2, 0, cpu).dictionary
    torch.testing.assert_close(dictionary.decode(dictionary.encode(planted.x)), planted.x, rtol=1e-4, atol=1e-4)


def test_decoding_unit_rows_restores_their_norms(planted, cpu):
    dictionary = fit(planted.activations, V1, 0, cpu).dictionary
    codes = dictionary.encode(planted.x)
    torch.testing.assert_close(dictionary.decode(codes, like=planted.x), planted.x, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(dictionary.decode(codes).norm(dim=1), torch.ones(len(codes)), rtol=1e-4, atol=1e-4)


def test_encoding_the_decoded_codes_returns_them(planted, cpu):
    dictionary = fit(planted.activations, V2, 0, cpu).dictionary

    @given(st.lists(st.floats(-50, 50, width=32), min_size=6, max_size=6))
    @hypothesis_settings(max_examples=50)
    def law(values):
        codes = torch.tensor([values])
        torch.testing.assert_close(dictionary.encode(dictionary.decode(codes)), codes, rtol=1e-3, atol=1e-3)

    law()


def test_fewer_components_keep_reading_and_writing_inverse_to_each_other(planted, cpu):
    dictionary = fit(planted.activations, Settings(n_components=4), 0, cpu).dictionary
    assert dictionary.atoms.shape == dictionary.readers.shape == (4, 6)
    torch.testing.assert_close(dictionary.readers @ dictionary.atoms.T, torch.eye(4), atol=1e-4, rtol=0)


def test_codes_have_zero_mean_and_unit_variance(planted, cpu):
    codes = fit(planted.activations, V2, 0, cpu).dictionary.encode(planted.x)
    torch.testing.assert_close(codes.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(codes.std(0, correction=0), torch.ones(6), atol=1e-4, rtol=0)


def test_components_are_ordered_by_strength_and_oriented_by_skewness(planted, cpu):
    fitted = fit(planted.activations, V2, 0, cpu)
    strength, skewness = fitted.diagnostics["strength"], fitted.diagnostics["skewness"]
    assert strength == sorted(strength, reverse=True)
    codes = fitted.dictionary.encode(planted.x)
    measured = codes.pow(3).mean(0)
    assert (measured > 0).all()
    assert measured.tolist() == pytest.approx(skewness, rel=1e-3)
    log_cosh = (codes.double().cosh().log().mean(0) - 0.374567207491457).abs()
    assert log_cosh.tolist() == pytest.approx(strength, rel=1e-3, abs=1e-5)


def test_order_and_sign_only_permute_and_flip(planted, cpu):
    sorted_rows = fit(planted.activations, V2, 0, cpu).dictionary.readers
    raw = fit(planted.activations, Settings(order="as_fitted", sign="as_fitted"), 0, cpu)
    assert raw.diagnostics["strength"] != sorted(raw.diagnostics["strength"], reverse=True)
    agreement = (sorted_rows @ raw.dictionary.atoms.T).abs().round(decimals=3)
    assert torch.equal(agreement.sum(0), torch.ones(6))
    assert torch.equal(agreement.sum(1), torch.ones(6))


def test_nothing_is_found_in_gaussian_noise(gaussian, planted, cpu):
    noise = fit(gaussian, V2, 0, cpu).diagnostics["strength"]
    sources = fit(planted.activations, V2, 0, cpu).diagnostics["strength"]
    assert max(noise) < 0.01
    assert min(sources) > 3 * max(noise)


def test_diagnostics_tell_a_converged_fit_and_the_quality_of_its_algebra(planted, cpu):
    diagnostics = fit(planted.activations, V1, 0, cpu).diagnostics
    assert diagnostics["converged"]
    assert diagnostics["accepted"]
    assert diagnostics["max_lim"] < 1e-4
    assert len(diagnostics["attempts"]) == 1
    assert diagnostics["orthogonality"] < 1e-10
    assert diagnostics["whitening_error"] < 1e-4


def test_a_rejected_fit_is_returned_and_says_so(gaussian, cpu):
    fitted = fit(gaussian, Settings(iterations=2, tolerance=1e-12, refits=1, refit_iterations=1), 0, cpu)
    assert not fitted.diagnostics["accepted"]
    assert [attempt["step"] for attempt in fitted.diagnostics["attempts"]] == ["first", "continue"]
    assert len(fitted.history["contrast"]) == fitted.diagnostics["iterations"]


@pytest.mark.parametrize("update", [{"accept_p95": 1e-4}, {"refits": 1}])
def test_settings_that_reject_need_a_tolerance(update):
    with pytest.raises(ValidationError, match="need a tolerance"):
        Settings(**update)
