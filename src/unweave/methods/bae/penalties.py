"""The penalties of a batch of one-bit codes, and their gradients, without a graph of the F x F covariance.

Shapes: B codes of one batch, F channels; an optional leading axis G holds independent batches.

With N = H^T H the joint counts and n = H^T 1 the counts of codes H (B, F) of zeros and ones, the unbiased covariance
is C = (N - n n^T / B) / (B - 1). The derivative of sum_{i != j} |C_ij| is 2 / (B - 1) (H S - 1 m^T) with S = sign(C)
without its diagonal and m the column means of H S. All of B N - n n^T and H S are integers, so that they are computed
exactly, by 8-bit products where the processor is fast at them, and a covariance of zero has the gradient zero.
"""

import functools
import math
import time

import torch
from torch import Tensor

EPSILON = 1e-10
"""Added inside the logarithms, as in the released code."""
BLOCK_CHANNELS = 256
"""Rows of the covariance that are held at once: they stay in the cache."""


def marginal_entropy(p: Tensor) -> Tensor:
    """Sum over channels of the entropy in bits (...) of channels that are on with probabilities p (..., F)."""
    q = 1 - p
    return -(p * (p + EPSILON).log2() + q * (q + EPSILON).log2()).sum(-1)


def marginal_entropy_slope(p: Tensor) -> Tensor:
    """Slope (..., F) of `marginal_entropy` with respect to p, in bits."""
    q = 1 - p
    on, off = p + EPSILON, q + EPSILON
    return off.log2() - on.log2() + (q / off - p / on) / math.log(2)


@functools.cache
def _int8_is_faster() -> bool:
    """Whether this processor multiplies 8-bit integers faster than floats: measured once, of no effect on results."""
    ones = torch.ones(256, 256)
    small = ones.to(torch.int8)

    def fastest(product: functools.partial[Tensor]) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            product()
            times.append(time.perf_counter() - start)
        return min(times)

    return fastest(functools.partial(torch._int_mm, small, small)) < fastest(functools.partial(torch.mm, ones, ones))


def integer_product(a: Tensor, b: Tensor) -> Tensor:
    """Exact product (..., I, K) of int8 matrices a (..., I, J) and b (..., J, K), as int32 or as whole float32.

    The sums must stay below 2^24, as they do for zeros and ones if J does.
    """
    if a.device.type != "cpu" or not _int8_is_faster():
        return a.float() @ b.float()
    if a.ndim == 2:
        return torch._int_mm(a, b)
    out = torch.empty(*a.shape[:-1], b.shape[-1], dtype=torch.int32)
    for each, other, result in zip(a, b, out, strict=True):
        torch._int_mm(each, other, out=result)
    return out


def _covariance_signs(bits: Tensor, counts: Tensor) -> Tensor:
    """Sign (..., F, F) of the covariances of bits (..., B, F) with counts (..., F), zero on the diagonal, all int8."""
    channels = bits.mT.contiguous()
    n = counts.to(torch.int32)
    signs = torch.empty(*n.shape, n.shape[-1], dtype=torch.int8, device=bits.device)
    for start in range(0, n.shape[-1], BLOCK_CHANNELS):
        rows = slice(start, start + BLOCK_CHANNELS)
        joint = integer_product(channels[..., rows, :], channels.mT).to(torch.int32)
        joint.mul_(bits.shape[-2]).addcmul_(n[..., rows, None], n[..., None, :], value=-1)
        signs[..., rows, :] = joint.clamp_(-1, 1)
    signs.diagonal(dim1=-2, dim2=-1).zero_()
    return signs


def covariance_penalty(h: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the absolute off-diagonal covariances of codes h (..., B, F) with counts (..., F), all float32.

    Each pair counts twice. Returns the value (...), and its gradient as a matrix M (..., B, F) and a row r (..., F):
    the gradient with respect to h is 2 / (B - 1) (M - r). B must be between 2 and 46,340.
    """
    size = h.shape[-2]
    bits = h.to(torch.int8)
    products = integer_product(bits, _covariance_signs(bits, counts)).float()
    row = products.sum(-2) / size
    value = ((products * h).sum(-2) - counts * row).sum(-1) / (size - 1)
    return value, products, row
