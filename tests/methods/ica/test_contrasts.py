import numpy as np
import pytest
import torch

from unweave.methods.ica.contrasts import CONTRASTS, logcosh_simd

FUNCTIONS = {
    "logcosh": lambda u: u.cosh().log(),
    "exp": lambda u: -torch.exp(-u.square() / 2),
    "cube": lambda u: u**4 / 4,
}


def evaluated(name, u):
    p = u.clone()
    contrast, derivative = CONTRASTS[name].evaluate(p, torch.empty_like(p))
    return contrast, p, derivative


@pytest.mark.parametrize("name", CONTRASTS)
def test_the_returned_derivatives_are_those_of_the_contrast(name):
    u = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = FUNCTIONS[name](u)
    (first,) = torch.autograd.grad(value.sum(), u, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), u)
    contrast, g, derivative = evaluated(name, u.detach())
    torch.testing.assert_close(contrast, value.sum(0))
    torch.testing.assert_close(g, first.detach())
    torch.testing.assert_close(derivative, second.sum(0))


@pytest.mark.parametrize("name", CONTRASTS)
def test_the_gaussian_mean_is_the_gauss_hermite_integral(name):
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    values = FUNCTIONS[name](torch.tensor(nodes)).numpy()
    assert CONTRASTS[name].gaussian_mean == pytest.approx(weights @ values / np.sqrt(2 * np.pi), abs=1e-12)


def test_logcosh_of_very_large_projections_is_finite_and_linear():
    contrast, g, derivative = evaluated("logcosh", torch.tensor([[300.0], [-300.0]]))
    assert contrast.item() == pytest.approx(2 * (300 - np.log(2)))
    assert g.flatten().tolist() == [1, -1]
    assert derivative.item() == 0


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 255, 256, 257, 600])
@pytest.mark.parametrize("columns", [1, 3])
def test_the_fast_logcosh_gives_the_same_for_any_number_of_rows(rows, columns):
    u = 3 * torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows))
    contrast, g, derivative = evaluated("logcosh", u.double())
    p = u.clone()
    fast, fast_derivative = logcosh_simd(p, torch.empty_like(p))
    torch.testing.assert_close(fast.double(), contrast, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(p.double(), g, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast_derivative.double(), derivative, rtol=1e-4, atol=1e-3)
