"""What a group of codes does in its subspace.

Single codes of a group mean nothing, as another basis of it would serve as well. What the group writes is the same in
every basis: m vectors codes @ atoms, one for each token on which it acts. They lie in r dimensions, whatever d is.
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


@dataclass(frozen=True)
class Written:
    """What a group writes: `coordinates` (m, r) in the orthonormal `basis` (r, d)."""

    coordinates: Tensor
    basis: Tensor

    @classmethod
    def of(cls, codes: Tensor, atoms: Tensor) -> "Written":
        """From codes (m, r) and atoms (r, d) of the group."""
        q, r = torch.linalg.qr(atoms.double().T)
        return cls(codes.double() @ r.T, q.T)


def main_direction(written: Written) -> Tensor:
    """Find the unit direction (d,) that holds most of what is written, pointing to the side of its mean."""
    direction = torch.linalg.svd(written.coordinates, full_matrices=False).Vh[0]
    side = 1.0 if float(written.coordinates.mean(dim=0) @ direction) >= 0 else -1.0
    found: Tensor = (side * direction @ written.basis).float()
    return found


def scatter(written: Written) -> Scatter:
    """Points in the principal axes of the covariance; axes that do not exist are 0."""
    centred = written.coordinates - written.coordinates.mean(dim=0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    points = torch.zeros(len(centred), AXES, dtype=torch.float64)
    kept = min(AXES, len(s))
    points[:, :kept] = u[:, :kept] * s[:kept]
    total = float(s.square().sum())
    shares = [float(value) / total if total > 0 else 0.0 for value in s[:kept].square()]
    return Scatter(points.float(), shares + [0.0] * (AXES - kept))
