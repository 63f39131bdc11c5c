"""How many dimensions groups use, from the spectrum of each: squared singular values or eigenvalues of a covariance.

Shapes: n tokens, K groups of r codes. Spectra are (K, r), not negative, in any order. A spectrum of zeros has rank 0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.methods.sasa.nuclear import gram

SHARE = 0.9
"""Of the sum of a spectrum that rank90 must hold."""
MIN_TOKENS = 10
"""Active tokens that a covariance needs at least: with fewer, a group counts as not alive."""
ACTIVE = 1e-6
"""Norm above which a group's codes count as active."""
TINY = 1e-300


def rank90(spectra: Tensor) -> Tensor:
    """Smallest number (K,) of values that hold 90 % of the sum."""
    shares = spectra.sort(dim=1, descending=True).values.cumsum(1)
    total = shares[:, -1:]
    short = (shares < SHARE * total * (1 - 1e-12)).sum(1)
    return torch.where(total[:, 0] > 0, short + 1, 0)


def stable_rank(spectra: Tensor) -> Tensor:
    """Sum over largest value (K,): ||D||_F^2 / s_1^2."""
    rank: Tensor = spectra.sum(1) / spectra.amax(1).clamp_min(TINY)
    return rank


def participation_ratio(spectra: Tensor) -> Tensor:
    """Squared sum over sum of squares (K,)."""
    largest = spectra.amax(1, keepdim=True).clamp_min(TINY)
    relative = spectra / largest
    ratio: Tensor = relative.sum(1).square() / relative.square().sum(1).clamp_min(TINY)
    return ratio


def decoder_spectra(decoder: Tensor) -> Tensor:
    """Squared singular values (K, r), float64, of decoder blocks (K, r, d)."""
    squares: Tensor = torch.linalg.eigvalsh(gram(decoder))
    return squares.clamp_min(0)


@dataclass
class CodeCovariance:
    """Running covariance of the codes of each group over the tokens on which it is active, in float64."""

    counts: Tensor
    """(K,) tokens."""
    sums: Tensor
    """(K, r)"""
    products: Tensor
    """(K, r, r)"""

    @classmethod
    def empty(cls, groups: int, group_size: int, device: torch.device) -> "CodeCovariance":
        """Nothing seen yet."""
        shapes = (groups,), (groups, group_size), (groups, group_size, group_size)
        return cls(*(torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes))

    def add(self, codes: Tensor) -> None:
        """Take in codes (n, F)."""
        K, r = self.sums.shape
        grouped = codes.reshape(-1, K, r)
        tokens, groups = (torch.linalg.vector_norm(grouped, dim=2) > ACTIVE).nonzero(as_tuple=True)
        active = grouped[tokens, groups].double()
        self.counts += torch.bincount(groups, minlength=K)
        self.sums.index_add_(0, groups, active)
        self.products.index_add_(0, groups, active[:, :, None] * active[:, None, :])

    def spectra(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (k, r) of the covariances of the k groups active on 10 tokens or more; which (K,) those are."""
        alive = self.counts >= MIN_TOKENS
        counts = self.counts[alive, None, None]
        means = self.sums[alive][:, :, None] / counts
        covariance = self.products[alive] / counts - means @ means.mT
        return torch.linalg.eigvalsh(covariance).clamp_min(0), alive


def summary(spectra: Tensor) -> dict[str, float]:
    """Mean of the three ranks over groups, and the 10th, 50th and 90th percentile of rank90; nothing of no groups."""
    if len(spectra) == 0:
        return {}
    ranks = rank90(spectra).double()
    low, median, high = torch.quantile(ranks, torch.tensor([0.1, 0.5, 0.9]).to(ranks)).tolist()
    return {
        "rank90": float(ranks.mean()),
        "rank90_p10": low,
        "rank90_median": median,
        "rank90_p90": high,
        "stable_rank": float(stable_rank(spectra).mean()),
        "participation_ratio": float(participation_ratio(spectra).mean()),
    }
