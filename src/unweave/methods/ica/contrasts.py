"""The contrast functions G of FastICA with derivative g = G' (ICA Lens, arXiv 2606.11722).

Each `evaluate` takes the projections p (b, q) and a scratch tensor of the same shape, overwrites p with g(p), and
returns the column sums (q,) of G(p) and of g'(p). Everything is elementwise in place: on a processor a block that fits
its cache is read from memory once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Contrast:
    """A contrast function and what it gives on average for a standard normal variable."""

    evaluate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    gaussian_mean: float


def column_sums(x: Tensor) -> Tensor:
    """Sum x (b, q) over its rows, as a matrix-vector product: faster than a reduction along the strided axis."""
    return x.T @ x.new_ones(x.shape[0])


def _logcosh(p: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
    """G = log cosh u = |u| - log(1 + |tanh u|), g = tanh u, g' = 1 - tanh^2 u; this form of G cannot overflow."""
    total = column_sums(torch.abs(p, out=scratch))
    p.tanh_()
    total -= column_sums(torch.abs(p, out=scratch).add_(1).log_())
    derivative = p.shape[0] - column_sums(torch.mul(p, p, out=scratch))
    return total, derivative


def _exp(p: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
    """G = -exp(-u^2/2), g = u exp(-u^2/2), g' = (1 - u^2) exp(-u^2/2)."""
    torch.mul(p, p, out=scratch).mul_(-0.5).exp_()
    bell = column_sums(scratch)
    scratch.mul_(p)
    derivative = bell - column_sums(p.mul_(scratch))
    p.copy_(scratch)
    return -bell, derivative


def _cube(p: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
    """G = u^4/4, g = u^3, g' = 3 u^2."""
    torch.mul(p, p, out=scratch)
    derivative = 3 * column_sums(scratch)
    p.mul_(scratch)
    return column_sums(scratch.square_()) / 4, derivative


CONTRASTS = {
    "logcosh": Contrast(_logcosh, 0.374567207491457),
    "exp": Contrast(_exp, -1 / math.sqrt(2)),
    "cube": Contrast(_cube, 0.75),
}
