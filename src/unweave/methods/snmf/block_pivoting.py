"""Non-negative least squares by exchanging sets of coefficients between zero and positive (Judice and Pires 1994).

For a guess of which coefficients are zero, those that are not and the gradient at those that are follow from linear
equations; then every coefficient on the wrong side changes its set. Features of semi-NMF leave few coefficients at
zero, so the equations are solved for the gradient there: with H = Q^-1 and Z the zeros, H_ZZ l = -(H b)_Z and
y = H (b + l).
"""

import torch
from torch import Tensor

EXCHANGES = 40
"""At most; eight are usual."""
WRONG = 1e-10
"""Least violation that counts, relative to the largest |b_j| of the problem: more than rounding leaves."""
CHANCES = 3
"""Exchanges of whole sets that may leave no fewer coefficients on the wrong side, before they change one by one."""
ENTRIES = 4_000_000
"""Of the systems that are solved at once."""


def _gradient_at_zeros(inverse_kk: Tensor, unbounded_kb: Tensor, zero_kb: Tensor) -> Tensor:
    """Gradient l (k, b), 0 where a coefficient is not zero; systems of fewer zeros are filled up with identity."""
    gradient = torch.zeros_like(unbounded_kb)
    most = int(zero_kb.sum(dim=0).max())
    if not most:
        return gradient
    first = torch.argsort((~zero_kb).to(torch.uint8), dim=0, stable=True)[:most].T
    size = max(1, ENTRIES // most**2)
    for start in range(0, len(first), size):
        chosen = first[start : start + size]
        columns = torch.arange(start, start + len(chosen), device=chosen.device)[:, None]
        real = zero_kb[chosen, columns]
        system = inverse_kk[chosen[:, :, None], chosen[:, None, :]] * (real[:, :, None] & real[:, None, :])
        system.diagonal(dim1=1, dim2=2).add_((~real).to(system))
        right = -unbounded_kb[chosen, columns] * real
        solved = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky_ex(system).L)[:, :, 0]
        gradient[chosen, columns] = solved * real
    return gradient


def exchanged(gram_kk: Tensor, target_kb: Tensor, zero_kb: Tensor) -> tuple[Tensor, Tensor]:
    """Solutions (k, b) for a Q that is far from singular, and which of the b columns were not solved.

    `zero_kb` guesses which coefficients are zero.
    """
    inverse_kk = torch.linalg.inv(gram_kk)
    unbounded = inverse_kk @ target_kb
    tolerance = WRONG * target_kb.abs().amax(dim=0)
    solution = torch.zeros_like(target_kb)
    left = torch.arange(target_kb.shape[1], device=target_kb.device)
    zero = zero_kb
    fewest = torch.full_like(left, len(gram_kk) + 1)
    chances = torch.full_like(left, CHANCES)
    numbers = torch.arange(len(gram_kk), device=target_kb.device)[:, None]
    for _ in range(EXCHANGES):
        gradient = _gradient_at_zeros(inverse_kk, unbounded, zero)
        y = torch.where(zero, 0, unbounded + inverse_kk @ gradient)
        wrong = torch.where(zero, gradient, y) < -tolerance
        count = wrong.sum(dim=0)
        solution[:, left[count == 0]] = y[:, count == 0].clamp_min(0)
        going = count > 0
        if not going.any():
            return solution, left[going]
        left, unbounded, tolerance, zero, wrong = (
            part[..., going] for part in (left, unbounded, tolerance, zero, wrong)
        )
        fewest, chances, count = fewest[going], chances[going], count[going]
        chances = torch.where(count < fewest, CHANCES, chances - 1)
        fewest = torch.minimum(fewest, count)
        last = numbers == torch.where(wrong, numbers, -1).amax(dim=0)
        zero = zero ^ torch.where(chances < 0, last, wrong)
    return solution, left
