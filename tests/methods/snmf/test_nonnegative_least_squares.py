import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from unweave.methods.snmf import block_pivoting
from unweave.methods.snmf import nonnegative_least_squares as nonnegative
from unweave.methods.snmf.block_pivoting import exchanged
from unweave.methods.snmf.dictionary import TRAITS, NonNegativeDictionary
from unweave.methods.snmf.nonnegative_least_squares import nonnegative_least_squares


def dictionary(k, d, seed=0, common=0.0):
    atoms = torch.randn(k, d, generator=torch.Generator().manual_seed(seed)) + common
    return NonNegativeDictionary({"atoms": atoms}, TRAITS)


@pytest.mark.parametrize(("k", "d", "common"), [(20, 40, 0.0), (20, 40, 2.0), (39, 40, 0.5), (1, 5, 0.0)])
def test_codes_are_those_of_the_active_set_method(k, d, common):
    fitted = dictionary(k, d, common=common)
    x = torch.randn(60, d, generator=torch.Generator().manual_seed(1))
    codes = fitted.encode(x)
    expected = np.stack([nnls(fitted.atoms.T.double().numpy(), row)[0] for row in x.double().numpy()])
    np.testing.assert_allclose(codes.numpy(), expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert ((codes == 0).numpy() == (expected == 0)).mean() > 0.999


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
@example(seed=10_000, k=9, d=3)  # a hundred rounds were not enough
@settings(max_examples=50)
def test_the_optimality_conditions_hold_also_for_more_features_than_neurons(seed, k, d):
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(k, d, generator=generator, dtype=torch.float64), dim=1)
    gram, target = atoms @ atoms.T, atoms @ torch.randn(d, 9, generator=generator, dtype=torch.float64)
    y = nonnegative_least_squares(gram, target)
    gradient = gram @ y - target
    assert (y >= 0).all()
    assert gradient.min() > -1e-5
    assert (gradient * y).abs().max() < 1e-4


@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0, 3), st.booleans())
@settings(max_examples=50)
def test_block_pivoting_finds_the_optimum_from_any_guess(seed, k, common, guess):
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(k, 15, generator=generator, dtype=torch.float64) + common, dim=1)
    gram, target = atoms @ atoms.T, atoms @ torch.randn(15, 9, generator=generator, dtype=torch.float64)
    y, unsolved = exchanged(gram, target, torch.full((k, 9), guess))
    gradient = gram @ y - target
    assert not len(unsolved)
    assert y.min() >= 0
    assert gradient.min() > -1e-8
    assert (gradient * y).abs().max() < 1e-7


@pytest.mark.parametrize(
    ("module", "name", "value"), [(block_pivoting, "EXCHANGES", 1), (block_pivoting, "ENTRIES", 99)]
)
@pytest.mark.parametrize("rounds", [1, 3])
def test_codes_do_not_depend_on_how_the_work_is_divided(monkeypatch, module, name, value, rounds):
    fitted, x = dictionary(20, 40, common=1.0), torch.randn(60, 40, generator=torch.Generator().manual_seed(1))
    expected = fitted.encode(x)
    monkeypatch.setattr(block_pivoting, name, value)
    monkeypatch.setattr(nonnegative, "FEW_ROUNDS", rounds)
    torch.testing.assert_close(fitted.encode(x), expected, rtol=1e-4, atol=1e-5)


def test_a_token_is_encoded_the_same_alone_and_among_others():
    fitted = dictionary(30, 20)
    x = torch.randn(3000, 20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fitted.encode(x)[2000:2003], fitted.encode(x[2000:2003]), rtol=1e-5, atol=1e-6)


def test_scaling_an_atom_scales_its_codes_back():
    fitted = dictionary(10, 20)
    scales = torch.logspace(-3, 3, 10)
    scaled = NonNegativeDictionary({"atoms": fitted.atoms * scales[:, None]}, TRAITS)
    x = torch.randn(50, 20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(scaled.encode(x) * scales, fitted.encode(x), rtol=1e-4, atol=1e-5)


def test_features_without_neurons_and_tokens_of_zeros_get_zeros():
    fitted = dictionary(6, 9)
    fitted.tensors["atoms"][3] = 0
    x = torch.randn(5, 9, generator=torch.Generator().manual_seed(1))
    x[2] = 0
    codes = fitted.encode(x)
    assert not codes[:, 3].any()
    assert not codes[2].any()
    assert codes.isfinite().all()


def test_decoding_sums_the_atoms():
    fitted = dictionary(6, 9)
    codes = torch.rand(4, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fitted.decode(codes), codes @ fitted.atoms)
    torch.testing.assert_close(fitted.encode(fitted.decode(codes)), codes, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e6])
def test_the_precision_does_not_depend_on_the_scale_of_the_targets(scale):
    generator = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(15, 20, generator=generator, dtype=torch.float64) + 0.5, dim=1)
    target = atoms @ torch.randn(20, 50, generator=generator, dtype=torch.float64)
    expected = nonnegative_least_squares(atoms @ atoms.T, target)
    found = nonnegative_least_squares(atoms @ atoms.T, scale * target) / scale
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_coefficient_that_the_first_sweep_leaves_at_zero_can_still_grow():
    gram = torch.tensor([[1.0, -0.9], [-0.9, 1.0]], dtype=torch.float64)
    target = torch.tensor([[-0.1], [1.0]], dtype=torch.float64)
    expected = torch.linalg.solve(gram, target)
    assert (expected > 4).all()
    torch.testing.assert_close(nonnegative_least_squares(gram, target), expected, rtol=1e-6, atol=0)


def test_nothing_is_recorded_for_gradients():
    gram = torch.eye(2, dtype=torch.float64, requires_grad=True)
    assert not nonnegative_least_squares(gram, torch.ones(2, 1, dtype=torch.float64)).requires_grad
