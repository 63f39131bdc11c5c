"""Non-negative least squares of many right-hand sides against one matrix, to the precision of float64.

Every column of B (k, b) is its own problem: minimise y^T Q y / 2 - b^T y over y >= 0 with one Gram matrix Q (k, k). A
round is a sweep of exact coordinate descent, which finds out which coefficients are zero, and conjugate gradients on
those that are not (the scheme of More and Toraldo 1991, for all columns at once by matrix products). A column leaves
as soon as it meets the optimality conditions, so its solution does not depend on which others it came with. What a few
rounds have not solved goes to block pivoting, unless Q is nearly singular.
"""

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from unweave.methods.snmf.block_pivoting import exchanged

TOLERANCE = 1e-7
"""Largest violation of the optimality conditions, relative to the largest |b_j| of the problem."""
ROUNDS = 100
"""At most. What is left then goes to an active-set method."""
FEW_ROUNDS = 8
"""After which block pivoting is faster, with the coefficients that are zero by then as its guess."""
REGULAR = 1e-8
"""Least eigenvalue of Q, relative to the largest, for block pivoting, which needs the inverse of Q."""
GRADIENT_STEPS = 8
"""Preconditioned conjugate-gradient steps of one round."""
SPANNED = 1e-12
"""Least eigenvalue of Q, relative to the largest, whose direction the problem is taken to have."""
PRECONDITIONER_RIDGE = 1e-3
"""Added to Q, whose diagonal is 1, before it is inverted as a preconditioner: Q is singular for k > d."""


def _sweep(gram_kk: Tensor, target_kb: Tensor, y_kb: Tensor) -> None:
    """One sweep of coordinate descent, in place; Q has unit diagonal."""
    off = gram_kk.clone().fill_diagonal_(0)
    for j in range(len(gram_kk)):
        torch.clamp(torch.addmv(target_kb[j], y_kb.T, off[j], alpha=-1), min=0, out=y_kb[j])


def _objective(gram_kk: Tensor, target_kb: Tensor, y_kb: Tensor) -> Tensor:
    return (y_kb * (0.5 * (gram_kk @ y_kb) - target_kb)).sum(dim=0)


def _subspace_step(gram_kk: Tensor, inverse_kk: Tensor, y_kb: Tensor, gradient_kb: Tensor) -> Tensor:
    """Step towards the minimiser over the coefficients that are positive, all others staying zero."""
    free = (y_kb > 0).to(y_kb)
    residual = -gradient_kb * free
    step = torch.zeros_like(y_kb)
    direction = preconditioned = free * (inverse_kk @ residual)
    descent = (residual * preconditioned).sum(dim=0)
    for _ in range(GRADIENT_STEPS):
        bent = free * (gram_kk @ direction)
        curvature = (direction * bent).sum(dim=0)
        length = torch.where(curvature > 0, descent / curvature, 0)
        step += length * direction
        residual = residual - length * bent
        preconditioned = free * (inverse_kk @ residual)
        next_descent = (residual * preconditioned).sum(dim=0)
        direction = preconditioned + torch.where(descent > 0, next_descent / descent, 0) * direction
        descent = next_descent
    return step


def _moved(gram_kk: Tensor, target_kb: Tensor, y_kb: Tensor, step_kb: Tensor) -> Tensor:
    """Y + step where that is not negative; else cut at zero, or shortened, whichever lowers the objective more."""
    cut = (y_kb + step_kb).clamp_min(0)
    room = torch.where(step_kb < 0, y_kb / -step_kb, torch.inf).amin(dim=0).clamp_max(1)
    shortened = (y_kb + room * step_kb).clamp_min(0)
    better = _objective(gram_kk, target_kb, cut) <= _objective(gram_kk, target_kb, shortened)
    return torch.where(better, cut, shortened)


@torch.no_grad()
def nonnegative_least_squares(gram_kk: Tensor, target_kb: Tensor) -> Tensor:
    """Solutions (k, b) in float64 for Q with unit (or, of a zero row, zero) diagonal and B (k, b), both float64.

    Coefficients that are zero are exactly zero. Where Q is singular and a solution is not unique, coordinates of
    smaller index take as much as they can. Nothing is recorded for gradients.
    """
    gram_kk = gram_kk.clone()
    gram_kk.diagonal().copy_(torch.where(gram_kk.diagonal() > 0, 1, gram_kk.diagonal() + 1))  # a zero row: b = y = 0
    identity = torch.eye(len(gram_kk), dtype=gram_kk.dtype, device=gram_kk.device)
    inverse_kk = torch.linalg.inv(gram_kk + PRECONDITIONER_RIDGE * identity)
    solution = torch.zeros_like(target_kb)
    left = torch.arange(target_kb.shape[1], device=target_kb.device)
    y = torch.zeros_like(target_kb)
    for rounds in range(1, ROUNDS + 1):
        _sweep(gram_kk, target_kb, y)
        gradient = gram_kk @ y - target_kb
        violation = torch.where(y > 0, gradient.abs(), (-gradient).clamp_min(0)).amax(dim=0)
        open_ = violation > TOLERANCE * target_kb.abs().amax(dim=0)
        solution[:, left[~open_]] = y[:, ~open_]
        if not open_.any():
            return solution
        left, y, target_kb, gradient = left[open_], y[:, open_], target_kb[:, open_], gradient[:, open_]
        if rounds == FEW_ROUNDS and _regular(gram_kk):
            solution[:, left], unsolved = exchanged(gram_kk, target_kb, y == 0)
            left, y, target_kb, gradient = left[unsolved], y[:, unsolved], target_kb[:, unsolved], gradient[:, unsolved]
            if not len(left):
                return solution
        y = _moved(gram_kk, target_kb, y, _subspace_step(gram_kk, inverse_kk, y, gradient))
    solution[:, left] = _active_set(gram_kk, target_kb)
    return solution


def _regular(gram_kk: Tensor) -> bool:
    eigenvalues = torch.linalg.eigvalsh(gram_kk)
    return bool(eigenvalues[0] >= REGULAR * eigenvalues[-1])


def _active_set(gram_kk: Tensor, target_kb: Tensor) -> Tensor:
    """Solutions (k, b) column by column (Lawson and Hanson, in scipy), from a square root of Q."""
    values, vectors = torch.linalg.eigh(gram_kk)
    spanned = values > SPANNED * values.max()
    roots, axes = values[spanned].sqrt()[:, None], vectors[:, spanned].T
    factor, right = (roots * axes).cpu().numpy(), (axes @ target_kb / roots).cpu().numpy()
    columns = [nnls(factor, column)[0] for column in right.T]
    return torch.from_numpy(np.stack(columns, axis=1)).to(target_kb)
