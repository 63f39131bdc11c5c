"""Which neurons features share and which are theirs alone (Semi-NMF, Section 5 and Table 2; arXiv 2506.10920)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]


def supports(atoms: Floats, share: float) -> Masks:
    """Mark the `share` of the neurons with the largest magnitudes in every atom (F, d), where they are not zero."""
    kept = max(1, round(share * atoms.shape[1]))
    order = np.argsort(-np.abs(atoms), axis=1, kind="stable")[:, :kept]
    masks = np.zeros(atoms.shape, dtype=bool)
    np.put_along_axis(masks, order, True, axis=1)
    found: Masks = masks & (atoms != 0)
    return found


def jaccard(masks: Masks) -> Floats:
    """|intersection| / |union| (F, F) of supports (F, d); 0 where both are empty."""
    ones = masks.astype(np.float64)
    shared = ones @ ones.T
    sizes = ones.sum(axis=1)
    union = sizes[:, None] + sizes - shared
    overlap: Floats = np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)
    return overlap


def core(masks: Masks, atleast: int) -> NDArray[np.bool_]:
    """Neurons (d,) in at least so many of the supports (F, d)."""
    shared: NDArray[np.bool_] = masks.sum(axis=0) >= atleast
    return shared


def exclusive(masks: Masks) -> Masks:
    """Neurons of each support (F, d) that are in no other."""
    alone: Masks = masks & (masks.sum(axis=0) == 1)
    return alone


def features_of_terms(
    codes: Floats, family: NDArray[np.bool_], place: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Feature (count,) of each term: the one whose mean code on it most exceeds that on all other rows, none twice.

    `codes` (n, F) of rows that are of the `family` (n,) of terms, at their `place` (n,), or of others.
    """
    margins = []
    for term in range(count):
        own = family & (place == term)
        spread = codes.std(axis=0)
        margin = (codes[own].mean(axis=0) - codes[~own].mean(axis=0)) / np.where(spread > 0, spread, np.inf)
        margins.append(margin)
    _, chosen = linear_sum_assignment(np.array(margins), maximize=True)
    return np.asarray(chosen, dtype=np.int64)
