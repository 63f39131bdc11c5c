"""Rows whose entropy is known: sums of directions that are there or not (Binary Autoencoder, Section 4.1).

H = C B / sqrt(r), with codes C (n, r) in {0, 1} and Gaussian directions B (r, d). The paper has fair, independent
coins; its reviewers asked for the others.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["independent", "sparse", "correlated", "overcomplete"]

RAREST = 0.02
"""Lowest rate of a sparse direction; the highest is one half."""
STAY = 0.9
"""Chance that a correlated direction is as the one before it."""
CROWDING = 2
"""Overcomplete worlds have this many times fewer dimensions than directions."""


def entropy_of_coin(p: Floats | float) -> Floats:
    """Bits of a coin that shows 1 with chance p in (0, 1)."""
    p = np.asarray(p, dtype=np.float64)
    bits: Floats = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return bits


def rates(kind: Kind, r: int) -> Floats:
    """Chance (r,) of each direction."""
    return np.geomspace(RAREST, 0.5, r) if kind == "sparse" else np.full(r, 0.5)


def true_bits(kind: Kind, r: int) -> float:
    """Entropy of a row."""
    if kind == "correlated":
        return 1 + (r - 1) * float(entropy_of_coin(1 - STAY))
    return float(entropy_of_coin(rates(kind, r)).sum())


def draw(kind: Kind, r: int, n: int, d: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """Draw rows (n, d) and their codes (n, r); an overcomplete world has r / 2 dimensions, whatever d."""
    if kind == "overcomplete":
        d = max(2, r // CROWDING)
    codes = rng.random((n, r)) < rates(kind, r)
    if kind == "correlated":
        changes = rng.random((n, r)) < 1 - STAY
        changes[:, 0] = codes[:, 0]
        codes = np.cumsum(changes, axis=1) % 2 == 1
    return codes @ rng.standard_normal((r, d)) / math.sqrt(r), codes
