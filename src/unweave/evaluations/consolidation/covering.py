"""How many units it takes to come near every direction of a subspace (Subspace-Aware SAE, Definition 2, k = 1 and 2).

Units cover a direction that lies within eps of their span: sine of the angle at most eps. With k = 1 the span is that
of one unit, with k = 2 that of any two of those that were chosen.
"""

import math

import torch
from scipy.special import betainc
from torch import Tensor

REACHED = 0.9
"""Share of the directions that counted units cover together."""


def _spans(blocks: Tensor, tolerance: float | None = None) -> Tensor:
    """Orthonormal rows (U, r, d) of the span of each block, zero rows where it has fewer than r dimensions."""
    values: Tensor
    rows: Tensor
    _, values, rows = torch.linalg.svd(blocks, full_matrices=False)
    least = 1e-5 * values[:, :1].clamp_min(1e-300) if tolerance is None else tolerance
    return rows * (values > least)[:, :, None]


def _held(directions: Tensor, spans: Tensor) -> Tensor:
    """Share (n, U) of each unit direction (n, d) that lies in each span (U, r, d)."""
    return torch.einsum("nd,urd->nur", directions, spans).square().sum(dim=2)


def sines(directions: Tensor, blocks: Tensor) -> Tensor:
    """Sine (n, U) of the angle of unit directions (n, d) with the span of each block (U, r, d)."""
    return (1 - _held(directions.double(), _spans(blocks.double()))).clamp_min(0).sqrt()


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


def greedy_cover_by_pairs(directions: Tensor, blocks: Tensor, eps: float) -> int | None:
    """Units, each time the one that adds most, until nine tenths of unit directions (n, d) are covered by two of them.

    `blocks` (U, r, d) are the units. None if at some step no unit adds anything.
    """
    directions, spans = directions.double(), _spans(blocks.double())
    needed = math.ceil(REACHED * len(directions))
    alone = _held(directions, spans)
    # What each unit would cover by itself or with one of the chosen.
    covers = alone >= 1 - eps**2
    left = torch.ones(len(directions), dtype=torch.bool, device=directions.device)
    chosen = 0
    while int((~left).sum()) < needed:
        gains = covers[left].sum(dim=0)
        # Of units that add equally many, the one that holds most: below one half, so it never outweighs a direction.
        best = int((gains + alone[left].mean(dim=0) / 2).argmax())
        if chosen and gains[best] == 0:
            return None
        left &= ~covers[:, best]
        beyond = spans - (spans @ spans[best].T) @ spans[best]
        covers |= alone[:, best, None] + _held(directions, _spans(beyond, tolerance=1e-5)) >= 1 - eps**2
        chosen += 1
    return chosen


def fewest_lines(m: int, eps: float) -> int:
    """Lower bound for single directions: nine tenths of the sphere in m dimensions over the share that one can cover.

    A line covers I_{eps^2}((m-1)/2, 1/2) of it, the regularised incomplete beta function; so the number grows as
    (1/eps)^(m-1), the rate of Theorem 1.
    """
    return max(1, math.ceil(REACHED / float(betainc((m - 1) / 2, 0.5, eps**2)) - 1e-9))


def fewest_lines_in_pairs(m: int, eps: float) -> int:
    """Lower bound for single directions, any two of which cover together, in m dimensions.

    The plane of two covers I_{eps^2}((m-2)/2, 1) of the sphere, and n lines have n (n - 1) / 2 planes.
    """
    share = float(betainc((m - 2) / 2, 1, eps**2)) if m > 2 else 1.0
    lines = 2
    while math.comb(lines, 2) * share < REACHED - 1e-9:
        lines += 1
    return lines
