"""The contrast functions G of FastICA with derivative g = G' (ICA Lens, arXiv 2606.11722).

Each `evaluate` takes the projections p (b, q) and a scratch tensor of the same shape, overwrites p with g(p), and
returns the column sums (q,) of G(p) and of g'(p). Everything is elementwise in place: on a processor a block that fits
its cache is read from memory once.

`logcosh_simd` gives the same as the log-cosh contrast to float32 precision, several times faster on a processor.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
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


SIMD_ROWS = 256
"""Rows of one elementwise pass: they and their scratch stay in a core's own cache."""


def logcosh_simd(p: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
    """Log-cosh of float32 projections on a processor, by numpy's vectorised functions.

    Measured on an EPYC core with AVX-512: numpy's tanh takes 0.2 ns per element and its log 0.3, torch's 2.1 and 2.7.
    The logarithms of eight rows are one logarithm of a product, which lies between 1 and 256.
    """
    q = p.shape[1]
    total, squares = np.zeros(q, np.float32), np.zeros(q, np.float32)
    for u, work in zip(torch.split(p, SIMD_ROWS), torch.split(scratch, SIMD_ROWS), strict=True):
        t, s, rows = u.numpy(), work.numpy(), len(u)
        ones = np.ones(rows, np.float32)
        total += ones @ np.abs(t, out=s)
        np.tanh(t, out=t)
        squares += ones @ np.multiply(t, t, out=s)
        np.abs(t, out=s)
        s += 1
        for _ in range(3):
            half = (rows + 1) // 2
            s[: rows - half] *= s[half:rows]
            rows = half
        total -= ones[:rows] @ np.log(s[:rows], out=s[:rows])
    return torch.from_numpy(total), torch.from_numpy(p.shape[0] - squares)


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
