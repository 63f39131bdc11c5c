import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from unweave.methods.sae.gates import jump_relu, step, top_k, top_of_batch
from unweave.methods.sparse_kernels import Active


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mask_of(active: Active):
    return active.scattered(torch.ones(active.count)) > 0


def test_each_row_keeps_its_k_largest():
    ranking = drawn(7, 11)
    expected = ranking >= ranking.topk(3, dim=1).values[:, -1:]
    assert torch.equal(mask_of(top_k(ranking, 3)), expected)


@hypothesis_settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 400), st.integers(1, 60), st.floats(-3, 3), st.integers(0, 2**32 - 1))
def test_a_batch_keeps_its_largest_positive_entries(rows, features, count, offset, seed):
    ranking = torch.randn(rows, features, generator=torch.Generator().manual_seed(seed)) + offset
    kept = mask_of(top_of_batch(ranking, count))
    expected = torch.zeros(rows * features, dtype=torch.bool)
    expected[ranking.flatten().topk(min(count, rows * features)).indices] = True
    assert torch.equal(kept, expected.reshape(rows, features) & (ranking > 0))


def test_the_guess_of_a_bound_does_not_change_what_is_kept_of_a_large_batch():
    ranking = drawn(512, 1000) * drawn(512, 1, seed=1).exp()
    kept = mask_of(top_of_batch(ranking, 512 * 20))
    bound = ranking.flatten().topk(512 * 20).values[-1]
    assert torch.equal(kept, ranking >= bound)


def test_rows_sorted_so_that_a_sample_misleads_still_give_the_largest():
    ranking = torch.zeros(300, 1000)
    ranking[:, 0] = 1 + drawn(300).abs()
    assert top_of_batch(ranking, 500).count == 300


def test_entries_below_zero_are_not_kept_where_there_is_room_for_them():
    ranking = torch.cat([torch.linspace(1, 2, 5), -torch.linspace(0.1, 0.9, 95)])[None]
    assert mask_of(top_of_batch(ranking, 10)).nonzero()[:, 1].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("gate", [jump_relu, step])
def test_a_threshold_is_moved_by_what_lies_strictly_within_half_a_bandwidth_of_it(gate):
    z = torch.tensor([0.375, 0.40625, 0.5, 0.59375, 0.625])
    threshold = torch.full((5,), 0.5, requires_grad=True)
    out = gate(z, threshold, 0.25)
    assert (out != 0).tolist() == [False, False, False, True, True]
    out.sum().backward()
    assert (threshold.grad != 0).tolist() == [False, True, True, True, False]


def test_a_pre_activation_at_its_threshold_passes_no_gradient():
    z = torch.tensor([0.5], requires_grad=True)
    jump_relu(z, torch.tensor([0.5]), 0.25).sum().backward()
    assert z.grad.tolist() == [0]


def test_jump_relu_passes_gradients_of_active_latents_and_moves_thresholds_by_those_nearby():
    z = torch.tensor([0.2, 0.46, 0.54, 2.0], requires_grad=True)
    threshold = torch.full((4,), 0.5, requires_grad=True)
    out = jump_relu(z, threshold, 0.1)
    assert out.tolist() == torch.tensor([0.0, 0.0, 0.54, 2.0]).tolist()
    out.sum().backward()
    assert z.grad.tolist() == [0, 0, 1, 1]
    torch.testing.assert_close(threshold.grad, torch.tensor([0.0, -5.0, -5.0, 0.0]))


def test_a_step_moves_thresholds_alone():
    z = torch.tensor([0.2, 0.46, 0.54, 2.0], requires_grad=True)
    threshold = torch.full((4,), 0.5, requires_grad=True)
    active = step(z, threshold, 0.1)
    assert active.tolist() == [0, 0, 1, 1]
    active.sum().backward()
    assert z.grad is None
    torch.testing.assert_close(threshold.grad, torch.tensor([0.0, -10.0, -10.0, 0.0]))
