"""On how many tokens each feature fires.

A feature is a code, or a group of adjacent codes in a dictionary of groups. It fires on a token where a code of it is
not zero; in a dense dictionary, where no code is ever zero, on the tokens where it is among the k strongest.
"""

import math

import torch
from torch import Tensor

from unweave.methods.dictionary import Dictionary

BINS_PER_DECADE = 4


def firing(dictionary: Dictionary, codes: Tensor, k: int) -> Tensor:
    """Boolean (n, F / group_size): where each feature fires, given codes (n, F)."""
    traits = dictionary.traits
    if traits.firing == "dense":
        strengths = dictionary.strengths(codes)
        chosen = strengths.topk(min(k, strengths.shape[1]), dim=1, sorted=False).indices
        return torch.zeros_like(strengths, dtype=torch.bool).scatter_(1, chosen, True)
    fires = codes != 0
    return fires if traits.group_size == 1 else fires.reshape(len(codes), -1, traits.group_size).any(dim=2)


def density_bins(n: int) -> list[float]:
    """Lower edges of the bins of log10 density over n tokens, a quarter of a decade wide, up to a density of 1."""
    decades = math.ceil(math.log10(n)) if n > 1 else 1
    return [i / BINS_PER_DECADE - decades for i in range(decades * BINS_PER_DECADE)]


def density_shares(counts: Tensor, n: int) -> list[float]:
    """Share of the features in each bin of `density_bins`, from `counts` (features,) of firings on n tokens.

    Features that never fire are in none; those that fire on every token are in the last.
    """
    bins = density_bins(n)
    # Rounded: a density at an edge must not fall below it by the last bit of its logarithm.
    places = (counts[counts > 0].double() / n).log10().sub(bins[0]).mul(BINS_PER_DECADE).mul(1 + 1e-12).floor().long()
    held = torch.bincount(places.clamp(0, len(bins) - 1), minlength=len(bins))
    shares: list[float] = (held / len(counts)).tolist()
    return shares


def firing_shares(counts: Tensor, n: int) -> dict[str, float]:
    """Summary of `counts` (features,) of firings on n tokens.

    `dead` is the share of features that never fire, `over_1pct` and `over_10pct` the share that fires on more than that
    part of the tokens, and `firings_over_...` the part of all firings that is theirs.
    """
    density = counts.double() / n
    total = float(density.sum())
    shares = {"dead": float((counts == 0).double().mean())}
    for name, threshold in (("over_1pct", 0.01), ("over_10pct", 0.1)):
        above = density > threshold
        shares[name] = float(above.double().mean())
        shares[f"firings_{name}"] = float(density[above].sum()) / total if total else 0.0
    return shares


def firings_per_document(counts: Tensor, documents: Tensor) -> float | None:
    """Mean over the features that fire of tokens / documents with a firing; None if none fires.

    `counts` and `documents` (features,): tokens on which, and documents in which, each feature fires (SAEBench's
    consistent-activation heuristic).
    """
    alive = counts > 0
    return float((counts[alive].double() / documents[alive]).mean()) if alive.any() else None
