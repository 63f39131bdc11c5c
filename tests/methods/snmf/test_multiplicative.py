import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave.activations.memory import InMemoryActivations
from unweave.methods.snmf.factorisation import Factorisation, Iterate
from unweave.methods.snmf.neurons import NeuronBlocks
from unweave.methods.snmf.settings import SolverSettings


def started(x, y, **settings):
    """A factorisation of rows x (n, d) from coefficients y (k, n)."""
    neurons = NeuronBlocks(InMemoryActivations(x), 1.0, torch.device("cpu"))
    blocks = list(y.float().clone().split([block.shape[1] for block in neurons], dim=1))
    return Factorisation(
        neurons, SolverSettings(solver="multiplicative", **settings), Iterate(None, [b.contiguous() for b in blocks], 0)
    )


def published_iteration(a, y, m):
    """The iteration of the paper's code on A (d, n) and Y (k, n), restated in numpy."""
    z = a @ y.T @ np.linalg.inv(y @ y.T + 1e-6 * np.eye(len(y)))
    for column in z.T:
        column[np.abs(column) < np.sort(np.abs(column))[-m]] = 0
    c = np.maximum(np.linalg.norm(y, axis=1), 1e-8)
    y, z = y / c[:, None], z * c
    b, q = z.T @ a, z.T @ z
    plus, minus = lambda t: (np.abs(t) + t) / 2, lambda t: (np.abs(t) - t) / 2
    y = y * np.sqrt((plus(b) + minus(q) @ y) / (minus(b) + plus(q) @ y + 1e-6))
    return z, y, np.linalg.norm(a - z @ y) ** 2


@pytest.mark.parametrize("sparsity", [0.1, 1.0])
def test_iterations_are_those_of_the_paper(sparse_features, sparsity):
    x = sparse_features.x
    y = torch.rand(7, len(x), generator=torch.Generator().manual_seed(1))
    fit = started(x, y, sparsity=sparsity)
    a, expected = x.double().numpy().T, y.double().numpy()
    for _ in range(3):
        fit.step()
        z, expected, error = published_iteration(a, expected, int(np.ceil(sparsity * x.shape[1])))
        assert np.abs(fit.now.features.numpy() - z.T).max() < 1e-5 * np.abs(z).max()
        assert np.abs(torch.cat(fit.now.coefficients, 1).numpy() - expected).max() < 1e-5 * expected.max()
        assert fit.now.error == pytest.approx(error, rel=1e-6)


def test_the_best_iterate_is_kept_with_its_coefficients(sparse_features):
    x = sparse_features.x
    fit = started(x, torch.rand(7, len(x), generator=torch.Generator().manual_seed(2)), sparsity=0.02)
    for _ in range(40):
        fit.step()
    best = fit.best
    assert best.iteration < 40, "this start was chosen because its error rises again"
    assert best.error / fit.neurons.squared_norm == min(fit.errors)
    dense = (x - (best.features.T @ torch.cat(best.coefficients, 1).double()).T).square().sum()
    assert float(dense) == pytest.approx(best.error, rel=1e-5)


def test_it_stops_after_patience_iterations_without_a_new_best(sparse_features):
    x = sparse_features.x
    fit = started(x, torch.rand(3, len(x)), tolerance=1e12, patience=4)
    steps = 0
    while not fit.settled:
        fit.step()
        steps += 1
    assert (steps, fit.best.iteration) == (5, 1)


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 9), st.integers(1, 5))
@settings(max_examples=30)
def test_without_sparsity_the_error_never_rises(seed, n, d, k):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator)
    fit = started(x, torch.rand(k, n, generator=generator) + 0.01, sparsity=1.0)
    before, rounding = 1.0, 0.0
    for _ in range(15):
        error = fit.step()
        # What the ridge, the constant in the denominator and float32 lose where large features cancel.
        sizes = fit.now.features.square().sum(dim=1) @ fit.moments.gram_kk.diagonal()
        rounding = max(rounding, 1e-6 * (1 + k * float(sizes) / fit.neurons.squared_norm))
        assert error - before < rounding
        before = error
    assert all((y >= 0).all() and y.isfinite().all() for y in fit.now.coefficients)
