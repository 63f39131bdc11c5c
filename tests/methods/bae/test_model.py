"""The step written out by hand against automatic differentiation of the same model."""

import pytest
import torch
from torch import nn

from unweave.methods.bae.model import Loss, Parameters, initial_parameters, loss_and_gradients
from unweave.methods.bae.step_function import SURROGATES

ENTROPY, COVARIANCE = 1e-3, 1e-4


class Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, name):
        ctx.save_for_backward(x)
        ctx.name = name
        return (x > 0).to(x)

    @staticmethod
    def backward(ctx, g):
        return SURROGATES[ctx.name](g, ctx.saved_tensors[0]), None


def rounded(x, steps):
    return x + ((x * steps).round() / steps - x).detach()


def loss_by_definition(p, x, name, bits=1, summed=False, threshold=0.0):
    u = x @ p.encoder.T + p.encoder_bias
    h = Step.apply(u, name)
    v = h if bits == 1 else h * rounded(u.sigmoid(), 2**bits - 1)
    y = v @ p.atoms + p.decoder_bias
    squared = (y - x) ** 2
    rate = h.mean(0)
    entropy = -(rate * (rate + 1e-10).log2() + (1 - rate) * (1 - rate + 1e-10).log2()).sum()
    covariance = torch.cov(h.T)
    penalty = covariance.abs().sum() - covariance.diagonal().abs().sum()
    reconstruction = squared.sum(1).mean() if summed else squared.mean()
    return reconstruction + ENTROPY * torch.where(entropy < threshold, 0.0, entropy) + COVARIANCE * penalty


def setting(d=24, width=96, size=251, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, d, generator=generator) * 2 + torch.randn(d, generator=generator)
    return initial_parameters(d, width, seed, encoder_bias=True), x


def as_loss(**update):
    defaults = {
        "gradient": "sigmoid",
        "bits": 1,
        "summed": False,
        "entropy_threshold": 0.0,
        "covariance": True,
        "dtype": torch.float32,
    }
    return Loss(**{**defaults, **update})


def check(parameters, x, loss, **definition):
    terms, gradients = loss_and_gradients(parameters, x, loss, ENTROPY, COVARIANCE)
    # float64, where the covariance of torch is not dominated by rounding
    leaves = Parameters(*(tensor.double().requires_grad_() for tensor in parameters))
    expected = loss_by_definition(leaves, x.double(), loss.gradient, **definition)
    expected.backward()
    assert float(terms["loss"]) == pytest.approx(float(expected.detach()), rel=1e-5)
    for gradient, leaf in zip(gradients, leaves, strict=True):
        assert float((gradient - leaf.grad).abs().max() / leaf.grad.abs().max()) < 1e-5
    return gradients


@pytest.mark.parametrize("gradient", SURROGATES)
def test_gradients_are_those_of_automatic_differentiation(gradient):
    check(*setting(), as_loss(gradient=gradient))


@pytest.mark.parametrize("bits", [2, 4, 16])
@pytest.mark.parametrize("gradient", ["sigmoid", "released"])
def test_gradients_through_more_bits_are_those_of_automatic_differentiation(bits, gradient):
    check(*setting(), as_loss(bits=bits, gradient=gradient), bits=bits)


def test_gradients_of_summed_squares_are_those_of_automatic_differentiation():
    check(*setting(), as_loss(summed=True), summed=True)


def test_entropy_below_the_threshold_is_not_penalised():
    parameters, x = setting()
    check(parameters, x, as_loss(entropy_threshold=50.0), threshold=50.0)
    gradients = check(parameters, x, as_loss(entropy_threshold=5000.0), threshold=5000.0)
    without = loss_and_gradients(parameters, x, as_loss(), 0.0, COVARIANCE)[1]
    assert torch.equal(gradients.encoder, without.encoder)


def test_gradients_are_right_where_channels_are_dead_or_always_on():
    parameters, x = setting()
    parameters.encoder_bias[:10] = 1e3
    parameters.encoder_bias[10:20] = -1e3
    check(parameters, x, as_loss(gradient="ste"))


def test_bfloat16_products_are_off_by_per_cents():
    parameters, x = setting()
    exact = loss_and_gradients(parameters, x, as_loss(), ENTROPY, COVARIANCE)[1]
    rough = loss_and_gradients(parameters, x, as_loss(dtype=torch.bfloat16), ENTROPY, COVARIANCE)[1]
    for one, other in zip(exact, rough, strict=True):
        assert other.dtype == torch.float32
        assert float((one - other).norm() / one.norm()) < 0.05


def test_autoencoders_beside_each_other_have_their_own_gradients():
    pairs = [setting(seed=seed) for seed in range(3)]
    together = Parameters(*(torch.stack(tensors) for tensors in zip(*(p for p, _ in pairs), strict=True)))
    x = torch.stack([x for _, x in pairs])
    terms, gradients = loss_and_gradients(together, x, as_loss(), ENTROPY, COVARIANCE)
    for group, (parameters, rows) in enumerate(pairs):
        alone_terms, alone = loss_and_gradients(parameters, rows, as_loss(), ENTROPY, COVARIANCE)
        for name, value in alone_terms.items():
            assert float(terms[name][group]) == pytest.approx(float(value), rel=1e-5)
        for one, other in zip(alone, gradients, strict=True):
            torch.testing.assert_close(other[group], one, rtol=1e-4, atol=1e-6)


def test_the_initial_weights_are_those_of_two_linear_layers_of_torch():
    torch.manual_seed(5)
    encoder, decoder = nn.Linear(6, 24), nn.Linear(24, 6)
    initial = initial_parameters(6, 24, 5, encoder_bias=True)
    for ours, theirs in zip(initial, (encoder.weight, encoder.bias, decoder.weight.T, decoder.bias), strict=True):
        torch.testing.assert_close(ours, theirs.detach())


def test_gradients_are_laid_out_like_their_parameters():
    parameters, x = setting()
    for gradient, parameter in zip(loss_and_gradients(parameters, x, as_loss(), 0, 0)[1], parameters, strict=True):
        assert gradient.stride() == parameter.stride()
