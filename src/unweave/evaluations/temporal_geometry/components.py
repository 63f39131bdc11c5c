"""Principal components of the codes of a unit, to look at (Subspace-Aware SAE, Figure 3)."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def standardised_components(points: Floats, count: int) -> tuple[Floats, Floats]:
    """Coordinates (n, c) of points (n, r) along their first components and the share (c,) of variance of each.

    Columns are standardised first, constant ones left out of account; c is `count`, or r if that is less. The sign of
    a component, which is arbitrary, makes its largest coordinate positive.
    """
    spread = points.std(axis=0)
    scaled = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    coordinates = (left * sizes)[:, :count]
    largest = np.take_along_axis(coordinates, np.abs(coordinates).argmax(axis=0)[None], axis=0)
    coordinates = coordinates * np.where(largest < 0, -1.0, 1.0)
    shares: Floats = np.square(sizes) / max(np.square(sizes).sum(), np.finfo(float).tiny)
    return coordinates, shares[:count]
