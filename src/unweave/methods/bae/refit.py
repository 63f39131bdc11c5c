"""The decoder that is best for given codes, in closed form."""

from collections.abc import Iterable

import torch
from torch import Tensor

CONSTANT = 1e-6
"""Variance of a code below which it counts as constant."""


def ridge_decoder(pairs: Iterable[tuple[Tensor, Tensor]], ridge: float) -> tuple[Tensor, Tensor]:
    """Atoms (F, d) and bias (d,), float32, that minimise mean ||x - codes @ atoms - bias||^2 + r ||atoms||^2.

    `pairs` are blocks of codes (b, F) and activations x (b, d), at least one; r is `ridge` times the mean variance of a
    code. Products of blocks are float32 and summed in float64. The ridge decides between codes that are copies of each
    other. Codes that are constant, with a variance below 1e-6, get the atom 0.
    """
    n = 0
    for codes, x in pairs:
        if n == 0:
            width, d = codes.shape[1], x.shape[1]
            # A mean far from zero would leave few digits of the products for what varies.
            shift = x.mean(0)
            gram, cross, code_sum, x_sum = (
                x.new_zeros(*s, dtype=torch.float64) for s in ((width, width), (width, d), (width,), (d,))
            )
        shifted = x - shift
        gram += codes.T @ codes
        cross += codes.T @ shifted
        code_sum += codes.sum(0, dtype=torch.float64)
        x_sum += shifted.sum(0, dtype=torch.float64)
        n += len(x)
    code_mean, x_mean = code_sum / n, x_sum / n
    covariance = gram / n - torch.outer(code_mean, code_mean)
    common = cross / n - torch.outer(code_mean, x_mean)
    constant = covariance.diagonal() < CONSTANT
    covariance[constant] = 0
    covariance[:, constant] = 0
    common[constant] = 0
    covariance.diagonal().add_((ridge * covariance.diagonal().mean()).clamp_min(ridge * CONSTANT))
    atoms = torch.cholesky_solve(common, torch.linalg.cholesky(covariance))
    return atoms.float(), (shift + x_mean - code_mean @ atoms).float()
