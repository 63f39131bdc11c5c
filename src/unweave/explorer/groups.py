"""What a group of codes does in its subspace.

Single codes of a group mean nothing, as another basis of it would serve as well. What the group writes is the same in
every basis: m vectors (m, d), one for each token on which it acts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

AXES = 3


@dataclass(frozen=True)
class Scatter:
    """What a group writes, in its first principal axes."""

    points: Tensor
    """(m, AXES)"""
    shares: list[float]
    """Part of the variance along each axis."""


def main_direction(written: Tensor) -> Tensor:
    """Find the unit direction (d,) that holds most of what is written (m, d), pointing to the side of its mean."""
    direction = torch.linalg.svd(written.double(), full_matrices=False).Vh[0]
    side = 1.0 if float(written.double().mean(dim=0) @ direction) >= 0 else -1.0
    found: Tensor = (side * direction).float()
    return found


def scatter(written: Tensor) -> Scatter:
    """Points in the principal axes of the covariance; axes that do not exist are 0."""
    centred = written.double() - written.double().mean(dim=0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    points = torch.zeros(len(written), AXES, dtype=torch.float64)
    kept = min(AXES, len(s))
    points[:, :kept] = u[:, :kept] * s[:kept]
    total = float(s.square().sum())
    shares = [float(value) / total if total > 0 else 0.0 for value in s[:kept].square()]
    return Scatter(points.float(), shares + [0.0] * (AXES - kept))
