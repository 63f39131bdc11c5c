"""Angles between the directions of a dictionary."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

BLOCK_ENTRIES = 2**24
"""Cosines that are held at once."""


class NearestCosines(NamedTuple):
    """Of each of F directions to its nearest other one, both (F,)."""

    signed: Tensor
    """Largest cosine."""
    absolute: Tensor
    """Largest |cosine|."""


def nearest_cosines(directions: Tensor, block_entries: int = BLOCK_ENTRIES) -> NearestCosines:
    """Cosine of each of `directions` (F, d), F >= 2, with its nearest other one; a direction of zeros has cosine 0.

    Blocks of the upper triangle of the cosines are computed once and serve both of their sides: F^2 d floating-point
    operations, and no F x F matrix is kept.
    """
    unit = normalize(directions)
    features = len(unit)
    size = max(1, int(block_entries**0.5))
    signed = torch.full((features,), -1.0, device=unit.device)
    absolute = torch.zeros(features, device=unit.device)
    for first in range(0, features, size):
        rows = slice(first, min(first + size, features))
        for second in range(first, features, size):
            columns = slice(second, min(second + size, features))
            cosines = unit[rows] @ unit[columns].T
            if first == second:
                # Its own cosine of 1 must not win; -1 and 0 are the smallest that the two maxima can be.
                cosines.fill_diagonal_(-1)
                magnitudes = cosines.abs().fill_diagonal_(0)
            else:
                magnitudes = cosines.abs()
            for kept, found in ((signed, cosines), (absolute, magnitudes)):
                kept[rows] = torch.maximum(kept[rows], found.amax(dim=1))
                kept[columns] = torch.maximum(kept[columns], found.amax(dim=0))
    return NearestCosines(signed.clamp(-1, 1), absolute.clamp_max(1))


def paired_cosines(one: Tensor, other: Tensor) -> Tensor:
    """Cosine (F,) of each direction of `one` (F, d) with the direction of `other` (F, d) of the same number."""
    return (normalize(one) * normalize(other)).sum(dim=1).clamp(-1, 1)
