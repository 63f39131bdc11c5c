"""Whether points lie on a circle in the order of their labels."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RIDGE = 1e-3
"""Of standardised coordinates, times the number of rows."""


def angles(places: Integers, period: int) -> Floats:
    """Angle (n,) of each place on a circle of `period` places."""
    result: Floats = 2 * np.pi * places / period
    return result


def predicted(points: Floats, targets: Floats, folds: Integers) -> Floats:
    """Targets (n, m) predicted by ridge regression on points (n, r), each fold (n,) from the others."""
    found = np.empty_like(targets)
    for fold in np.unique(folds):
        held_out = folds == fold
        kept = points[~held_out]
        mean, spread = kept.mean(axis=0), kept.std(axis=0)
        scaled = (points - mean) / np.where(spread > 0, spread, 1.0)
        model = Ridge(alpha=RIDGE * len(kept)).fit(scaled[~held_out], targets[~held_out])
        found[held_out] = model.predict(scaled[held_out])
    return found


def circular_r2(points: Floats, places: Integers, period: int, folds: Integers) -> float:
    """Share of the variance of (cos, sin) of the places that points (n, r) predict over folds; may be negative."""
    theta = angles(places, period)
    targets = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    error = np.square(targets - predicted(points, targets, folds)).sum()
    return float(1 - error / np.square(targets - targets.mean(axis=0)).sum())


def order_alignment(points: Floats, places: Integers, period: int, folds: Integers) -> float:
    """|mean exp(i (predicted angle - angle))|: 1 where every point is predicted at its place, 0 at random."""
    theta = angles(places, period)
    found = predicted(points, np.stack([np.cos(theta), np.sin(theta)], axis=1), folds)
    difference = np.arctan2(found[:, 1], found[:, 0]) - theta
    return float(np.abs(np.exp(1j * difference).mean()))


def permutation_test(
    points: Floats, places: Integers, period: int, folds: Integers, draws: int, rng: np.random.Generator
) -> tuple[float, Floats]:
    """Chance of so large a circular R2 when labels go to other places of the circle, and the R2 (draws,) under that.

    Labels are permuted as wholes: points of one label stay together, so that telling labels apart is not enough.
    """
    observed = circular_r2(points, places, period, folds)
    null = np.array([circular_r2(points, rng.permutation(period)[places], period, folds) for _ in range(draws)])
    return float((1 + (null >= observed).sum()) / (1 + draws)), null
