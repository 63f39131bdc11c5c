"""How much of what a probe reads in a word comes from other latents than those that should say it (SAEBench)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SILENT = 1e-8
"""A main latent below this does not fire."""
ALIGNED, ALIGNED_ALONE = 0.1, 0.025
"""Least cosine with the probe of a latent that absorbs: among several, and alone."""
SHARE = 0.4
"""Least share of the probe's projection that absorbing latents must make up."""
ABSORBERS = 3
"""Latents that may absorb together."""


@dataclass(frozen=True)
class Absorption:
    """Of each of n words."""

    fraction: Floats
    """(n,) in [0, 1]: part of what main and absorbing latents say that the absorbing ones say."""
    full: NDArray[np.bool_]
    """(n,) no main latent fires, and one other latent says most of it."""


def absorption(
    projections: Floats, contributions: Floats, codes: Floats, cosines: Floats, main: Integers
) -> Absorption:
    """Absorption of words by latents other than the `main` ones.

    `projections` (n,) of the activations on the unit vector of a probe, `contributions` (n, F) of each latent to them,
    `codes` (n, F), `cosines` (F,) of the atoms with the probe. The fraction is 0 where the main latents say as much
    as the probe reads, or where the three largest of the others say less than 0.4 of it; 1 where the main latents say
    nothing; otherwise A / (A + m) with m what these say and A the smaller of what the three say and what is missing.
    """
    n_latents = len(cosines)
    of_main = contributions[:, main].sum(axis=1)
    candidates = (cosines >= ALIGNED) & ~np.isin(np.arange(n_latents), main)
    others = np.where(candidates & (contributions > 0), contributions, 0.0)
    top = np.partition(others, -min(ABSORBERS, n_latents), axis=1)[:, -ABSORBERS:].sum(axis=1)
    missing = projections - of_main
    absorbed = np.minimum(top, missing)
    safe = np.where(absorbed + of_main == 0, 1.0, absorbed + of_main)
    fraction = np.where(of_main <= 0, 1.0, np.clip(absorbed / safe, 0.0, 1.0))
    nothing = (of_main >= projections) | (top / projections < SHARE)

    strongest = contributions.argmax(axis=1)
    largest = contributions[np.arange(len(projections)), strongest]
    full = (
        (codes[:, main] < SILENT).all(axis=1)
        & (cosines[strongest] >= ALIGNED_ALONE)
        & (projections >= 0)
        & (largest / projections >= SHARE)
    )
    return Absorption(np.where(nothing, 0.0, fraction), full)
