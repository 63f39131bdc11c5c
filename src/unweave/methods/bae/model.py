"""The autoencoder: its parameters, and the value and gradient of its loss for one batch, written out by hand.

Shapes: d dimensions, F latent channels, B tokens of a batch. An optional leading axis G of parameters and batch holds
independent autoencoders, which are trained at once.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from unweave.methods.bae.penalties import covariance_penalty, marginal_entropy, marginal_entropy_slope
from unweave.methods.bae.step_function import SURROGATES, Gradient, levels


class Parameters(NamedTuple):
    """Parameters of a binary autoencoder, or their gradients."""

    encoder: Tensor
    """(..., F, d)"""
    encoder_bias: Tensor
    """(..., F), zero where the model has none"""
    atoms: Tensor
    """(..., F, d) the decoder's weight, one row for each channel"""
    decoder_bias: Tensor
    """(..., d)"""


def initial_parameters(d: int, width: int, seed: int, *, encoder_bias: bool) -> Parameters:
    """PyTorch's initialisation of two linear layers: all entries uniform within 1 / sqrt(fan in), on the CPU."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(fan_in: int, *shape: int) -> Tensor:
        bound = 1 / math.sqrt(fan_in)
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)

    encoder, bias = uniform(d, width, d), uniform(d, width)
    decoder = uniform(width, d, width)
    return Parameters(encoder, bias if encoder_bias else torch.zeros(width), decoder.T.contiguous(), uniform(width, d))


@dataclass(frozen=True)
class Loss:
    """Which loss is meant."""

    gradient: Gradient
    """Stand-in for the derivative of the step function."""
    bits: int
    """Bits of an active code that the decoder sees."""
    summed: bool
    """Squared errors are summed over the coordinates instead of averaged."""
    entropy_threshold: float
    """Bits below which entropy is no longer penalised."""
    covariance: bool
    """The covariance is computed at all."""
    dtype: torch.dtype
    """Of the matrix products."""


def loss_and_gradients(
    parameters: Parameters, x: Tensor, loss: Loss, entropy_weight: float, covariance_weight: float
) -> tuple[dict[str, Tensor], Parameters]:
    """Evaluate reconstruction + entropy_weight * entropy + covariance_weight * covariance on x (..., B, d).

    The gradient is that of backpropagation through

        u = x E^T + e,  h = 1[u > 0],  v = h * level(u),  y = v A + a

    with the step's derivative replaced by the stand-in, and rounding to levels by the identity (v = h with one bit).
    The terms are `loss`, and unweighted `reconstruction`, `entropy` (bits), `covariance` and `l0` (ones in a code),
    each of the shape of the leading axis.
    """
    size, d = x.shape[-2:]
    x_, encoder, atoms = (tensor.to(loss.dtype) for tensor in (x, parameters.encoder, parameters.atoms))
    u = (x_ @ encoder.mT).float().add_(parameters.encoder_bias.unsqueeze(-2))
    h = (u > 0).float()
    level = None if loss.bits == 1 else levels(u, loss.bits)
    v = (h if level is None else h * level).to(loss.dtype)
    error = (v @ atoms).float().add_(parameters.decoder_bias.unsqueeze(-2)).sub_(x)
    scale = 1 / size if loss.summed else 1 / (size * d)
    reconstruction = scale * torch.linalg.vector_norm(error, dim=(-2, -1)).square()

    outer = error.mul_(2 * scale)
    outer_ = outer.to(loss.dtype)
    g = (outer_ @ atoms.mT).float()
    through_level = None
    if level is not None:
        through_level = torch.ops.aten.sigmoid_backward(g * h, u.sigmoid())
        g.mul_(level)

    counts = h.sum(-2)
    p = counts / size
    entropy = marginal_entropy(p)
    terms = {"loss": reconstruction, "reconstruction": reconstruction, "entropy": entropy, "l0": counts.sum(-1) / size}
    row = torch.zeros_like(p)
    if entropy_weight:
        weight = entropy_weight * (entropy >= loss.entropy_threshold).float()
        terms["loss"] = terms["loss"] + weight * entropy
        row = (weight / size).unsqueeze(-1) * marginal_entropy_slope(p)
    if loss.covariance:
        terms["covariance"], products, mean_product = covariance_penalty(h, counts)
        terms["loss"] = terms["loss"] + covariance_weight * terms["covariance"]
        factor = 2 * covariance_weight / (size - 1)
        g.add_(products, alpha=factor)
        row = row - factor * mean_product
    g.add_(row.unsqueeze(-2))

    inner = SURROGATES[loss.gradient](g, u)
    if through_level is not None:
        inner = inner + through_level
    gradients = Parameters(
        encoder=(inner.to(loss.dtype).mT @ x_).float(),
        encoder_bias=inner.sum(-2),
        atoms=(v.mT @ outer_).float(),
        decoder_bias=outer.sum(-2),
    )
    return terms, gradients
