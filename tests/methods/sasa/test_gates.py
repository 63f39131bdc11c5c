import pytest
import torch

from unweave.methods.sasa.gates import above_threshold, batch_top_s, group_firings, group_norms, top_s


@pytest.fixture
def codes():
    return torch.randn(50, 24, generator=torch.Generator().manual_seed(0))


def active_groups(active, group_size):
    """(n, K) from dense codes of ones."""
    dense = active.scattered(torch.ones(active.count))
    grouped = dense.view(len(dense), -1, group_size)
    assert torch.equal(grouped.amin(2), grouped.amax(2))
    return grouped[:, :, 0].bool()


def test_a_score_is_the_norm_of_the_codes_of_a_group(codes):
    norms = group_norms(codes, 4)
    assert norms.shape == (50, 6)
    torch.testing.assert_close(norms[:, 1], codes[:, 4:8].norm(dim=1))
    assert group_norms(codes.bfloat16(), 4).dtype == torch.float32


def test_top_s_takes_whole_groups_of_largest_norm(codes):
    chosen = active_groups(top_s(codes, 4, 2), 4)
    norms = group_norms(codes, 4)
    assert (chosen.sum(1) == 2).all()
    assert (norms.masked_fill(~chosen, torch.inf).amin(1) >= norms.masked_fill(chosen, 0).amax(1)).all()


def test_groups_of_one_are_signed_top_k(codes):
    active = top_s(codes, 1, 5)
    expected = torch.zeros_like(codes)
    indices = codes.abs().topk(5, dim=1).indices
    expected.scatter_(1, indices, codes.gather(1, indices))
    assert torch.equal(active.scattered(active.gathered(codes)), expected)
    assert (expected < 0).any()


def test_the_batch_gate_spends_its_groups_where_they_are_large(codes):
    codes[:10] *= 100
    active, smallest = batch_top_s(codes, 4, 2)
    chosen, norms = active_groups(active, 4), group_norms(codes, 4)
    assert chosen.sum() == 100
    assert (chosen.sum(1)[:10] == 6).all()
    assert smallest == norms[chosen].min()
    assert norms[~chosen].max() <= smallest


def test_a_threshold_may_leave_a_token_without_groups(codes):
    codes[3] = 0
    threshold = torch.tensor([2.0])
    chosen = active_groups(above_threshold(codes, 4, threshold), 4)
    assert torch.equal(chosen, group_norms(codes, 4) > 2)
    assert not chosen[3].any()


def test_firings_count_tokens_of_each_group(codes):
    for active in (top_s(codes, 4, 2), batch_top_s(codes, 4, 2)[0]):
        assert torch.equal(group_firings(active, 4), active_groups(active, 4).sum(0))
