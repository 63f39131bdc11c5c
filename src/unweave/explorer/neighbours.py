"""The features of other dictionaries that point most nearly the same way."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

BLOCK = 1024

Neighbours = list[list[tuple[int, float]]]
"""(K,) for each feature: its nearest ones with their cosine, nearest first."""


def nearest(directions: Tensor, others: Tensor, most: int, *, signed: bool) -> Neighbours:
    """Nearest of `others` (M, d) to each of `directions` (K, d) by cosine, or by its magnitude if `signed`.

    The sign of a signed feature is a convention, so its opposite is as near to it as itself.
    """
    found: Neighbours = []
    unit = normalize(others)
    for block in torch.split(normalize(directions), BLOCK):
        cosines = block @ unit.T
        places = (cosines.abs() if signed else cosines).topk(min(most, len(others)), dim=1).indices
        values = cosines.gather(1, places)
        for row, of_row in zip(places.tolist(), values.tolist(), strict=True):
            found.append(list(zip(row, of_row, strict=True)))
    return found
