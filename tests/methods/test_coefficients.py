import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unweave.methods.coefficients import ablate_top_k, energy_shares, keep_top_k, split_signs, top_k_mask

CODES = arrays("int16", (4, 7), elements=st.integers(-6400, 6400)).map(lambda codes: torch.from_numpy(codes) / 64)
K = st.integers(0, 9)


@given(CODES, K)
def test_what_is_kept_and_what_is_ablated_add_up_to_the_codes(codes, k):
    assert torch.equal(keep_top_k(codes, k) + ablate_top_k(codes, k), codes)


@given(CODES, K)
def test_exactly_k_codes_are_chosen_and_none_left_is_larger(codes, k):
    mask = top_k_mask(codes, k)
    assert (mask.sum(1) == min(k, 7)).all()
    if 0 < k < 7:
        size = codes.abs()
        assert (size.masked_fill(~mask, torch.inf).amin(1) >= size.masked_fill(mask, 0).amax(1)).all()


@given(CODES)
def test_keeping_all_changes_nothing_and_keeping_none_leaves_nothing(codes):
    assert torch.equal(keep_top_k(codes, 7), codes)
    assert not keep_top_k(codes, 0).any()


def test_the_ranking_by_contribution_uses_the_norms_of_the_atoms():
    codes = torch.tensor([[3.0, -2.0, 1.0]])
    norms = torch.tensor([1.0, 1.0, 10.0])
    assert keep_top_k(codes, 1).tolist() == [[3, 0, 0]]
    assert keep_top_k(codes, 1, norms).tolist() == [[0, 0, 1]]
    assert ablate_top_k(codes, 2, norms).tolist() == [[0, -2, 0]]


def test_a_small_code_of_a_long_atom_adds_more_than_a_large_one_of_a_short_atom():
    codes, norms = torch.tensor([[10.0, 1.0]]), torch.tensor([0.5, 8.0])
    assert top_k_mask(codes, 1, norms).tolist() == [[False, True]]


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_energy_shares_are_shares_of_squares_within_each_row_at_any_size(size):
    codes = torch.tensor([[3.0, -4.0], [0.0, 0.0], [0.5, 0.0]]) * size
    torch.testing.assert_close(energy_shares(codes), torch.tensor([[0.36, 0.64], [0.0, 0.0], [1.0, 0.0]]))


@given(CODES)
def test_energy_shares_are_positive_and_sum_to_one_unless_the_row_is_empty(codes):
    shares = energy_shares(codes)
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(1), codes.any(1).float())


@given(CODES, st.sampled_from([0.25, -1.0, 1024.0]))
def test_energy_shares_do_not_depend_on_the_scale_of_a_row(codes, scale):
    torch.testing.assert_close(energy_shares(codes * scale), energy_shares(codes))


@given(CODES)
def test_split_codes_are_one_sided_and_never_both_on(codes):
    positive, negative = split_signs(codes).split(7, dim=1)
    assert (positive >= 0).all()
    assert (negative >= 0).all()
    assert not (positive * negative).any()
    assert torch.equal(positive - negative, codes)
