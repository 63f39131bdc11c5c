import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave.activations.memory import InMemoryActivations
from unweave.methods.snmf.descent import revive
from unweave.methods.snmf.factorisation import Factorisation, Iterate
from unweave.methods.snmf.moments import pass_over, squared_error
from unweave.methods.snmf.neurons import NeuronBlocks
from unweave.methods.snmf.settings import SolverSettings

CPU = torch.device("cpu")


def started(x, y, **settings):
    neurons = NeuronBlocks(InMemoryActivations(x), 1.0, CPU)
    return Factorisation(neurons, SolverSettings(**settings), Iterate(None, [y.clone()], 0.0))


@given(
    st.integers(0, 10_000), st.integers(3, 14), st.integers(2, 10), st.integers(1, 6), st.floats(0.05, 1), st.booleans()
)
@settings(max_examples=60)
def test_the_error_never_rises_and_the_constraints_always_hold(seed, n, d, k, sparsity, one_hot):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator)
    x[:, 0] = 0
    y = torch.rand(k, n, generator=generator)
    fit = started(x, (y == y.max(0).values).float() if one_hot else y, sparsity=sparsity)
    before, rounding = 1.0, 0.0
    for _ in range(12):
        error = fit.step()
        # What float32 loses where large features cancel.
        sizes = fit.now.features.square().sum(dim=1) @ fit.moments.gram_kk.diagonal()
        rounding = max(rounding, 1e-6 * (1 + k * float(sizes) / fit.neurons.squared_norm))
        assert error - before < rounding
        before = error
        assert (fit.now.features != 0).sum(dim=1).max() <= fit.s
        assert all((block >= 0).all() for block in fit.now.coefficients)


def test_the_error_is_that_of_the_dense_reconstruction(sparse_features):
    x = sparse_features.x
    neurons = NeuronBlocks(InMemoryActivations(x), 1.0, CPU)
    y = torch.rand(8, len(x), generator=torch.Generator().manual_seed(0))
    fit = Factorisation(
        neurons,
        SolverSettings(sparsity=0.1),
        Iterate(None, [block.contiguous() for block in y.split([b.shape[1] for b in neurons], dim=1)], 0.0),
    )
    for _ in range(5):
        error = fit.step()
    dense = (x.double() - torch.cat(fit.now.coefficients, 1).double().T @ fit.now.features).square().sum()
    assert abs(error - float(dense) / float(x.double().square().sum())) < 1e-6


def test_the_scale_between_the_factors_is_that_of_unit_rows(sparse_features):
    x = sparse_features.x[:1000]
    y = torch.rand(5, 1000, generator=torch.Generator().manual_seed(0))
    fits = [started(x, scale * y, sparsity=0.1) for scale in (1.0, 64.0)]
    for fit in fits:
        for _ in range(4):
            fit.step()
    torch.testing.assert_close(fits[0].now.features, fits[1].now.features, rtol=1e-4, atol=1e-4)


def test_dead_features_come_back_on_the_worst_tokens(sparse_features):
    x = sparse_features.x[:1000]
    y = torch.rand(6, 1000, generator=torch.Generator().manual_seed(0))
    y[2] = y[4] = 0
    fit = started(x, y, sparsity=0.1)
    fit.step()
    features, coefficients, gram = fit.now.features, fit.now.coefficients, fit.moments.gram_kk
    assert not features[2].any()
    before = fit.now.error
    residual = (x - coefficients[0].T @ features.float()).double()
    revived, count = revive(fit.neurons, coefficients, features, gram, fit.s)
    assert count == 2
    tokens = [int(coefficients[0][j].nonzero()) for j in (2, 4)]
    assert sorted(tokens) == sorted(residual.square().sum(1).topk(2).indices.tolist())
    _, moments = pass_over(fit.neurons, coefficients, None)
    gain = sum(float(revived[j].square().sum()) for j in (2, 4))
    assert abs(before - squared_error(fit.neurons.squared_norm, revived, moments) - gain) < 1e-5 * before


def test_a_fit_uses_its_revived_features(sparse_features):
    x = sparse_features.x[:1000]
    y = torch.rand(12, 1000, generator=torch.Generator().manual_seed(0))
    y[5:] = 0
    fit = started(x, y, sparsity=0.1)
    for _ in range(30):
        fit.step()
    assert fit.revived >= 7
    assert (fit.moments.gram_kk.diagonal() > 0).all()
    assert fit.errors[-1] < 0.3 * fit.errors[3]


def test_no_feature_is_spent_on_what_is_reconstructed():
    x = torch.eye(3).repeat(5, 1)
    y = torch.cat([x.T, torch.zeros(2, 15)])
    fit = started(x, y.contiguous(), sparsity=0.3)
    for _ in range(6):
        fit.step()
    assert fit.revived == 0
    assert abs(fit.errors[-1]) < 1e-6


def test_it_stops_when_error_and_neurons_are_stable(sparse_features):
    x = sparse_features.x[:1000]
    fit = started(x, sparse_features.codes[:1000].T.contiguous(), sparsity=0.1, patience=5, tolerance=1e-3)
    while not fit.settled:
        fit.step()
    assert 5 < fit.now.iteration < 60
