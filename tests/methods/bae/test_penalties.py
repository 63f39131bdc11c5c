import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from unweave.methods.bae import penalties
from unweave.methods.bae.penalties import covariance_penalty, integer_product, marginal_entropy, marginal_entropy_slope


def random_bits(*shape, rate=0.3, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def penalty_of(bits):
    return float(covariance_penalty(bits, bits.sum(-2))[0])


def gradient_of(bits):
    _, products, row = covariance_penalty(bits, bits.sum(-2))
    return 2 / (bits.shape[-2] - 1) * (products - row.unsqueeze(-2))


def by_definition(h):
    """Sum of the absolute off-diagonal entries of torch's covariance of codes h (B, F)."""
    covariance = torch.cov(h.T)
    return covariance.abs().sum() - covariance.diagonal().abs().sum()


def test_channels_that_are_on_half_of_the_time_have_one_bit_each():
    assert float(marginal_entropy(torch.full((8192,), 0.5))) == 8192.0


def test_each_row_of_probabilities_has_its_own_entropy():
    rows = torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.0, 1.0]])
    assert marginal_entropy(rows).tolist() == pytest.approx([3, 1], abs=1e-6)


def test_constant_channels_have_no_entropy():
    assert float(marginal_entropy(torch.tensor([0.0, 1.0, 0.0]))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("p", [0.0, 1e-3, 0.2, 0.5, 0.9, 1.0])
def test_the_slope_of_the_entropy_is_that_of_automatic_differentiation(p):
    x = torch.tensor([p], dtype=torch.float64, requires_grad=True)
    marginal_entropy(x).backward()
    torch.testing.assert_close(marginal_entropy_slope(x.detach()), x.grad)


def test_the_slope_at_a_constant_channel_is_finite():
    slope = marginal_entropy_slope(torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(slope, torch.tensor([34.66, -34.66]), rtol=1e-3, atol=0)


def test_the_covariance_of_copies_is_known():
    n, m = 512, 512
    column = torch.arange(n) % 2.0
    assert m * (m - 1) * n / (4 * (n - 1)) == 65536.0
    assert penalty_of(column[:, None].expand(n, m).contiguous()) == 65536.0


def test_independent_channels_have_the_covariance_of_their_noise():
    n, m = 512, 2048
    expected = math.sqrt(2 / (math.pi * (n - 1))) * m * (m - 1) / 4
    assert expected == pytest.approx(3.70e4, rel=2e-3)
    assert penalty_of(random_bits(n, m, rate=0.5)) == pytest.approx(expected, rel=0.01)


@given(st.integers(2, 40), st.integers(1, 30), st.floats(0, 1), st.integers(0, 10_000))
@hypothesis_settings(max_examples=60)
def test_the_covariance_is_that_of_torch(size, width, rate, seed):
    bits = random_bits(size, width, rate=rate, seed=seed)
    expected = float(by_definition(bits.double())) if width > 1 else 0.0
    assert penalty_of(bits) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_gradient_of_the_covariance_is_that_of_automatic_differentiation():
    # A prime number of rows: no covariance of channels that vary is exactly zero, where the gradient is a choice.
    bits = random_bits(251, 300)
    bits[:, 7] = 0
    bits[:, 8] = 1
    h = bits.double().requires_grad_()
    by_definition(h).backward()
    torch.testing.assert_close(gradient_of(bits).double(), h.grad, rtol=1e-5, atol=1e-5)


def test_uncorrelated_channels_are_left_alone():
    bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).float()
    assert penalty_of(bits) == 0
    assert torch.equal(gradient_of(bits), torch.zeros(4, 2))


@pytest.mark.parametrize("shape", [(512, 96), (37, 300), (2, 1), (3, 40, 24)])
def test_integers_and_floats_give_the_same_bytes(monkeypatch, shape):
    bits = random_bits(*shape)
    results = []
    for faster in (True, False):
        monkeypatch.setattr(penalties, "_int8_is_faster", lambda faster=faster: faster)
        results.append((penalty_of(bits) if bits.ndim == 2 else None, gradient_of(bits)))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("rows", [1, 2, 3, 17, 512])
def test_products_of_integers_are_exact_for_every_number_of_rows(rows):
    a, b = random_bits(rows, 65).to(torch.int8), random_bits(65, 33, seed=1).to(torch.int8)
    assert torch.equal(integer_product(a, b).double(), a.double() @ b.double())


@pytest.mark.parametrize("channels", [20, 300])
def test_batches_beside_each_other_are_independent(channels):
    bits = random_bits(4, 64, channels)
    values, products, rows = covariance_penalty(bits, bits.sum(-2))
    for each, value, product, row in zip(bits, values, products, rows, strict=True):
        alone = covariance_penalty(each, each.sum(0))
        assert float(alone[0]) == float(value)
        assert torch.equal(alone[1], product)
        assert torch.equal(alone[2], row)
