"""Edits and measures of codes (n, F) that the papers define on top of encoding and decoding.

Codes are ranked within each row by |s_j|, or by |s_j| ||a_j|| when the norms of the atoms are given, which is the size
of the term that the feature adds to the reconstruction (as the authors of ICA Lens rank them).
"""

import torch
from torch import Tensor


def top_k_mask(codes: Tensor, k: int, atom_norms: Tensor | None = None) -> Tensor:
    """Boolean (n, F): the k highest-ranked codes of each row; all of them where k >= F.

    `atom_norms` (F,) weighs the ranking; without it the codes are ranked by absolute value.
    """
    size = codes.abs() if atom_norms is None else codes.abs() * atom_norms
    chosen = size.topk(min(k, codes.shape[1]), dim=1, sorted=False).indices
    return torch.zeros_like(codes, dtype=torch.bool).scatter_(1, chosen, True)


def keep_top_k(codes: Tensor, k: int, atom_norms: Tensor | None = None) -> Tensor:
    """Codes (n, F) with all but the k highest-ranked of each row set to zero."""
    return codes.masked_fill(~top_k_mask(codes, k, atom_norms), 0)


def ablate_top_k(codes: Tensor, k: int, atom_norms: Tensor | None = None) -> Tensor:
    """Codes (n, F) with the k highest-ranked of each row set to zero."""
    return codes.masked_fill(top_k_mask(codes, k, atom_norms), 0)


def energy_shares(codes: Tensor) -> Tensor:
    """s_j^2 / sum_k s_k^2 within each row (n, F); a row of zeros stays zero."""
    largest = codes.abs().amax(dim=1, keepdim=True)
    energy = (codes / torch.where(largest > 0, largest, 1)).square()
    total = energy.sum(dim=1, keepdim=True)
    return energy / torch.where(total > 0, total, 1)


def split_signs(codes: Tensor) -> Tensor:
    """One-sided codes [relu(s), relu(-s)] (n, 2F): the signs of a linear code are arbitrary, so each is a feature."""
    return torch.cat([codes.clamp_min(0), (-codes).clamp_min(0)], dim=1)
