import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.methods.sasa.nuclear import decoder_nuclear, gram, map_singular_values, nuclear_and_polar, product_nuclear

ranks = pytest.mark.parametrize("r", [1, 2, 3, 4, 6])


def blocks(K, r, d, seed=0, rank=None):
    generator = torch.Generator().manual_seed(seed)
    rank = r if rank is None else rank
    return torch.randn(K, r, rank, generator=generator) @ torch.randn(K, rank, d, generator=generator) / rank**0.5


def by_svd(encoder, decoder=None):
    """Values and gradients by differentiating through the singular values of the whole map, in float64."""
    E = encoder.double().requires_grad_()
    D = torch.eye(1) if decoder is None else decoder.double().requires_grad_()
    values = torch.linalg.svdvals(E if decoder is None else D.mT @ E).sum(-1)
    values.sum().backward()
    return values.detach(), E.grad, D.grad


@ranks
def test_the_norm_of_a_product_and_its_gradients_are_those_of_a_singular_value_decomposition(r):
    E, D = blocks(7, r, 20, seed=1), blocks(7, r, 20, seed=2)
    values, to_E, to_D = product_nuclear(E, D)
    expected, expected_E, expected_D = by_svd(E, D)
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(to_E.double(), expected_E, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(to_D.double(), expected_D, rtol=1e-5, atol=1e-5)


@ranks
def test_the_norm_of_a_decoder_and_its_gradient_are_those_of_a_singular_value_decomposition(r):
    D = blocks(7, r, 20, seed=3)
    values, gradient = decoder_nuclear(D)
    expected, expected_D, _ = by_svd(D)
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient.double(), expected_D, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("r", [2, 4, 6])
def test_blocks_of_low_rank_have_the_right_norm_and_bounded_gradients(r, rank):
    E, D = blocks(5, r, 30, seed=4, rank=min(rank, r)), blocks(5, r, 30, seed=5, rank=min(rank, r))
    scale = torch.linalg.matrix_norm(E, 2).max() + torch.linalg.matrix_norm(D, 2).max()
    values, to_E, to_D = product_nuclear(E, D)
    torch.testing.assert_close(values, by_svd(E, D)[0], rtol=1e-5, atol=1e-5)
    for gradient in (to_E, to_D):
        assert gradient.isfinite().all()
        assert torch.linalg.matrix_norm(gradient, 2).max() <= 1.01 * scale
    values, gradient = decoder_nuclear(D)
    torch.testing.assert_close(values, by_svd(D)[0], rtol=1e-5, atol=1e-5)
    assert torch.linalg.matrix_norm(gradient, 2).max() <= 1.01


def test_a_group_that_writes_nothing_or_reads_nothing_has_norm_zero_and_finite_gradients():
    E, D = blocks(1, 4, 9), torch.zeros(1, 4, 9)
    for one, other in ((E, D), (D, E), (D, D)):
        values, *gradients = product_nuclear(one, other)
        assert values.abs().max() < 1e-6
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_more_columns_than_dimensions_are_no_problem():
    E, D = blocks(3, 6, 4, seed=6), blocks(3, 6, 4, seed=7)
    torch.testing.assert_close(product_nuclear(E, D)[0], by_svd(E, D)[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(decoder_nuclear(D)[0], by_svd(D)[0], rtol=1e-5, atol=0)


@ranks
def test_at_balance_the_gradient_of_the_product_norm_is_weight_decay(r):
    D = blocks(4, r, 20, seed=8)
    rotation = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(9))).Q
    E = D @ rotation
    values, to_E, to_D = product_nuclear(E, D)
    torch.testing.assert_close(to_E, E, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(to_D, D, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(values, 0.5 * (E.square() + D.square()).sum((1, 2)).double(), rtol=1e-5, atol=0)


@given(st.integers(1, 5), st.integers(0, 10**6))
def test_the_product_norm_ignores_which_groups_come_first_and_how_their_axes_are_rotated(r, seed):
    generator = torch.Generator().manual_seed(seed)
    E, D = (torch.randn(3, r, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    R = torch.linalg.qr(torch.randn(3, r, r, generator=generator, dtype=torch.float64)).Q
    values, _, _ = product_nuclear(E, D)
    torch.testing.assert_close(product_nuclear(R @ E, R @ D)[0], values, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(product_nuclear(E.flip(0), D.flip(0))[0], values.flip(0), rtol=1e-9, atol=0)


def test_with_unit_rows_the_decoder_norm_lies_between_collinear_and_orthogonal_rows():
    orthogonal = torch.eye(6)[None]
    collinear = torch.eye(6)[:1].repeat(6, 1)[None]
    assert decoder_nuclear(orthogonal)[0].item() == pytest.approx(6, abs=1e-6)
    assert decoder_nuclear(collinear)[0].item() == pytest.approx(math.sqrt(6), abs=1e-5)


@ranks
def test_a_polar_factor_is_orthogonal_and_leaves_a_symmetric_matrix(r):
    C = torch.randn(5, r, r, dtype=torch.float64, generator=torch.Generator().manual_seed(r))
    values, polar = nuclear_and_polar(C)
    eye = torch.eye(r, dtype=torch.float64).expand(5, r, r)
    torch.testing.assert_close(polar @ polar.mT, eye, rtol=0, atol=1e-9)
    stretch = polar.mT @ C
    torch.testing.assert_close(stretch, stretch.mT, rtol=0, atol=1e-9)
    torch.testing.assert_close(stretch.diagonal(dim1=1, dim2=2).sum(1), values, rtol=1e-9, atol=0)


@ranks
def test_matrices_may_stand_alone_or_in_any_array(r):
    C = torch.randn(2, 2, r, r, dtype=torch.float64, generator=torch.Generator().manual_seed(r))
    values, polar = nuclear_and_polar(C)
    for i, j in ((0, 0), (1, 1)):
        value, factor = nuclear_and_polar(C[i, j])
        torch.testing.assert_close(value, values[i, j])
        torch.testing.assert_close(factor, polar[i, j])
        torch.testing.assert_close(value, torch.linalg.svdvals(C[i, j]).sum())


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize(("r", "rank"), [(3, 1), (4, 2), (6, 3)])
def test_directions_without_extent_are_zero_in_the_polar_factor(r, rank, scale):
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(5, r, rank, dtype=torch.float64, generator=generator) for _ in range(2))
    _, polar = nuclear_and_polar(scale * one @ other.mT)
    expected = (torch.arange(r) < rank).double().expand(5, r)
    torch.testing.assert_close(torch.linalg.svdvals(polar), expected, rtol=0, atol=1e-6)


def test_large_dictionaries_are_worked_through_in_pieces():
    E, D = blocks(300, 3, 300, seed=10), blocks(300, 3, 300, seed=11)
    values, to_E, to_D = product_nuclear(E, D)
    part = slice(250, 260)
    for whole, alone in zip((values, to_E, to_D), product_nuclear(E[part], D[part]), strict=True):
        torch.testing.assert_close(whole[part], alone)
    torch.testing.assert_close(gram(D), D.double() @ D.double().mT)


def test_singular_values_of_the_map_are_those_of_the_whole_matrix():
    E, D = blocks(6, 3, 12, seed=12), blocks(6, 3, 12, seed=13)
    expected = torch.linalg.svdvals(D.double().mT @ E.double())[:, :3]
    torch.testing.assert_close(map_singular_values(E, D), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("r", [2, 3])
def test_blocks_that_are_not_finite_are_an_error(r):
    E = blocks(2, r, 5)
    with pytest.raises(UnweaveError, match="not finite"):
        product_nuclear(E, E * math.nan)
