"""How many units it takes to come near every direction of a subspace (Subspace-Aware SAE, Definition 2, with k = 1).

A unit covers a direction that lies within eps of its span: sine of the angle at most eps.
"""

import math

import torch
from scipy.special import betainc
from torch import Tensor

REACHED = 0.9
"""Share of the directions that counted units cover together."""


def sines(directions: Tensor, blocks: Tensor) -> Tensor:
    """Sine (n, U) of the angle of unit directions (n, d) with the span of each block (U, r, d)."""
    _, values, spans = torch.linalg.svd(blocks.double(), full_matrices=False)
    spans = spans * (values > 1e-5 * values[:, :1].clamp_min(1e-300))[:, :, None]
    held = torch.einsum("nd,urd->nur", directions.double(), spans).square().sum(dim=2)
    return (1 - held).clamp_min(0).sqrt()


def greedy_cover(covers: Tensor) -> int | None:
    """Units, each time the one that adds most, until nine tenths of the n directions are covered (n, U) bool.

    None if all units together do not reach that.
    """
    needed = math.ceil(REACHED * len(covers))
    left = torch.ones(len(covers), dtype=torch.bool, device=covers.device)
    chosen = 0
    while int((~left).sum()) < needed:
        gains = covers[left].sum(dim=0)
        best = int(gains.argmax())
        if gains[best] == 0:
            return None
        left &= ~covers[:, best]
        chosen += 1
    return chosen


def fewest_lines(m: int, eps: float) -> int:
    """Lower bound for single directions: nine tenths of the sphere in m dimensions over the share that one can cover.

    A line covers I_{eps^2}((m-1)/2, 1/2) of it, the regularised incomplete beta function; so the number grows as
    (1/eps)^(m-1), the rate of Theorem 1.
    """
    return max(1, math.ceil(REACHED / float(betainc((m - 1) / 2, 0.5, eps**2)) - 1e-9))
