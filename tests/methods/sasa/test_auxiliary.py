import pytest
import torch

from unweave.methods.sasa.auxiliary import (
    dead_columns_loss,
    dead_groups_loss,
    silence_state,
    watch_silence,
    watch_window,
    window_state,
)

CPU = torch.device("cpu")


def test_a_window_of_tokens_judges_groups_at_its_end_and_then_starts_anew():
    state = window_state(3, CPU)
    script = [
        # firings of three groups on 400 tokens each, and which are dead afterwards (window 1000, at most 1 in 1000)
        ([5, 0, 1], [False, False, False]),
        ([0, 0, 0], [False, False, False]),
        ([0, 1, 0], [False, True, True]),  # 1200 tokens: up to 1.2 firings are silence
        ([0, 9, 0], [False, True, True]),  # judged anew only at the end of the next window
        ([0, 0, 2], [False, True, True]),
        ([0, 0, 0], [True, False, False]),
    ]
    for firings, dead in script:
        watch_window(state, torch.tensor(firings), 400, window=1000, frequency=1e-3)
        assert state["dead"].tolist() == dead


def test_at_the_papers_frequency_a_group_is_dead_if_it_never_fired_in_the_window():
    state = window_state(2, CPU)
    watch_window(state, torch.tensor([1, 0]), 4096, window=1000, frequency=1e-4)
    assert state["dead"].tolist() == [False, True]


def test_silence_is_counted_in_steps_and_ends_with_one_firing():
    state = silence_state(2, CPU)
    for step in range(1, 6):
        watch_silence(state, torch.tensor([3, 0]), window=3)
        assert state["dead"].tolist() == [False, step > 3]
    watch_silence(state, torch.tensor([0, 1]), window=3)
    assert state["dead"].tolist() == [False, False]
    assert state["silent_steps"].tolist() == [1, 0]


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("units", [1, 2, 9])
def test_dead_groups_rebuild_the_residual_from_itself_with_the_gradients_of_that_loss(units):
    e, E, D = random(6, 5, seed=0), random(8, 5, seed=1), random(8, 5, seed=2)
    ours = dead_groups_loss(e, E, D, group_size=2, units=units, weight=0.5)
    x, E, D = e.double(), E.double().requires_grad_(), D.double().requires_grad_()
    rebuilt = torch.zeros_like(x)
    for token in range(6):
        maps = [D[i : i + 2].T @ E[i : i + 2] for i in range(0, 8, 2)]
        norms = torch.stack([(E[i : i + 2] @ x[token]).norm() for i in range(0, 8, 2)])
        for group in norms.argsort(descending=True)[:units]:
            rebuilt[token] = rebuilt[token] + maps[group] @ x[token]
    loss = 0.5 * (x - rebuilt).square().sum(1).mean()
    loss.backward()
    torch.testing.assert_close(ours.value, loss.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.to_encoder.double(), E.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.to_decoder.double(), D.grad, rtol=1e-4, atol=1e-5)
    assert not ours.to_codes.any()


@pytest.mark.parametrize(("units", "offset"), [(1, False), (3, True), (100, True)])
def test_dead_columns_rebuild_the_residual_from_their_largest_codes_with_the_gradients_of_that_loss(units, offset):
    d, B, k = 8, 6, 3
    e, x, E, D, b = (random(*shape, seed=i) for i, shape in enumerate([(B, d), (B, d), (k, d), (k, d), (d,)]))
    scale, mean = random(B, 1, seed=7).abs(), random(B, 1, seed=8)
    ours = dead_columns_loss(e, x @ E.T, x, D, scale, scale * b + mean if offset else 0.0, units, 2.0)
    E, D, b = (tensor.double().requires_grad_() for tensor in (E, D, b))
    codes = x.double() @ E.T
    most = min(units, d // 2)
    kept = codes >= codes.topk(min(most, k), dim=1).values[:, -1:]
    rebuilt = scale * ((codes * kept) @ D + (b if offset else 0)) + (mean if offset else 0)
    loss = 2.0 * min(k / most, 1) * (e.double() - rebuilt).square().sum(1).mean()
    loss.backward()
    torch.testing.assert_close(ours.value, loss.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.to_encoder.double(), E.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.to_decoder.double(), D.grad, rtol=1e-4, atol=1e-4)
    if offset:
        torch.testing.assert_close(ours.to_output.double(), b.grad, rtol=1e-4, atol=1e-4)
