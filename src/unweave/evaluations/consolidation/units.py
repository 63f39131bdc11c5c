"""Which units of a dictionary one concept is spread over.

A unit is a group of adjacent codes, or a single code. Shapes: n points, U units of r codes, F = U r.
"""

import torch
from torch import Tensor

from unweave.methods.dictionary import Dictionary

OWNS = 0.005
"""Share of the points of which a unit must be the strongest to count."""
CARRIED = 0.9
"""Share of the energy that counted units write together."""
TINY = 1e-12


def energies(dictionary: Dictionary, codes: Tensor) -> Tensor:
    """Squared norm (n, U), float64, of what each unit writes for codes (n, F)."""
    size = dictionary.traits.group_size
    atoms = dictionary.atoms.double()
    blocks = atoms.reshape(-1, size, atoms.shape[1])
    grouped = codes.double().reshape(len(codes), -1, size)
    inner = torch.einsum("nur,urs->nus", grouped, blocks @ blocks.mT)
    return (inner * grouped).sum(dim=2).clamp_min(0)


def owned_shares(energy: Tensor) -> Tensor:
    """Share (U,) of the points of which each unit writes most; points on which nothing is written belong to none."""
    written = energy.amax(dim=1) > 0
    owners = energy.argmax(dim=1)[written]
    return torch.bincount(owners, minlength=energy.shape[1]).double() / len(energy)


def carriers(energy: Tensor) -> int:
    """Fewest units that write nine tenths of all energy; 0 where nothing is written."""
    totals = energy.sum(dim=0).sort(descending=True).values
    whole = totals.sum()
    return int((totals.cumsum(dim=0) < CARRIED * whole * (1 - TINY)).sum()) + 1 if whole > 0 else 0


def largest_sine(found: Tensor, planted: Tensor) -> float:
    """Sine of the largest angle between the span of `planted` (m, d) and that of `found` (r, d), both orthonormal.

    1 where `found` has fewer dimensions than `planted`.
    """
    if len(found) < len(planted):
        return 1.0
    cosines = torch.linalg.svdvals(planted.double() @ found.double().T)
    return float((1 - cosines[-1].square()).clamp_min(0).sqrt())


def principal_span(x: Tensor, m: int) -> Tensor:
    """Orthonormal basis (m or fewer, d), float64, of the largest directions of points (n, d), about the origin.

    Fewer where the points span fewer dimensions.
    """
    _, values, directions = torch.linalg.svd(x.double(), full_matrices=False)
    kept = values[:m] > 1e-9 * values[:1].clamp_min(TINY)
    basis: Tensor = directions[:m][kept]
    return basis
