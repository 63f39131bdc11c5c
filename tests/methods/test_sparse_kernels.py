from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from unweave.methods.sparse_kernels import (
    Active,
    decoded,
    encoded,
    feature_sums,
    outer_sums,
    pays_off,
    products,
    spread,
    weighted_sums,
)

B, F, d = 9, 20, 5


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def patterns():
    pre = drawn(B, F)
    uneven = pre > 0.8
    uneven[3] = False
    uneven[:, 4] = False
    return {
        "top-k": Active.of_indices(pre.topk(4).indices, F),
        "uneven rows": Active.of_mask(uneven),
        "groups": Active.of_groups(pre[:, :5].topk(2).indices, 4, F),
        "nothing": Active.of_mask(torch.zeros(B, F, dtype=torch.bool)),
        "everything": Active.of_mask(torch.ones(B, F, dtype=torch.bool)),
    }


@pytest.fixture(params=patterns())
def pattern(request):
    return patterns()[request.param]


@pytest.fixture(params=[True, False], ids=["sparse", "dense"])
def active(request, pattern):
    return replace(pattern, forced=request.param)


def mask_of(active):
    return active.scattered(torch.ones(active.count)) > 0


def test_a_pattern_is_the_same_from_its_mask(pattern):
    again = Active.of_mask(mask_of(pattern))
    assert torch.equal(again.starts, pattern.starts)
    assert torch.equal(mask_of(again), mask_of(pattern))


def test_groups_are_adjacent_features():
    active = Active.of_groups(torch.tensor([[2, 0], [1, 3]]), 3, 12)
    expected = torch.zeros(2, 12, dtype=torch.bool)
    expected[0, [6, 7, 8, 0, 1, 2]] = True
    expected[1, [3, 4, 5, 9, 10, 11]] = True
    assert torch.equal(mask_of(active), expected)


def test_kernels_equal_dense_products(active):
    codes, W, rows = drawn(B, F) * mask_of(active), drawn(F, d, seed=1), drawn(B, d, seed=2)
    values = active.gathered(codes)
    torch.testing.assert_close(active.scattered(values), codes)
    torch.testing.assert_close(weighted_sums(active, values, W), codes @ W)
    torch.testing.assert_close(outer_sums(active, values, rows), codes.T @ rows)
    torch.testing.assert_close(feature_sums(active, values), codes.sum(0))
    torch.testing.assert_close(products(active, rows, W), active.gathered(rows @ W.T))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("centred", [True, False])
def test_gradients_equal_those_of_dense_codes(active, known, centred):
    x = drawn(B, d, seed=3)
    leaves = [drawn(F, d, seed=4), drawn(F, seed=5), drawn(F, d, seed=6), drawn(d, seed=7), drawn(F, seed=8)]
    W_enc, b_enc, W_dec, b_dec, scale = (leaf.requires_grad_() for leaf in leaves)

    centre = b_dec if centred else torch.zeros(d)
    pre = (x - centre) @ W_enc.T + b_enc
    codes = (pre * scale).tanh() * mask_of(active)
    dense = (codes @ W_dec + b_dec - x).square().sum(1).mean()
    expected = torch.autograd.grad(dense, leaves)

    values = encoded(
        active,
        (x - centre).detach(),
        W_enc,
        b_enc,
        b_dec if centred else None,
        active.gathered(pre.detach()) if known else None,
    )
    x_hat = decoded(active, (values * spread(active, scale)).tanh(), W_dec) + b_dec
    sparse = (x_hat - x).square().sum(1).mean()
    torch.testing.assert_close(sparse, dense)
    for ours, theirs in zip(torch.autograd.grad(sparse, leaves), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
        assert ours.is_contiguous()


def test_a_frozen_decoder_gets_no_gradient():
    active = patterns()["uneven rows"]
    values = drawn(active.count).requires_grad_()
    W_dec = drawn(F, d, seed=1)
    decoded(active, values, W_dec).sum().backward()
    torch.testing.assert_close(values.grad, products(active, torch.ones(B, d), W_dec))
    assert W_dec.grad is None


@hypothesis_settings(max_examples=30)
@given(st.integers(1, 7), st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_any_pattern_of_any_size_decodes_as_dense_codes(rows, features, share, seed):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(rows, features, generator=generator) < share
    active = replace(Active.of_mask(mask), forced=True)
    codes, W = drawn(rows, features) * mask, drawn(features, 3)
    torch.testing.assert_close(weighted_sums(active, active.gathered(codes), W), codes @ W)


def test_dense_products_are_taken_where_many_codes_are_active_and_on_a_gpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert pays_off(32 * 512, 512, 4608, cpu)
    assert not pays_off(2000 * 512, 512, 4608, cpu)
    assert not pays_off(32 * 512, 512, 4608, gpu)
